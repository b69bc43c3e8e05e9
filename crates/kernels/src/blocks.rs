//! Rows shared out in blocks: among threads with the feature `threads`, one after another without it.
//!
//! A block is the same for any number of threads, and sums over blocks are added in their order, so
//! that results do not depend on how many threads there are.

/// Rows of a block.
const ROWS: usize = 64;

/// Calls `work` with each block of rows of the outputs, and the index of its first row; gives what
/// `work` returns, in the order of the blocks. `widths` are the numbers per row of each output.
pub(crate) fn for_blocks<const N: usize, R: Send>(
    outputs: [&mut [f32]; N],
    widths: [usize; N],
    work: impl Fn(usize, [&mut [f32]; N]) -> R + Sync,
) -> Vec<R> {
    for_blocks_of(ROWS, outputs, widths, work)
}

/// As [`for_blocks`], with this many rows per block.
pub(crate) fn for_blocks_of<const N: usize, R: Send>(
    rows: usize,
    outputs: [&mut [f32]; N],
    widths: [usize; N],
    work: impl Fn(usize, [&mut [f32]; N]) -> R + Sync,
) -> Vec<R> {
    let mut pieces: Vec<_> = Vec::with_capacity(N);
    for (output, width) in outputs.into_iter().zip(widths) {
        pieces.push(output.chunks_mut((rows * width).max(1)));
    }
    let mut blocks = Vec::new();
    loop {
        let mut block: [&mut [f32]; N] = std::array::from_fn(|_| Default::default());
        let mut is_there = N > 0;
        for (slot, pieces) in block.iter_mut().zip(&mut pieces) {
            match pieces.next() {
                Some(piece) => *slot = piece,
                None => is_there = false,
            }
        }
        if !is_there {
            break;
        }
        blocks.push((blocks.len() * rows, block));
    }
    run(blocks, work)
}

#[cfg(feature = "threads")]
fn run<const N: usize, R: Send>(
    blocks: Vec<(usize, [&mut [f32]; N])>,
    work: impl Fn(usize, [&mut [f32]; N]) -> R + Sync,
) -> Vec<R> {
    use rayon::prelude::*;
    blocks
        .into_par_iter()
        .map(|(first, block)| pulp::Arch::new().dispatch(|| work(first, block)))
        .collect()
}

#[cfg(not(feature = "threads"))]
fn run<const N: usize, R: Send>(
    blocks: Vec<(usize, [&mut [f32]; N])>,
    work: impl Fn(usize, [&mut [f32]; N]) -> R + Sync,
) -> Vec<R> {
    blocks.into_iter().map(|(first, block)| work(first, block)).collect()
}

/// Sums vectors of one length, in their order.
pub(crate) fn sum_of(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut sum = vec![0.0; len];
    for part in parts {
        for (sum, part) in sum.iter_mut().zip(part) {
            *sum += part;
        }
    }
    sum
}
