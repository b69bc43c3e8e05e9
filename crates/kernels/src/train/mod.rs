//! The steps of training that burn composes of several operations: each reads and writes its numbers
//! once.
//!
//! All rows are contiguous. Functions that end in `_backward` take the gradient with respect to what
//! the function before them gives, and give that with respect to its input.

mod attention;
mod gates;
mod lanes;
mod losses;
mod norms;
mod optimizer;
mod product;
#[cfg(test)]
pub(crate) mod testing;

pub use attention::{ScoreShape, rotate_rows, weights, weights_backward};
pub use gates::{Activation, gated, gated_backward};
pub use losses::{HeadLoss, HeadRow, cosine_distance};
pub use norms::{NormShape, norm, norm_backward};
pub use optimizer::{AdamW, add, sum_of_squares};
pub use product::add_transposed_product;
