//! What the loops over packed rows need of a processor.

/// Values of a step: the block of q8_0, and a multiple of every vector's length.
pub(super) const STEP: usize = 32;

/// Vectors of f32, and how stored numbers become them.
///
/// # Safety
/// Callers make sure that the processor has the instructions (`rows.rs` asks it), and that as many
/// numbers as a vector has are behind each pointer, aligned or not.
pub(super) trait Isa {
    type Vector: Copy;
    /// Numbers of a vector; divides [`STEP`].
    const LANES: usize;
    /// Whether the rows that are read together are far apart, one in each quarter of the matrix, where
    /// only the processor itself reads ahead: it follows long streams, and neighboring rows are short.
    const READS_QUARTERS: bool = false;
    /// Whether there are 32 registers or more.
    const HAS_MANY_REGISTERS: bool = false;

    unsafe fn splat(x: f32) -> Self::Vector;
    unsafe fn f32(at: *const u8) -> Self::Vector;
    unsafe fn f16(at: *const u8) -> Self::Vector;
    unsafe fn bf16(at: *const u8) -> Self::Vector;
    unsafe fn i8(at: *const u8) -> Self::Vector;
    unsafe fn store(x: Self::Vector, at: *mut f32);
    /// Asks for the cache line at an address, which need not be readable.
    #[inline(always)]
    unsafe fn prefetch(_at: *const u8) {}
    /// One f16.
    unsafe fn half(at: *const u8) -> f32;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + sum`
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, sum: Self::Vector) -> Self::Vector;
    /// The sum of the lanes.
    unsafe fn sum(x: Self::Vector) -> f32;
}
