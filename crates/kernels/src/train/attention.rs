//! Scores as weights, and rotations, with their gradients.

use super::lanes::{LANES, lanes1, lanes2, row};
use crate::blocks::for_blocks;
use crate::exp::{exp, tanh};

/// How scores become weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreShape {
    /// Keys per query.
    pub n_keys: usize,
    /// Scores are multiplied by it first.
    pub scale: f32,
    /// `cap · tanh(score / cap)` after that.
    pub softcap: Option<f32>,
}

/// Scores of queries as shares of their sum, in place. `bias` is added to them: `bias_of` tells at
/// which of its rows those of a query are.
pub fn weights(
    shape: ScoreShape,
    scores: &mut [f32],
    bias: &[f32],
    bias_of: impl Fn(usize) -> usize + Sync,
) {
    let ScoreShape { n_keys, scale, softcap } = shape;
    for_blocks([scores], [n_keys], |first, [scores]| {
        for (number, scores) in scores.chunks_exact_mut(n_keys).enumerate() {
            let start = bias_of(first + number);
            let bias = &bias[start..start + n_keys];
            match softcap {
                None => scores.iter_mut().zip(bias).for_each(|(x, bias)| *x = *x * scale + bias),
                Some(cap) => scores
                    .iter_mut()
                    .zip(bias)
                    .for_each(|(x, bias)| *x = cap * tanh(*x * scale / cap) + bias),
            }
            softmax(scores);
        }
    });
}

/// Writes the gradient of the scores in place of that of the weights. With a softcap `scores` are
/// those before it.
pub fn weights_backward(
    shape: ScoreShape,
    weights: &[f32],
    scores: Option<&[f32]>,
    gradient: &mut [f32],
) {
    let ScoreShape { n_keys, scale, softcap } = shape;
    for_blocks([gradient], [n_keys], |first, [gradient]| {
        for (number, gradient) in gradient.chunks_exact_mut(n_keys).enumerate() {
            let weights = row(weights, first + number, n_keys);
            let mut along = [0.0; LANES];
            lanes2(weights, gradient, |lane, weight, gradient| along[lane] += weight * gradient);
            let along = along.iter().sum::<f32>();
            for (gradient, weight) in gradient.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - along) * scale;
            }
            if let (Some(cap), Some(scores)) = (softcap, scores) {
                let scores = row(scores, first + number, n_keys);
                for (gradient, score) in gradient.iter_mut().zip(scores) {
                    let tanh = tanh(score * scale / cap);
                    *gradient *= 1.0 - tanh * tanh;
                }
            }
        }
    });
}

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in row.iter_mut() {
        *x = exp(*x - largest);
    }
    let mut sums = [0.0; LANES];
    lanes1(row, |lane, x| sums[lane] += x);
    let inverse = 1.0 / sums.iter().sum::<f32>();
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

/// What each head of a row is rotated by: cosines and sines by position, in tables of `width` numbers
/// a row; `position_of` gives the position of a row. `sign` is 1 to rotate, and -1 to rotate back.
pub fn rotate_rows(
    x: &mut [f32],
    [row_width, d_head, width]: [usize; 3],
    [cos, sin]: [&[f32]; 2],
    position_of: impl Fn(usize) -> usize + Sync,
    sign: f32,
) {
    let half = width / 2;
    for_blocks([x], [row_width], |first, [x]| {
        for (number, x) in x.chunks_exact_mut(row_width).enumerate() {
            let position = position_of(first + number);
            let (cos, sin) = (row(cos, position, width), row(sin, position, width));
            for head in x.chunks_exact_mut(d_head) {
                let (a, b) = head[..width].split_at_mut(half);
                for index in 0..half {
                    let (first, second) = (a[index], b[index]);
                    a[index] = first * cos[index] - sign * second * sin[index];
                    b[index] = second * cos[index] + sign * first * sin[index];
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::{along, assert_gradient, numbers};

    #[test]
    fn attention_weights_have_their_gradients() {
        const N_KEYS: usize = 19;
        let (scores, by) = (numbers(2 * N_KEYS, 1), numbers(2 * N_KEYS, 2));
        let mut bias = vec![0.0; N_KEYS];
        bias[N_KEYS - 1] = f32::MIN;
        for softcap in [None, Some(1.5)] {
            let shape = ScoreShape { n_keys: N_KEYS, scale: 0.7, softcap };
            let of = |scores: &[f32]| {
                let mut found = scores.to_vec();
                weights(shape, &mut found, &bias, |_| 0);
                found
            };
            let (found, mut gradient) = (of(&scores), by.clone());
            assert!((found[..N_KEYS].iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert_eq!(found[N_KEYS - 1], 0.0);
            weights_backward(shape, &found, Some(&scores), &mut gradient);
            assert_gradient(&scores, &gradient, |scores| along(&of(scores), &by));
        }
    }

    #[test]
    fn a_rotation_back_undoes_a_rotation() {
        let x = numbers(2 * 12, 1);
        let angles = numbers(2 * 2, 2);
        let table = |of: fn(f32) -> f32| -> Vec<f32> {
            let row = |angles: &[f32]| [angles, angles].concat();
            angles.chunks(2).flat_map(row).map(of).collect()
        };
        let (cos, sin) = (table(f32::cos), table(f32::sin));
        let mut turned = x.clone();
        for sign in [1.0, -1.0] {
            rotate_rows(&mut turned, [12, 6, 4], [&cos, &sin], |row| row, sign);
        }
        for (x, turned) in x.iter().zip(turned) {
            assert!((x - turned).abs() < 1e-5);
        }
    }
}
