//! The parameters of rotary position embeddings (RoPE, arXiv:2104.09864), and their variants for
//! long contexts.

use std::fmt;

/// Rotation frequencies of the dimension pairs of a head.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    pub theta: f64,
    /// Number of rotated dimensions of a head, from the first; even.
    pub d_rotated: usize,
    pub scaling: RopeScaling,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    None,
    /// All positions are divided by the factor.
    Linear {
        factor: f64,
    },
    /// Dynamic NTK scaling. It applies only beyond the model's window, where no input is accepted,
    /// and equals [`RopeScaling::None`] below.
    Dynamic {
        factor: f64,
        window: usize,
    },
    /// Llama 3.1: low frequencies are divided by the factor, high ones are unchanged.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original_seq: usize,
    },
    /// LongRoPE (arXiv:2402.13753): a factor per pair, with one list for sequences up to
    /// `original_seq` and one for longer ones. Cosines and sines are multiplied by `magnitude`.
    LongRope {
        short: Vec<f64>,
        long: Vec<f64>,
        original_seq: usize,
        magnitude: f64,
    },
}

impl Rotary {
    /// Rotation per position of each pair in radians, for a sequence of `seq` positions.
    ///
    /// Computed in f32 as in transformers, so that large positions round the same way.
    pub fn frequencies(&self, seq: usize) -> Vec<f32> {
        let d_rotated = self.d_rotated as f32;
        let exponent = |pair: usize| (2 * pair) as f32 / d_rotated;
        let power = |pair: usize| (self.theta as f32).powf(exponent(pair));
        let pairs = 0..self.d_rotated / 2;
        match &self.scaling {
            RopeScaling::None | RopeScaling::Dynamic { .. } => {
                pairs.map(|pair| 1.0 / power(pair)).collect()
            }
            RopeScaling::Linear { factor } => {
                pairs.map(|pair| 1.0 / power(pair) / *factor as f32).collect()
            }
            RopeScaling::Llama3 { factor, low, high, original_seq } => {
                let (factor, low, high) = (*factor as f32, *low as f32, *high as f32);
                let original_seq = *original_seq as f32;
                let scaled = |pair: usize| {
                    let frequency = 1.0 / power(pair);
                    let turns = original_seq * frequency / std::f32::consts::TAU;
                    let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - share) * frequency / factor + share * frequency
                };
                pairs.map(scaled).collect()
            }
            RopeScaling::LongRope { short, long, original_seq, .. } => {
                let factors = if seq > *original_seq { long } else { short };
                pairs.map(|pair| 1.0 / (factors[pair] as f32 * power(pair))).collect()
            }
        }
    }

    /// Cosines and sines are multiplied by this.
    pub fn magnitude(&self) -> f32 {
        match self.scaling {
            RopeScaling::LongRope { magnitude, .. } => magnitude as f32,
            _ => 1.0,
        }
    }
}

/// In the terms of `config.json`.
impl fmt::Display for Rotary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "theta {}, {} rotated dimensions", self.theta, self.d_rotated)?;
        match &self.scaling {
            RopeScaling::None => Ok(()),
            RopeScaling::Linear { factor } => write!(formatter, ", linear by {factor}"),
            RopeScaling::Dynamic { factor, window } => {
                write!(formatter, ", dynamic by {factor} beyond {window}")
            }
            RopeScaling::Llama3 { factor, low, high, original_seq } => write!(
                formatter,
                ", llama3 by {factor} from {original_seq} (factors {low} to {high})"
            ),
            RopeScaling::LongRope { original_seq, magnitude, short, long } => write!(
                formatter,
                ", longrope from {original_seq} (magnitude {magnitude}, factors {short:?} and \
                 {long:?})"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_slows_only_the_slow_pairs() {
        let plain = Rotary { theta: 1e4, d_rotated: 8, scaling: RopeScaling::None };
        let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_seq: 64 };
        let scaled = Rotary { scaling, ..plain.clone() };
        let (plain, scaled) = (plain.frequencies(8), scaled.frequencies(8));
        assert_eq!(plain[0], scaled[0]);
        assert!((plain[3] / scaled[3] - 8.0).abs() < 1e-5);
    }

    #[test]
    fn long_texts_have_other_factors() {
        let scaling = RopeScaling::LongRope {
            short: vec![1.0, 1.0],
            long: vec![2.0, 4.0],
            original_seq: 16,
            magnitude: 1.2,
        };
        let rotary = Rotary { theta: 1e4, d_rotated: 4, scaling };
        assert_eq!(rotary.frequencies(16)[0], 1.0);
        assert_eq!(rotary.frequencies(17)[0], 0.5);
    }
}
