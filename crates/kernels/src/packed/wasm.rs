//! The vectors of WebAssembly, in builds with `simd128`.

use std::arch::wasm32::*;

use half::f16;

use super::isa::Isa;

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
        // Exponent and fraction of an f16 at those of an f32, whose exponent is 112 larger. The product
        // also makes normal numbers of subnormal ones; weights are finite.
        let bits = u32x4_extend_low_u16x8(unsafe { v128_load64_zero(at.cast()) });
        let sign = i32x4_shl(v128_and(bits, i32x4_splat(0x8000)), 16);
        let rest = i32x4_shl(v128_and(bits, i32x4_splat(0x7fff)), 13);
        v128_or(f32x4_mul(rest, f32x4_splat(f32::from_bits((127 + 112) << 23))), sign)
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
