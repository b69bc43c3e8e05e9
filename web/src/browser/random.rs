//! Random names, to distinguish files.

use js_sys::Math;

/// Sixteen hexadecimal digits.
pub fn random_name() -> String {
    let half = || (Math::random() * f64::from(u32::MAX)) as u32;
    format!("{:08x}{:08x}", half(), half())
}
