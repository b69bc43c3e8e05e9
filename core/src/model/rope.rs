//! Rotary position embeddings (RoPE, arXiv:2104.09864), in the half-split form of Llama and Qwen.

use burn::tensor::{Device, Tensor, TensorData};

/// Cosines and sines of the rotation at each of a run of positions.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    /// `[seq, d_head]`, the second half repeating the first.
    cos: Tensor<2>,
    /// `[seq, d_head]`, as `cos`.
    sin: Tensor<2>,
}

impl RotaryTable {
    /// The table for positions `start .. start + seq`.
    pub fn new(start: usize, seq: usize, d_head: usize, theta: f64, device: &Device) -> Self {
        let half = d_head / 2;
        // In f32 as transformers computes it, so that long positions round alike.
        let frequencies: Vec<f32> =
            (0..half).map(|i| 1.0 / (theta as f32).powf((2 * i) as f32 / d_head as f32)).collect();
        let angles: Vec<f32> = (start..start + seq)
            .flat_map(|position| {
                let row = frequencies.iter().map(move |frequency| position as f32 * frequency);
                row.clone().chain(row)
            })
            .collect();
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(angle)).collect();
            Tensor::from_data(TensorData::new(values, [seq, d_head]), device)
        };
        Self { cos: table(f32::cos), sin: table(f32::sin) }
    }

    /// The positions `start .. start + seq`, counted from the table's first.
    pub fn slice(&self, start: usize, seq: usize) -> Self {
        Self {
            cos: self.cos.clone().narrow(0, start, seq),
            sin: self.sin.clone().narrow(0, start, seq),
        }
    }

    /// Rotates each head. Shapes: `x` and the result are `[batch, heads, seq, d_head]`.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let first = x.clone().narrow(3, 0, half);
        let second = x.clone().narrow(3, half, half);
        let turned = Tensor::cat(vec![-second, first], 3);
        x * self.cos.clone().unsqueeze() + turned * self.sin.clone().unsqueeze()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use super::*;

    #[test]
    fn position_zero_is_not_rotated() {
        let device = Device::flex();
        let x = Tensor::<4>::from_data([[[[1.0, 2.0, 3.0, 4.0]]]], &device);
        let rotated = RotaryTable::new(0, 1, 4, 1e4, &device).rotate(x.clone());
        assert_eq!(rotated.to_data(), x.to_data());
    }

    #[test]
    fn the_dot_product_depends_on_the_distance_alone() {
        let device = Device::flex();
        let vector = |values: [f32; 4]| Tensor::<4>::from_data([[[values]]], &device);
        let dot = |query_position, key_position| {
            let at = |position| RotaryTable::new(position, 1, 4, 1e4, &device);
            let query = at(query_position).rotate(vector([0.3, -1.0, 0.7, 2.0]));
            let key = at(key_position).rotate(vector([1.5, 0.2, -0.4, 0.9]));
            (query * key).sum().into_scalar::<f32>()
        };
        assert!((dot(3, 1) - dot(12, 10)).abs() < 1e-5);
        assert!((dot(3, 1) - dot(4, 1)).abs() > 1e-2);
    }
}
