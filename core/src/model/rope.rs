//! Rotary position embeddings (RoPE, arXiv:2104.09864), in the half-split form of Llama and Qwen.

use boomerang_kernels as kernels;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::decode::read;
use crate::config::Rotary;

/// Cosines and sines of the rotation at each of a run of positions.
#[derive(Clone, Debug)]
pub(crate) struct RotaryTable {
    /// `[batch or 1, 1, seq, d_rotated]`, the second half repeating the first.
    cos: Tensor<4>,
    /// As `cos`.
    sin: Tensor<4>,
}

impl RotaryTable {
    /// The table for positions `start .. start + seq`.
    pub(super) fn new(rotary: &Rotary, start: usize, seq: usize, device: &Device) -> Self {
        let frequencies = rotary.frequencies(start + seq);
        let (magnitude, d_rotated) = (rotary.magnitude(), rotary.d_rotated);
        let angles: Vec<f32> = (start..start + seq)
            .flat_map(|position| {
                let row = frequencies.iter().map(move |frequency| position as f32 * frequency);
                row.clone().chain(row)
            })
            .collect();
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(angle) * magnitude).collect();
            Tensor::from_data(TensorData::new(values, [1, 1, seq, d_rotated]), device)
        };
        Self { cos: table(f32::cos), sin: table(f32::sin) }
    }

    /// The positions `start .. start + seq`, counted from the table's first.
    pub(super) fn slice(&self, start: usize, seq: usize) -> Self {
        Self {
            cos: self.cos.clone().narrow(2, start, seq),
            sin: self.sin.clone().narrow(2, start, seq),
        }
    }

    /// The table for rows whose tokens stand at these positions, counted from the table's first.
    ///
    /// Shape: `positions` is `[batch, seq]`.
    pub(super) fn at(&self, positions: &Tensor<2, Int>) -> Self {
        let [batch, seq] = positions.dims();
        let pick = |table: &Tensor<4>| {
            let [_, _, n_positions, d_rotated] = table.dims();
            let table = table.clone().reshape([n_positions, d_rotated]);
            let picked = table.select(0, positions.clone().reshape([batch * seq]));
            picked.reshape([batch, 1, seq, d_rotated])
        };
        Self { cos: pick(&self.cos), sin: pick(&self.sin) }
    }

    /// Rotates each head. Shapes: `x` and the result are `[batch, heads, seq, d_head]`.
    pub(super) fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let (d_head, d_rotated) = (x.dims()[3], self.cos.dims()[3]);
        if d_rotated < d_head {
            let rest = x.clone().narrow(3, d_rotated, d_head - d_rotated);
            return Tensor::cat(vec![self.rotate(x.narrow(3, 0, d_rotated)), rest], 3);
        }
        let half = d_head / 2;
        let first = x.clone().narrow(3, 0, half);
        let second = x.clone().narrow(3, half, half);
        let turned = Tensor::cat(vec![-second, first], 3);
        x * self.cos.clone() + turned * self.sin.clone()
    }

    /// The inverse of [`RotaryTable::rotate`] but for its scale, which is applied again: the gradient.
    #[cfg(feature = "distill")]
    pub(super) fn rotate_back(&self, x: Tensor<4>) -> Tensor<4> {
        Self { cos: self.cos.clone(), sin: -self.sin.clone() }.rotate(x)
    }

    /// Cosines and sines, `[batch or 1, 1, seq, d_rotated]`.
    #[cfg(feature = "distill")]
    pub(super) fn tables(&self) -> [&Tensor<4>; 2] {
        [&self.cos, &self.sin]
    }

    /// As [`RotaryTable::rotate`], of the heads of one position, in place.
    pub(super) fn rotate_heads(&self, heads: &mut [f32], d_head: usize, position: usize) {
        let d_rotated = self.cos.dims()[3];
        let row = position * d_rotated..(position + 1) * d_rotated;
        read(&self.cos, |cos| {
            read(&self.sin, |sin| {
                for head in heads.chunks_exact_mut(d_head) {
                    kernels::rotate(&mut head[..d_rotated], &cos[row.clone()], &sin[row.clone()]);
                }
            });
        });
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use super::*;
    use crate::config::RopeScaling;

    fn rotary(d_rotated: usize) -> Rotary {
        Rotary { theta: 1e4, d_rotated, scaling: RopeScaling::None }
    }

    #[test]
    fn position_zero_is_not_rotated() {
        let device = Device::flex();
        let x = Tensor::<4>::from_data([[[[1.0, 2.0, 3.0, 4.0]]]], &device);
        let rotated = RotaryTable::new(&rotary(4), 0, 1, &device).rotate(x.clone());
        assert_eq!(rotated.to_data(), x.to_data());
    }

    #[test]
    fn the_rest_of_a_partly_rotated_head_stays() {
        let device = Device::flex();
        let x = Tensor::<4>::from_data([[[[1.0, 2.0, 3.0, 4.0]]]], &device);
        let rotated = RotaryTable::new(&rotary(2), 3, 1, &device).rotate(x);
        let rotated: Vec<f32> = rotated.to_data().iter::<f32>().collect();
        assert_eq!(rotated[2..], [3.0, 4.0]);
        assert_ne!(rotated[..2], [1.0, 2.0]);
    }

    #[test]
    fn the_dot_product_depends_on_the_distance_alone() {
        let device = Device::flex();
        let vector = |values: [f32; 4]| Tensor::<4>::from_data([[[values]]], &device);
        let dot = |query_position, key_position| {
            let at = |position| RotaryTable::new(&rotary(4), position, 1, &device);
            let query = at(query_position).rotate(vector([0.3, -1.0, 0.7, 2.0]));
            let key = at(key_position).rotate(vector([1.5, 0.2, -0.4, 0.9]));
            (query * key).sum().into_scalar::<f32>()
        };
        assert!((dot(3, 1) - dot(12, 10)).abs() < 1e-5);
        assert!((dot(3, 1) - dot(4, 1)).abs() > 1e-2);
    }
}
