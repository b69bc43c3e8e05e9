//! The vectors of WebAssembly, in builds with `simd128`.

use std::arch::wasm32::*;

use half::f16;

use super::integer::{Integers, LARGEST};
use super::isa::{Isa, STEP};

/// Four numbers.
pub(super) struct Simd128;

// SAFETY, for every function below: by the caller, what is read is readable, without alignment.
impl Isa for Simd128 {
    type Vector = v128;
    const LANES: usize = 4;
    const READS_QUARTERS: bool = true;

    #[inline(always)]
    unsafe fn splat(x: f32) -> v128 {
        f32x4_splat(x)
    }

    #[inline(always)]
    unsafe fn f32(at: *const u8) -> v128 {
        unsafe { v128_load(at.cast()) }
    }

    #[inline(always)]
    unsafe fn f16(at: *const u8) -> v128 {
        widened(unsafe { v128_load64_zero(at.cast()) })
    }

    #[inline(always)]
    unsafe fn bf16(at: *const u8) -> v128 {
        i32x4_shl(u32x4_extend_low_u16x8(unsafe { v128_load64_zero(at.cast()) }), 16)
    }

    #[inline(always)]
    unsafe fn i8(at: *const u8) -> v128 {
        let wide = i16x8_extend_low_i8x16(unsafe { v128_load32_zero(at.cast()) });
        f32x4_convert_i32x4(i32x4_extend_low_i16x8(wide))
    }

    #[inline(always)]
    unsafe fn store(x: v128, at: *mut f32) {
        unsafe { v128_store(at.cast(), x) }
    }

    #[inline(always)]
    unsafe fn half(at: *const u8) -> f32 {
        f16::from_le_bytes(unsafe { at.cast::<[u8; 2]>().read() }).to_f32()
    }

    #[inline(always)]
    unsafe fn add(a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }

    #[inline(always)]
    unsafe fn mul(a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    unsafe fn mul_add(a: v128, b: v128, sum: v128) -> v128 {
        f32x4_add(f32x4_mul(a, b), sum)
    }

    #[inline(always)]
    unsafe fn sum(x: v128) -> f32 {
        let [a, b] = [f32x4_extract_lane::<0>(x), f32x4_extract_lane::<1>(x)];
        let [c, d] = [f32x4_extract_lane::<2>(x), f32x4_extract_lane::<3>(x)];
        (a + b) + (c + d)
    }
}

/// The lower four f16 as f32.
#[inline(always)]
fn widened(halves: v128) -> v128 {
    // Exponent and fraction of an f16 at those of an f32, whose exponent is 112 larger. The product
    // also makes normal numbers of subnormal ones; weights are finite.
    let bits = u32x4_extend_low_u16x8(halves);
    let sign = i32x4_shl(v128_and(bits, i32x4_splat(0x8000)), 16);
    let rest = i32x4_shl(v128_and(bits, i32x4_splat(0x7fff)), 13);
    v128_or(f32x4_mul(rest, f32x4_splat(f32::from_bits((127 + 112) << 23))), sign)
}

/// Added to an f32 of less than half its size, it leaves the nearest integer in the lower bits.
const ROUNDING: f32 = 12_582_912.0;

// SAFETY, for every function below: as above.
impl Integers for Simd128 {
    type Wide = v128;
    type Sums = v128;

    #[inline(always)]
    unsafe fn round(x: *const f32, codes: *mut i16) -> f32 {
        let x = |part: usize| unsafe { v128_load(x.add(4 * part).cast()) };
        let mut largest = f32x4_splat(0.0);
        let mut not_finite = largest;
        for part in 0..STEP / 4 {
            largest = f32x4_pmax(largest, f32x4_abs(x(part)));
            not_finite = f32x4_add(not_finite, f32x4_sub(x(part), x(part)));
        }
        largest = f32x4_pmax(largest, i32x4_shuffle::<2, 3, 0, 1>(largest, largest));
        largest = f32x4_pmax(largest, i32x4_shuffle::<1, 0, 3, 2>(largest, largest));
        let largest = f32x4_extract_lane::<0>(largest);
        // Of a block of zeros, or of numbers next to nothing, all codes are 0.
        let factor = if largest > 1e-30 { LARGEST / largest } else { 0.0 };
        let factor = f32x4_splat(factor);
        let code = |part: usize| {
            let shifted = f32x4_add(f32x4_mul(x(part), factor), f32x4_splat(ROUNDING));
            i32x4_sub(shifted, i32x4_splat(ROUNDING.to_bits().cast_signed()))
        };
        for pair in 0..STEP / 8 {
            let both = i16x8_narrow_i32x4(code(2 * pair), code(2 * pair + 1));
            unsafe { v128_store(codes.add(8 * pair).cast(), both) };
        }
        largest / LARGEST + unsafe { <Self as Isa>::sum(not_finite) }
    }

    #[inline(always)]
    unsafe fn narrow(at: *const u8) -> v128 {
        unsafe { i16x8_load_extend_i8x8(at.cast()) }
    }

    #[inline(always)]
    unsafe fn wide(at: *const i16) -> v128 {
        unsafe { v128_load(at.cast()) }
    }

    #[inline(always)]
    unsafe fn dot(a: v128, b: v128) -> v128 {
        i32x4_dot_i16x8(a, b)
    }

    #[inline(always)]
    unsafe fn plus(a: v128, b: v128) -> v128 {
        i32x4_add(a, b)
    }

    #[inline(always)]
    unsafe fn totals([a, b, c, d]: [v128; 4]) -> v128 {
        let pairs =
            |a, b| i32x4_add(i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
        let (ab, cd) = (pairs(a, b), pairs(c, d));
        let both = i32x4_add(i64x2_shuffle::<0, 2>(ab, cd), i64x2_shuffle::<1, 3>(ab, cd));
        f32x4_convert_i32x4(both)
    }

    #[inline(always)]
    unsafe fn halves([a, b, c, d]: [*const u8; 4]) -> v128 {
        let stored = |at: *const u8| unsafe { at.cast::<u16>().read_unaligned() };
        widened(u16x8(stored(a), stored(b), stored(c), stored(d), 0, 0, 0, 0))
    }
}
