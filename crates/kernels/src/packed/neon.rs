//! NEON, which every processor of this architecture has.

use std::arch::aarch64::*;

use half::f16;

use super::isa::Isa;

/// Four numbers.
pub(super) struct Neon;

// SAFETY, for every function below: by the caller, what is read is readable, without alignment.
impl Isa for Neon {
    type Vector = float32x4_t;
    const LANES: usize = 4;
    const HAS_MANY_REGISTERS: bool = true;

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn f32(at: *const u8) -> float32x4_t {
        unsafe { vreinterpretq_f32_u8(vld1q_u8(at)) }
    }

    #[inline(always)]
    unsafe fn f16(at: *const u8) -> float32x4_t {
        // Exponent and fraction of an f16 at those of an f32, whose exponent is 112 larger. The product
        // also makes normal numbers of subnormal ones; weights are finite.
        unsafe {
            let bits = vmovl_u16(vreinterpret_u16_u8(vld1_u8(at)));
            let sign = vshlq_n_u32::<16>(vandq_u32(bits, vdupq_n_u32(0x8000)));
            let rest = vshlq_n_u32::<13>(vandq_u32(bits, vdupq_n_u32(0x7fff)));
            let size = vmulq_n_f32(vreinterpretq_f32_u32(rest), f32::from_bits((127 + 112) << 23));
            vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(size), sign))
        }
    }

    #[inline(always)]
    unsafe fn bf16(at: *const u8) -> float32x4_t {
        unsafe {
            let bits = vmovl_u16(vreinterpret_u16_u8(vld1_u8(at)));
            vreinterpretq_f32_u32(vshlq_n_u32::<16>(bits))
        }
    }

    #[inline(always)]
    unsafe fn i8(at: *const u8) -> float32x4_t {
        unsafe {
            let four = at.cast::<u32>().read_unaligned();
            let wide = vmovl_s8(vcreate_s8(u64::from(four)));
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)))
        }
    }

    #[inline(always)]
    unsafe fn store(x: float32x4_t, at: *mut f32) {
        unsafe { vst1q_f32(at, x) }
    }

    #[inline(always)]
    unsafe fn half(at: *const u8) -> f32 {
        f16::from_le_bytes(unsafe { at.cast::<[u8; 2]>().read() }).to_f32()
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: float32x4_t, b: float32x4_t, sum: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(sum, a, b) }
    }

    #[inline(always)]
    unsafe fn sum(x: float32x4_t) -> f32 {
        unsafe { vaddvq_f32(x) }
    }
}
