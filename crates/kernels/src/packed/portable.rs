//! Plain Rust, of which the compiler makes the vector instructions that it may.

use half::{bf16, f16};

use super::isa::Isa;

/// So many numbers, as one by one.
pub(super) struct Portable<const LANES: usize = 8>;

/// # Safety
/// `N * LANES` bytes are readable.
#[inline(always)]
unsafe fn lanes<const N: usize, const LANES: usize>(
    at: *const u8,
    value: impl Fn([u8; N]) -> f32,
) -> [f32; LANES] {
    // SAFETY: by the caller; arrays of bytes have no alignment.
    let stored = unsafe { at.cast::<[[u8; N]; LANES]>().read() };
    stored.map(value)
}

#[inline(always)]
fn pairwise<const LANES: usize>(
    a: [f32; LANES],
    b: [f32; LANES],
    value: impl Fn(f32, f32) -> f32,
) -> [f32; LANES] {
    std::array::from_fn(|lane| value(a[lane], b[lane]))
}

impl<const LANES: usize> Isa for Portable<LANES> {
    type Vector = [f32; LANES];
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::Vector {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn f32(at: *const u8) -> Self::Vector {
        // SAFETY: as for all of them, by the caller.
        unsafe { lanes(at, f32::from_le_bytes) }
    }

    #[inline(always)]
    unsafe fn f16(at: *const u8) -> Self::Vector {
        // SAFETY: by the caller.
        unsafe { lanes(at, |bytes| f16::from_le_bytes(bytes).to_f32()) }
    }

    #[inline(always)]
    unsafe fn bf16(at: *const u8) -> Self::Vector {
        // SAFETY: by the caller.
        unsafe { lanes(at, |bytes| bf16::from_le_bytes(bytes).to_f32()) }
    }

    #[inline(always)]
    unsafe fn i8(at: *const u8) -> Self::Vector {
        // SAFETY: by the caller.
        unsafe { lanes(at, |[byte]| f32::from(byte.cast_signed())) }
    }

    #[inline(always)]
    unsafe fn store(x: Self::Vector, at: *mut f32) {
        // SAFETY: by the caller.
        unsafe { at.cast::<[f32; LANES]>().write(x) }
    }

    #[inline(always)]
    unsafe fn half(at: *const u8) -> f32 {
        // SAFETY: by the caller.
        f16::from_le_bytes(unsafe { at.cast::<[u8; 2]>().read() }).to_f32()
    }

    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        pairwise(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        pairwise(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, sum: Self::Vector) -> Self::Vector {
        // Without the instruction `f32::mul_add` is a call.
        std::array::from_fn(|lane| a[lane] * b[lane] + sum[lane])
    }

    #[inline(always)]
    unsafe fn sum(x: Self::Vector) -> f32 {
        x.iter().sum()
    }
}
