//! Rows and sums that run beside each other.

/// Sums that run beside each other, as wide as the widest vector registers.
pub(super) const LANES: usize = 16;

/// Numbers of a block where rows do not matter.
pub(super) const FLAT: usize = 1 << 14;

#[inline(always)]
pub(super) fn row(x: &[f32], index: usize, width: usize) -> &[f32] {
    &x[index * width..(index + 1) * width]
}

#[inline(always)]
pub(super) fn flat(x: &[f32], block: usize, len: usize) -> &[f32] {
    &x[block * FLAT..block * FLAT + len]
}

#[inline(always)]
pub(super) fn largest(x: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    lanes1(x, |lane, x| largest[lane] = largest[lane].max(x));
    largest.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
pub(super) fn lanes1(x: &[f32], mut each: impl FnMut(usize, f32)) {
    let (chunks, rest) = x.as_chunks::<LANES>();
    for x in chunks {
        x.iter().enumerate().for_each(|(lane, x)| each(lane, *x));
    }
    rest.iter().enumerate().for_each(|(lane, x)| each(lane, *x));
}

#[inline(always)]
pub(super) fn lanes2(x: &[f32], y: &[f32], mut each: impl FnMut(usize, f32, f32)) {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in x.iter().zip(y) {
        for lane in 0..LANES {
            each(lane, x[lane], y[lane]);
        }
    }
    x_rest.iter().zip(y_rest).enumerate().for_each(|(lane, (x, y))| each(lane, *x, *y));
}

#[inline(always)]
pub(super) fn lanes3(x: &[f32], y: &[f32], z: &[f32], mut each: impl FnMut(usize, f32, f32, f32)) {
    let (x, x_rest) = x.as_chunks::<LANES>();
    let ((y, y_rest), (z, z_rest)) = (y.as_chunks::<LANES>(), z.as_chunks::<LANES>());
    for ((x, y), z) in x.iter().zip(y).zip(z) {
        for lane in 0..LANES {
            each(lane, x[lane], y[lane], z[lane]);
        }
    }
    let rest = x_rest.iter().zip(y_rest).zip(z_rest);
    rest.enumerate().for_each(|(lane, ((x, y), z))| each(lane, *x, *y, *z));
}
