//! Layers that a training step replaces or drops at random, sampled from a seed.
//!
//! A draw depends on the seed, the step and the micro-batch only, so that a resumed run and every
//! replica draw the same.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::plan::{LayerPlan, Patch};

/// Stochastic patching: each micro-batch trains a member of the family, in which every block of the
/// student is replaced by its teacher layers with this probability. Gradients flow through teacher
/// layers, which are not trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StochasticPatching {
    /// From 0, which trains the student only, to below 1.
    pub probability: f64,
    pub seed: u64,
}

/// `LayerDrop` (arXiv:1909.11556), stochastic depth without rescaling: each micro-batch trains the model
/// without some of its layers, each of which is dropped with this probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerDrop {
    /// From 0, which drops none, to below 1.
    pub rate: f64,
    pub seed: u64,
}

impl StochasticPatching {
    /// The blocks that are replaced for a micro-batch, both numbered from 0. One block stays at least,
    /// as there would be nothing to train.
    pub fn patch(&self, plan: &LayerPlan, step: usize, micro_batch: usize) -> Patch {
        let flags =
            sampled(self.seed, [step, micro_batch], plan.n_student_layers(), self.probability);
        let layers = (0..flags.len()).filter(|&layer| flags[layer]);
        // Every number is that of a layer of the plan.
        Patch::of(&layers.collect::<Vec<_>>(), plan).unwrap_or_else(|_| Patch::none(plan))
    }
}

impl LayerDrop {
    /// Which of `n_layers` layers a micro-batch trains, ascending; one at least.
    pub fn kept(&self, n_layers: usize, step: usize, micro_batch: usize) -> Vec<usize> {
        let flags = sampled(self.seed, [step, micro_batch], n_layers, self.rate);
        (0..n_layers).filter(|&layer| !flags[layer]).collect()
    }
}

/// `n` flags, each true with a probability. Where all would be, a random one is not.
fn sampled(seed: u64, [step, micro_batch]: [usize; 2], n: usize, probability: f64) -> Vec<bool> {
    let mut key = [0; 32];
    for (bytes, number) in key.chunks_mut(8).zip([seed, step as u64, micro_batch as u64]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(key);
    let mut flags: Vec<bool> = (0..n).map(|_| rng.random::<f64>() < probability).collect();
    if n > 0 && flags.iter().all(|&flag| flag) {
        flags[rng.random_range(0..n as u64) as usize] = false;
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patching(probability: f64) -> StochasticPatching {
        StochasticPatching { probability, seed: 7 }
    }

    fn plan() -> LayerPlan {
        LayerPlan::keep(&[0, 2, 5], 6).unwrap()
    }

    #[test]
    fn blocks_are_replaced_with_the_probability() {
        let drop = LayerDrop { rate: 0.25, seed: 3 };
        let n_kept: usize = (0..1000).map(|step| drop.kept(12, step, 0).len()).sum();
        let rate = 1.0 - n_kept as f64 / 12_000.0;
        // Four standard errors.
        assert!((rate - 0.25).abs() < 0.016, "{rate}");
    }

    #[test]
    fn a_probability_of_0_replaces_nothing() {
        for step in 0..100 {
            assert_eq!(patching(0.0).patch(&plan(), step, 0), Patch::none(&plan()));
        }
    }

    #[test]
    fn a_block_of_the_student_stays() {
        let mut that_stay: Vec<usize> = Vec::new();
        for step in 0..100 {
            let patched = patching(0.999).patch(&plan(), step, 0).layers();
            assert!(patched.len() <= 2, "step {step}: {patched:?}");
            that_stay.extend((0..3).filter(|layer| !patched.contains(layer)));
        }
        // Not always the same one.
        assert!((0..3).all(|layer| that_stay.contains(&layer)));
    }

    #[test]
    fn steps_and_micro_batches_have_draws_of_their_own() {
        let all = |step: usize, micro_batch| -> Vec<Patch> {
            let steps = step..step + 20;
            steps.map(|step| patching(0.5).patch(&plan(), step, micro_batch)).collect()
        };
        let patches = [all(0, 0), all(0, 1), all(20, 0)];
        assert!(patches[0] != patches[1] && patches[0] != patches[2]);
        assert_eq!(patches[0], all(0, 0));
    }
}
