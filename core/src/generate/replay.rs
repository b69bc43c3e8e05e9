//! A generated text with its logits and KV cache, from which it can be sampled again with other
//! settings.
//!
//! Transformer Explainer (arXiv:2408.04619) does so for one token; here a whole text is reused up
//! to the first token that differs. The logits stay on the model's device.

use burn::tensor::Tensor;

use crate::config::ModelConfig;
use crate::model::{KvCache, LanguageModel};

/// The cache of one generated text.
///
/// Invariant: `logits[i]` follow the prompt and the first `i` tokens; the KV cache holds no more
/// than the text, and at least everything before the last position of `logits`.
#[derive(Clone, Debug)]
pub struct ReplayCache {
    prompt: Vec<u32>,
    tokens: Vec<u32>,
    /// Each `[1, vocab]`.
    logits: Vec<Tensor<2>>,
    cache: KvCache,
}

impl ReplayCache {
    pub(super) fn empty(prompt: &[u32], cache: KvCache) -> Self {
        Self { prompt: prompt.to_vec(), tokens: Vec::new(), logits: Vec::new(), cache }
    }

    pub fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    /// Prompt and tokens.
    pub fn text(&self) -> Vec<u32> {
        [&*self.prompt, &self.tokens].concat()
    }

    /// The same, smaller: without what another size of the family could use
    /// ([`super::Generation::keeping_states`]).
    #[must_use]
    pub fn without_states(self) -> Self {
        Self { cache: self.cache.without_states(), ..self }
    }

    /// The cache of the text alone, for one that begins with the same `n` tokens.
    pub(super) fn into_kv_cache(self, n: usize) -> KvCache {
        let mut cache = self.cache;
        cache.cut_back(n);
        cache
    }

    pub(super) fn map_kv_cache(self, act: impl FnOnce(KvCache) -> KvCache) -> Self {
        Self { cache: act(self.cache), ..self }
    }

    /// Size of logits, keys and values in bytes.
    pub fn n_bytes(&self) -> usize {
        let n_numbers = |logits: &Tensor<2>| logits.shape().num_elements();
        let n_logits: usize = self.logits.iter().map(n_numbers).sum();
        size_of::<f32>() * n_logits + self.cache.n_bytes()
    }

    /// The cache with capacity for at least this many positions; only the prompt if a sequence of
    /// this length has other rotary frequencies.
    pub(super) fn with_capacity(
        self,
        config: &ModelConfig,
        capacity: usize,
    ) -> Result<Self, Vec<u32>> {
        let Self { prompt, tokens, logits, cache } = self;
        match cache.with_capacity(config, capacity) {
            Some(cache) => Ok(Self { prompt, tokens, logits, cache }),
            None => Err(prompt),
        }
    }

    /// The logits for the token at this index; `None` if they are not cached.
    pub(super) fn logits(&self, index: usize) -> Option<Tensor<2>> {
        self.logits.get(index).cloned()
    }

    /// Runs the model on the tokens before this index that are not in the KV cache. Shape of the
    /// result: `[1, vocab]`
    pub(super) fn read_up_to(&mut self, index: usize, model: &LanguageModel) -> Tensor<2> {
        // The last token is computed again if only its logits were dropped.
        self.cache.cut_back((self.prompt.len() + index).saturating_sub(1));
        let text = self.prompt.iter().chain(&self.tokens[..index]);
        let unseen: Vec<u32> = text.skip(self.cache.len()).copied().collect();
        model.next_logits(&unseen, &mut self.cache)
    }

    /// Appends the logits of the first index that has none.
    pub(super) fn keep_logits(&mut self, logits: Tensor<2>) {
        self.logits.push(logits);
    }

    /// Sets the token at this index; if it differs from before, everything after it is dropped.
    pub(super) fn choose(&mut self, index: usize, token: u32) {
        if self.tokens.get(index) != Some(&token) {
            self.tokens.truncate(index);
            self.tokens.push(token);
            self.logits.truncate(index + 1);
            self.cache.cut_back(self.prompt.len() + index);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use futures_lite::future::block_on;

    use super::super::{Generation, Sampling};
    use super::*;
    use crate::distill::Initialization;

    const PROMPT: [u32; 3] = [3, 1, 4];
    const N_TOKENS: usize = 12;
    const ALL: usize = 1 << 20;

    fn model() -> LanguageModel {
        model_with("")
    }

    fn model_with(more: &str) -> LanguageModel {
        let config = format!(
            r#"{{"model_type": "qwen3", "vocab_size": 31, "hidden_size": 16,
            "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 64,
            "tie_word_embeddings": true{more}}}"#
        );
        let config = ModelConfig::from_json(&config).unwrap();
        LanguageModel::random(&config, Initialization::Scaled, 1, &Device::flex())
    }

    fn random(temperature: f64, seed: u64) -> Sampling {
        Sampling::Random { temperature, seed }
    }

    /// The first `n` tokens of a generation, how many of them were reused, and its cache.
    fn generate(
        mut generation: Generation<'_>,
        n: usize,
    ) -> (Vec<u32>, usize, Option<ReplayCache>) {
        let mut tokens = Vec::new();
        while tokens.len() < n
            && let Some(token) = block_on(generation.next()).unwrap()
        {
            tokens.push(token);
        }
        (tokens, generation.n_reused(), generation.into_replay_cache())
    }

    fn from_scratch(model: &LanguageModel, n_tokens: usize, sampling: Sampling) -> Vec<u32> {
        generate(Generation::new(model, &PROMPT, n_tokens, sampling).unwrap(), n_tokens).0
    }

    /// Samples the same text with many settings in turn and compares each with a generation from
    /// scratch; returns the total number of reused tokens.
    fn replay_with_many_settings(model: &LanguageModel, n_bytes: usize) -> usize {
        let first = Generation::new(model, &PROMPT, N_TOKENS, random(0.7, 1)).unwrap();
        let mut cache = generate(first.keeping(n_bytes), N_TOKENS).2;
        let mut n_reused_in_all = 0;
        // Longer and shorter, and ended early.
        let settings =
            [(random(0.7, 1), 12, 12), (random(0.8, 1), 12, 12), (random(0.8, 1), 20, 20)]
                .into_iter()
                .chain([
                    (Sampling::Greedy, 5, 5),
                    (random(0.8, 1), 30, 9),
                    (random(2.0, 4), 12, 12),
                ])
                .chain((0..20).map(|step| (random(0.1 * f64::from(step), 7), 12, 12)));
        for (sampling, n_tokens, n_taken) in settings {
            let again = Generation::replay(model, cache.unwrap(), n_tokens, sampling).unwrap();
            let (tokens, n_reused, next) = generate(again.keeping(n_bytes), n_taken);
            let expected = from_scratch(model, n_tokens, sampling);
            assert_eq!(tokens, expected[..n_taken], "{sampling:?}");
            n_reused_in_all += n_reused;
            cache = next;
        }
        n_reused_in_all
    }

    #[test]
    fn a_replay_equals_a_generation_from_scratch() {
        assert!(replay_with_many_settings(&model(), ALL) > 100);
    }

    #[test]
    fn logits_beyond_the_kept_ones_are_computed() {
        let n_bytes = 5 * 31 * size_of::<f32>() + 1;
        let n_reused = replay_with_many_settings(&model(), n_bytes);
        assert!((26..=26 * 5).contains(&n_reused), "{n_reused}");
    }

    #[test]
    fn windowed_layers_replay_the_same_text() {
        let more = r#", "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1"#;
        assert!(replay_with_many_settings(&model_with(more), ALL) > 100);
    }

    #[test]
    fn replaying_the_same_settings_needs_no_model() {
        let model = model();
        let first = Generation::new(&model, &PROMPT, N_TOKENS, random(1.0, 3)).unwrap();
        let (tokens, _, cache) = generate(first.keeping(ALL), N_TOKENS);
        let again = Generation::replay(&model, cache.unwrap(), N_TOKENS, random(1.0, 3)).unwrap();
        assert_eq!(generate(again, N_TOKENS).1, N_TOKENS);
        assert_eq!(tokens.len(), N_TOKENS);
    }

    #[test]
    fn tokens_after_an_early_stop_are_still_cached() {
        let model = model();
        let first = Generation::new(&model, &PROMPT, N_TOKENS, random(1.0, 3)).unwrap();
        let before = generate(first.keeping(ALL), N_TOKENS).2.unwrap();
        // The user stops after two tokens and generates again.
        let stopped = Generation::replay(&model, before, N_TOKENS, random(1.0, 3)).unwrap();
        let before = generate(stopped.keeping(ALL), 2).2.unwrap();
        let again = Generation::replay(&model, before, N_TOKENS, random(1.0, 3)).unwrap();
        assert_eq!(generate(again, N_TOKENS).1, N_TOKENS);
    }

    #[test]
    fn the_size_includes_logits_keys_and_values() {
        let model = model();
        let first = Generation::new(&model, &PROMPT, N_TOKENS, Sampling::Greedy).unwrap();
        let cache = generate(first.keeping(5 * 31 * size_of::<f32>()), N_TOKENS).2.unwrap();
        let n_positions = PROMPT.len() + N_TOKENS;
        // Three layers, with two heads of six numbers each for keys and as many for values.
        assert_eq!(cache.n_bytes(), 4 * (5 * 31 + 3 * 2 * 2 * 6 * n_positions));
    }

    #[test]
    fn a_text_without_logits_is_not_kept() {
        let model = model();
        let first = Generation::new(&model, &PROMPT, N_TOKENS, Sampling::Greedy).unwrap();
        assert!(generate(first, N_TOKENS).2.is_none());
    }

    #[test]
    fn positions_with_other_rotary_frequencies_are_computed_again() {
        let factors = |factor: f64| format!("[{factor}, {factor}, {factor}]");
        let more = format!(
            r#", "rope_scaling": {{"rope_type": "longrope", "short_factor": {}, "long_factor": {},
            "original_max_position_embeddings": 16}}, "original_max_position_embeddings": 16"#,
            factors(1.0),
            factors(4.0)
        );
        let model = model_with(&more);
        let first = Generation::new(&model, &PROMPT, 10, Sampling::Greedy).unwrap();
        let before = generate(first.keeping(ALL), 10).2.unwrap();
        let again = Generation::replay(&model, before, 20, Sampling::Greedy).unwrap();
        let (tokens, n_reused, _) = generate(again.keeping(ALL), 20);
        assert_eq!((tokens, n_reused), (from_scratch(&model, 20, Sampling::Greedy), 0));
    }
}
