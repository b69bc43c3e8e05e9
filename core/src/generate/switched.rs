//! A text that one size of a family began and another continues.
//!
//! The tokens are those of a generation from scratch with the new size, after the text so far. What
//! the two sizes have in common is not computed again (`model/switch.rs`).

use serde::{Deserialize, Serialize};

use super::{GenerateError, Generation, ReplayCache, Sampling, n_possible};
use crate::model::LanguageModel;
use crate::plan::{LayerPlan, Patch};

/// What a size that continues a text shares with the size before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedLayers {
    /// Leading layers that both have.
    pub n_layers: usize,
    /// Layers of the new size whose input is kept for later sizes.
    pub branch_layers: Vec<usize>,
}

/// The work that a change of size saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLayers {
    /// Leading layers that were not run again,
    pub n_layers: usize,
    /// of as many as the new size has,
    pub n_all: usize,
    /// at this number of positions.
    pub n_positions: usize,
}

impl SharedLayers {
    /// For a text that may change to any other member later.
    pub fn new(plan: &LayerPlan, before: &Patch, now: &Patch) -> Self {
        let branch_layers = plan.branch_layers(now);
        Self { n_layers: plan.n_shared_layers(before, now), branch_layers }
    }
}

impl<'model> Generation<'model> {
    /// Keeps the states that enter these layers, so that another size can continue the text with
    /// [`Generation::switched`] without running the shared layers again: `4 * d_model` bytes per
    /// position and layer. Which layers: [`LayerPlan::branch_layers`]. Only before the first token;
    /// without effect on a text that was replayed.
    #[must_use]
    pub fn keeping_states(mut self, layers: &[usize]) -> Self {
        self.cache = self.cache.map_kv_cache(|cache| {
            if cache.is_empty() { cache.keeping_states(layers) } else { cache }
        });
        self
    }

    /// Continues `text` with another size than the one that read its beginning, which is in
    /// `before`. Greedy tokens equal those of [`Generation::new`] with `model` and `text`, and so do
    /// sampled ones: their random numbers start again with the seed.
    ///
    /// # Errors
    /// [`GenerateError`] if the text is not valid for the model.
    ///
    /// # Panics
    /// If the sizes do not have that many layers to share.
    pub fn switched(
        model: &'model LanguageModel,
        before: ReplayCache,
        text: &[u32],
        shared: &SharedLayers,
        n_tokens: usize,
        sampling: Sampling,
    ) -> Result<(Self, KeptLayers), GenerateError> {
        let n_tokens = n_possible(model, text, n_tokens)?;
        let capacity = text.len() + n_tokens;
        let known = before.text();
        let n_same = known.iter().zip(text).take_while(|(known, token)| known == token).count();
        // The last token is read again, for the logits after it.
        let cache = before.into_kv_cache(n_same.min(text.len() - 1));
        let n_all = model.n_layers();
        // Keys turned by the frequencies of a shorter text serve no longer one.
        let Some(cache) = cache.with_capacity(model.config(), capacity) else {
            let again = Self::new(model, text, n_tokens, sampling)?;
            let kept = KeptLayers { n_all, ..KeptLayers::default() };
            return Ok((again.keeping_states(&shared.branch_layers), kept));
        };
        let n_positions = cache.len();
        let read = &text[..n_positions];
        let (cache, n_layers) =
            model.take_over(cache, read, shared.n_layers, &shared.branch_layers);
        let kept = KeptLayers { n_layers, n_all, n_positions };
        Ok((Self::of(model, ReplayCache::empty(text, cache), n_tokens, sampling), kept))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use futures_lite::future::block_on;

    use super::*;
    use crate::config::ModelConfig;
    use crate::distill::Initialization;
    use crate::plan::PatchOrder;
    use crate::prune::{Family, Student, Teacher};

    const PROMPT: [u32; 4] = [3, 1, 4, 1];

    /// Blocks of two layers, of one, and of three; student and teacher have no weight in common.
    fn family(more: &str) -> Family {
        let plan = LayerPlan::keep(&[0, 2, 3], 6).unwrap();
        let model = |n_layers: usize, seed| {
            let config = format!(
                r#"{{"model_type": "qwen3", "vocab_size": 31, "hidden_size": 16,
                "intermediate_size": 24, "num_hidden_layers": {n_layers},
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
                "max_position_embeddings": 64, "tie_word_embeddings": true{more}}}"#
            );
            let config = ModelConfig::from_json(&config).unwrap();
            LanguageModel::random(&config, Initialization::Scaled, seed, &Device::flex())
        };
        let student = Student::new(model(3, 2), plan).unwrap();
        Family::new(Teacher::new(model(6, 1)), student).unwrap()
    }

    fn all_patches(plan: &LayerPlan) -> Vec<Patch> {
        let layers = |bits: u32| (0..3).filter(move |layer| bits >> layer & 1 == 1);
        (0..8).map(|bits| Patch::of(&layers(bits).collect::<Vec<_>>(), plan).unwrap()).collect()
    }

    fn take(generation: &mut Generation<'_>, n: usize) -> Vec<u32> {
        (0..n).map_while(|_| block_on(generation.next()).unwrap()).collect()
    }

    /// A text that `patches` continue in turn, each by as many tokens as it says, checked against
    /// generations from scratch; what each change kept.
    fn written(
        family: &Family,
        spans: &[(&Patch, usize)],
        sampling: Sampling,
        keeps_states: bool,
    ) -> Vec<KeptLayers> {
        let plan = family.plan();
        let members: Vec<LanguageModel> = spans.iter().map(|(it, _)| family.member(it)).collect();
        let branches = |patch| if keeps_states { plan.branch_layers(patch) } else { Vec::new() };
        let mut text = PROMPT.to_vec();
        let (first, n) = spans[0];
        let mut generation = Generation::new(&members[0], &text, n, sampling).unwrap();
        generation = generation.keeping_states(&branches(first));
        text.extend(take(&mut generation, n));
        let mut kept = Vec::new();
        for (index, &(patch, n)) in spans.iter().enumerate().skip(1) {
            let model = &members[index];
            let shared = SharedLayers {
                branch_layers: branches(patch),
                ..SharedLayers::new(plan, spans[index - 1].0, patch)
            };
            let before = generation.into_cache();
            let next = Generation::switched(model, before, &text, &shared, n, sampling).unwrap();
            generation = next.0;
            kept.push(next.1);
            let mut alone = Generation::new(model, &text, n, sampling).unwrap();
            let tokens = take(&mut generation, n);
            assert_eq!(tokens, take(&mut alone, n), "{spans:?}");
            // The logits after the last token that was read, of both.
            let [here, there] =
                [&mut generation, &mut alone].map(|it| it.cache.read_up_to(n, model));
            assert_near(here, there);
            text.extend(tokens);
        }
        kept
    }

    fn assert_near(one: Tensor<2>, other: Tensor<2>) {
        let differences = (one - other).abs().to_data();
        assert!(differences.iter::<f32>().all(|it| it < 1e-5), "{differences}");
    }

    #[test]
    fn any_size_continues_any_other_as_if_it_had_read_the_text() {
        let family = family("");
        let plan = family.plan();
        for before in &all_patches(plan) {
            for now in &all_patches(plan) {
                for n_before in [0, 1, 5] {
                    let spans = [(before, n_before), (now, 7)];
                    let kept = written(&family, &spans, Sampling::Greedy, true)[0];
                    let n_positions = if n_before == 0 { 0 } else { PROMPT.len() + n_before - 1 };
                    assert_eq!(kept.n_positions, n_positions, "{before:?}");
                    let n_shared = plan.n_shared_layers(before, now);
                    assert_eq!(kept.n_layers, if n_before == 0 { 0 } else { n_shared });
                }
            }
        }
    }

    #[test]
    fn several_changes_up_and_down_give_the_tokens_of_each_size_alone() {
        let family = family("");
        for order in [PatchOrder::Last, PatchOrder::First, PatchOrder::Found(vec![1, 2, 0])] {
            let path = order.path(family.plan()).unwrap();
            let [small, middle, large] = [&path[0], &path[1], &path[2]];
            for sampling in [Sampling::Greedy, Sampling::Random { temperature: 0.9, seed: 5 }] {
                let spans = [(small, 3), (large, 4), (middle, 1), (middle, 2), (small, 6)];
                let kept = written(&family, &spans, sampling, true);
                let shared = spans
                    .windows(2)
                    .map(|pair| family.plan().n_shared_layers(pair[0].0, pair[1].0));
                assert!(kept.iter().map(|it| it.n_layers).eq(shared), "{kept:?}");
            }
        }
    }

    #[test]
    fn without_states_all_layers_run_again_and_the_tokens_are_the_same() {
        let family = family("");
        let path = PatchOrder::Last.path(family.plan()).unwrap();
        let spans = [(&path[0], 5), (&path[1], 6)];
        let kept = written(&family, &spans, Sampling::Greedy, false)[0];
        assert_eq!((kept.n_layers, kept.n_positions), (0, PROMPT.len() + 4));
    }

    #[test]
    fn windowed_layers_continue_the_same_text() {
        let more = r#", "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1"#;
        let family = family(more);
        let path = PatchOrder::Last.path(family.plan()).unwrap();
        written(&family, &[(&path[0], 6), (&path[1], 6), (&path[2], 3)], Sampling::Greedy, true);
    }

    #[test]
    fn layers_that_are_shared_are_not_run() {
        let family = family("");
        let plan = family.plan();
        let path = PatchOrder::Last.path(plan).unwrap();
        let small = family.member(&path[0]);
        let mut generation = Generation::new(&small, &PROMPT, 3, Sampling::Greedy).unwrap();
        generation = generation.keeping_states(&plan.branch_layers(&path[0]));
        take(&mut generation, 3);
        let before = generation.into_cache();
        let text = before.text();
        let n_shared = plan.n_shared_layers(&path[0], &path[1]);
        assert!(n_shared > 0);
        // In place of the shared layers, others: what follows is still that of the member.
        let member = family.member(&path[1]);
        let teacher = family.teacher().model().layers();
        let mut layers = member.layers().to_vec();
        layers[..n_shared].clone_from_slice(&teacher[..n_shared]);
        let other = member.with_layers(layers);
        let cache = before.into_kv_cache(text.len() - 1);
        let read = &text[..cache.len()];
        let logits = |model: &LanguageModel| {
            let mut cache = model.take_over(cache.clone(), read, n_shared, &[]).0;
            member.next_logits(&text[text.len() - 1..], &mut cache)
        };
        assert_near(logits(&other), logits(&member));
    }

    #[test]
    fn a_text_with_another_ending_keeps_the_positions_before_it() {
        let family = family("");
        let plan = family.plan();
        let path = PatchOrder::Last.path(plan).unwrap();
        let members = [&path[0], &path[1]].map(|patch| family.member(patch));
        let mut generation = Generation::new(&members[0], &PROMPT, 5, Sampling::Greedy).unwrap();
        generation = generation.keeping_states(&plan.branch_layers(&path[0]));
        let tokens = take(&mut generation, 5);
        let text = [&PROMPT, &tokens[..2], &[(tokens[2] + 1) % 31, 7, 8, 9]].concat();
        let shared = SharedLayers::new(plan, &path[0], &path[1]);
        let before = generation.into_cache();
        let (mut continued, kept) =
            Generation::switched(&members[1], before, &text, &shared, 6, Sampling::Greedy).unwrap();
        assert_eq!(kept.n_positions, PROMPT.len() + 2);
        let mut alone = Generation::new(&members[1], &text, 6, Sampling::Greedy).unwrap();
        assert_eq!(take(&mut continued, 6), take(&mut alone, 6));
    }

    #[test]
    fn a_longer_text_with_other_rotary_frequencies_is_read_again() {
        let factors = |factor: f64| format!("[{factor}, {factor}, {factor}]");
        let family = family(&format!(
            r#", "rope_scaling": {{"rope_type": "longrope", "short_factor": {}, "long_factor": {},
            "original_max_position_embeddings": 16}}, "original_max_position_embeddings": 16"#,
            factors(1.0),
            factors(4.0)
        ));
        let path = PatchOrder::Last.path(family.plan()).unwrap();
        let kept = written(&family, &[(&path[0], 8), (&path[1], 12)], Sampling::Greedy, true)[0];
        assert_eq!((kept.n_layers, kept.n_positions), (0, 0));
    }

    #[test]
    fn the_bytes_of_kept_states_are_counted() {
        let family = family("");
        let plan = family.plan();
        let student = family.member(&Patch::none(plan));
        let n_bytes = |layers: &[usize]| {
            let new = Generation::new(&student, &PROMPT, 6, Sampling::Greedy).unwrap();
            let mut generation = new.keeping_states(layers);
            take(&mut generation, 6);
            generation.into_cache().n_bytes()
        };
        let n_positions = PROMPT.len() + 5;
        let branches = plan.branch_layers(&Patch::none(plan));
        assert_eq!(n_bytes(&branches) - n_bytes(&[]), 4 * 16 * n_positions * branches.len());
    }
}
