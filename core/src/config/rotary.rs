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
    /// YaRN (arXiv:2309.00071): pairs that turn more than `fast` times in `original_seq` positions are
    /// unchanged, those that turn less than `slow` times are divided by the factor. Cosines and sines are
    /// multiplied by `magnitude`.
    Yarn {
        factor: f64,
        fast: f64,
        slow: f64,
        original_seq: usize,
        magnitude: f64,
        /// Whether the two limits are whole pairs.
        truncates: bool,
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
            RopeScaling::Yarn { factor, fast, slow, original_seq, truncates, .. } => {
                let d = self.d_rotated as f64;
                // The pair that turns so many times.
                let pair_of = |turns: f64| {
                    let wave = *original_seq as f64 / (turns * std::f64::consts::TAU);
                    d * wave.ln() / (2.0 * self.theta.ln())
                };
                let (low, high) = match truncates {
                    true => (pair_of(*fast).floor(), pair_of(*slow).ceil()),
                    false => (pair_of(*fast), pair_of(*slow)),
                };
                let (low, mut high) = (low.max(0.0), high.min(d - 1.0));
                if low == high {
                    high += 0.001;
                }
                let (low, high, factor) = (low as f32, high as f32, *factor as f32);
                let scaled = |pair: usize| {
                    let kept = 1.0 - ((pair as f32 - low) / (high - low)).clamp(0.0, 1.0);
                    1.0 / (factor * power(pair)) * (1.0 - kept) + 1.0 / power(pair) * kept
                };
                pairs.map(scaled).collect()
            }
        }
    }

    /// Cosines and sines are multiplied by this.
    pub fn magnitude(&self) -> f32 {
        match self.scaling {
            RopeScaling::LongRope { magnitude, .. } | RopeScaling::Yarn { magnitude, .. } => {
                magnitude as f32
            }
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
            RopeScaling::Yarn { factor, fast, slow, original_seq, magnitude, truncates } => write!(
                formatter,
                ", yarn by {factor} from {original_seq} (beta {fast} to {slow}, magnitude {magnitude}, \
                 truncate {truncates})"
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
