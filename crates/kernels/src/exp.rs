//! Exponentials that the compiler makes vector instructions of.
//!
//! Cephes' polynomials (S. Moshier, expf.c): 2 ulp from the exact value between -87 and 88.

const LOG2_E: f32 = std::f32::consts::LOG2_E;
// ln 2 in two parts, the first of few digits.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Adding and subtracting it rounds to a whole number.
const ROUND: f32 = 12_582_912.0;

/// `e^x`, 0 below -87 (where f32 has no normal numbers) and the largest power above 88.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.3);
    let whole = (clamped * LOG2_E + ROUND) - ROUND;
    let rest = clamped - whole * LN_2_HIGH - whole * LN_2_LOW;
    let mut sum = 1.987_569_1e-4;
    sum = sum * rest + 1.398_2e-3;
    sum = sum * rest + 8.333_452e-3;
    sum = sum * rest + 4.166_579_6e-2;
    sum = sum * rest + 0.166_666_65;
    sum = sum * rest + 0.5;
    let power = sum * rest * rest + rest + 1.0;
    let scale = f32::from_bits(((whole as i32 + 127) as u32) << 23);
    if x < -87.3 { 0.0 } else { power * scale }
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Near 0 the difference below would lose the digits of a small x.
    let squared = x * x;
    let small = x * (1.0 - squared * (1.0 / 3.0 - squared * (2.0 / 15.0)));
    let large = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if squared < 0.0036 { small } else { large }
}

/// The error function: Abramowitz and Stegun 7.1.26, at most 1.5e-7 from the exact value.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let sum = 1.061_405_4;
    let sum = sum * t - 1.453_152_1;
    let sum = sum * t + 1.421_413_8;
    let sum = sum * t - 0.284_496_72;
    let sum = sum * t + 0.254_829_6;
    let value = 1.0 - sum * t * exp(-size * size);
    if x < 0.0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> impl Iterator<Item = f32> {
        (-8800..=8800).map(|step| step as f32 * 0.01)
    }

    #[test]
    fn exponentials_are_those_of_the_library() {
        for x in points().filter(|x| (-87.0..88.0).contains(x)) {
            let (found, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / exact - 1.0).abs() < 3e-7, "{x}: {found} {exact}");
        }
        assert_eq!((exp(-1000.0), exp(f32::NEG_INFINITY), exp(0.0)), (0.0, 0.0, 1.0));
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn hyperbolic_tangents_are_those_of_the_library() {
        for x in points() {
            let exact = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - exact).abs() < 3e-7, "{x}");
        }
        assert!((tanh(1e-4) / 1e-4 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_error_function_has_its_known_values() {
        for (x, exact) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (-2.0, -0.995_322_3)]
        {
            assert!((erf(x) - exact).abs() < 3e-7, "{x}");
        }
    }
}
