//! Norms of rows and their gradients.

use super::lanes::{LANES, lanes1, lanes3, row};
use crate::blocks::{for_blocks, sum_of};

/// A norm over rows: what is divided by, and whether the mean is taken away before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormShape {
    pub epsilon: f32,
    pub centers: bool,
}

/// `y = (x - mean) / root · gamma + beta`; without `centers` the mean counts as 0.
pub fn norm(shape: NormShape, x: &[f32], gamma: &[f32], beta: Option<&[f32]>, y: &mut [f32]) {
    let width = gamma.len();
    for_blocks([y], [width], |first, [y]| {
        for (number, y) in y.chunks_exact_mut(width).enumerate() {
            let x = row(x, first + number, width);
            let (mean, inverse) = shape.of(x);
            for index in 0..width {
                y[index] = (x[index] - mean) * inverse * gamma[index];
            }
            if let Some(beta) = beta {
                for (y, beta) in y.iter_mut().zip(beta) {
                    *y += beta;
                }
            }
        }
    });
}

/// Writes the gradient of the norm's input to `dx`; returns those of gamma and beta.
pub fn norm_backward(
    shape: NormShape,
    x: &[f32],
    gamma: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> [Vec<f32>; 2] {
    let width = gamma.len();
    let parts = for_blocks([dx], [width], |first, [dx]| {
        let (mut dgamma, mut dbeta) = (vec![0.0; width], vec![0.0; width]);
        for (number, dx) in dx.chunks_exact_mut(width).enumerate() {
            let (x, dy) = (row(x, first + number, width), row(dy, first + number, width));
            let (mean, inverse) = shape.of(x);
            for index in 0..width {
                // The normalized number waits in `dx`.
                let normalized = (x[index] - mean) * inverse;
                dx[index] = normalized;
                dgamma[index] += dy[index] * normalized;
                dbeta[index] += dy[index];
            }
            let (mut sum, mut along) = ([0.0; LANES], [0.0; LANES]);
            lanes3(dx, dy, gamma, |lane, normalized, dy, gamma| {
                sum[lane] += dy * gamma;
                along[lane] += dy * gamma * normalized;
            });
            let mean_along = along.iter().sum::<f32>() / width as f32;
            let mean_of = if shape.centers { sum.iter().sum::<f32>() / width as f32 } else { 0.0 };
            for index in 0..width {
                let scaled = dy[index] * gamma[index];
                dx[index] = inverse * (scaled - mean_of - dx[index] * mean_along);
            }
        }
        [dgamma, dbeta]
    });
    let (dgamma, dbeta) = parts.into_iter().map(|[dgamma, dbeta]| (dgamma, dbeta)).unzip();
    [sum_of(dgamma, width), sum_of(dbeta, width)]
}

impl NormShape {
    /// The mean, and what to multiply by.
    #[inline(always)]
    fn of(self, x: &[f32]) -> (f32, f32) {
        let width = x.len() as f32;
        let mut sums = [0.0; LANES];
        let mean = if self.centers {
            lanes1(x, |lane, x| sums[lane] += x);
            sums.iter().sum::<f32>() / width
        } else {
            0.0
        };
        let mut squares = [0.0; LANES];
        lanes1(x, |lane, x| squares[lane] += (x - mean) * (x - mean));
        (mean, 1.0 / (squares.iter().sum::<f32>() / width + self.epsilon).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::{along, assert_gradient, numbers};

    #[test]
    fn norms_have_their_gradients() {
        const WIDTH: usize = 21;
        let (x, gamma, by) = (numbers(3 * WIDTH, 1), numbers(WIDTH, 2), numbers(3 * WIDTH, 3));
        let beta = numbers(WIDTH, 4);
        for centers in [false, true] {
            let shape = NormShape { epsilon: 1e-5, centers };
            let loss = |x: &[f32], gamma: &[f32], beta: &[f32]| {
                let mut y = vec![0.0; x.len()];
                norm(shape, x, gamma, Some(beta), &mut y);
                along(&y, &by)
            };
            let mut dx = vec![0.0; x.len()];
            let [dgamma, dbeta] = norm_backward(shape, &x, &gamma, &by, &mut dx);
            assert_gradient(&x, &dx, |x| loss(x, &gamma, &beta));
            assert_gradient(&gamma, &dgamma, |gamma| loss(&x, gamma, &beta));
            assert_gradient(&beta, &dbeta, |beta| loss(&x, &gamma, beta));
        }
    }
}
