//! A text with what the model said along it, from which it can be drawn again with other chances.
//!
//! Transformer Explainer (arXiv:2408.04619) does so for one token; here a whole text is followed until
//! a token falls out otherwise. The logits stay on the model's device.

use burn::tensor::{Int, Tensor, TensorData};

use crate::config::ModelConfig;
use crate::model::{KvCache, LanguageModel};

/// A text of one model.
///
/// Invariant: `logits` are those of the first places, each behind the prompt and the tokens before
/// it; the cache has seen no more than the text, and all before the last place of `logits`.
#[derive(Clone, Debug)]
pub struct ReplayCache {
    prompt: Vec<u32>,
    tokens: Vec<u32>,
    /// Each `[1, vocab]`.
    logits: Vec<Tensor<2>>,
    cache: KvCache,
}

impl ReplayCache {
    pub(super) fn nothing(prompt: &[u32], cache: KvCache) -> Self {
        Self { prompt: prompt.to_vec(), tokens: Vec::new(), logits: Vec::new(), cache }
    }

    pub fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    /// Of the logits, and of keys and values.
    pub fn n_bytes(&self) -> usize {
        let n_numbers = |logits: &Tensor<2>| logits.shape().num_elements();
        let n_logits: usize = self.logits.iter().map(n_numbers).sum();
        size_of::<f32>() * n_logits + self.cache.n_bytes()
    }

    /// With room for so many positions in all, or more; only the prompt where those of so long a text
    /// are turned otherwise.
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

    /// What the model said at a place; `None` where that is not known.
    pub(super) fn logits(&self, place: usize) -> Option<Tensor<2>> {
        self.logits.get(place).cloned()
    }

    /// Lets the model read what it has not seen of the text before a place. Shape of the result:
    /// `[1, vocab]`
    pub(super) fn read_up_to(&mut self, place: usize, model: &LanguageModel) -> Tensor<2> {
        // The last token is read again where only its logits were let go of.
        self.cache.cut_back((self.prompt.len() + place).saturating_sub(1));
        let text = self.prompt.iter().chain(&self.tokens[..place]);
        let unseen: Vec<i64> = text.skip(self.cache.len()).map(|&token| i64::from(token)).collect();
        let shape = [1, unseen.len()];
        let unseen = Tensor::<2, Int>::from_data(TensorData::new(unseen, shape), &model.device());
        model.next_logits(unseen, &mut self.cache)
    }

    /// Those of the first place that is not known.
    pub(super) fn keep_logits(&mut self, logits: Tensor<2>) {
        self.logits.push(logits);
    }

    /// Puts a token at a place; where it is another than before, what came after it is let go of.
    pub(super) fn choose(&mut self, place: usize, token: u32) {
        if self.tokens.get(place) != Some(&token) {
            self.tokens.truncate(place);
            self.tokens.push(token);
            self.logits.truncate(place + 1);
            self.cache.cut_back(self.prompt.len() + place);
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

    /// The first of a generation's tokens, how many of them were known, and the text for another.
    fn written(mut generation: Generation<'_>, n: usize) -> (Vec<u32>, usize, Option<ReplayCache>) {
        let mut tokens = Vec::new();
        while tokens.len() < n
            && let Some(token) = block_on(generation.next()).unwrap()
        {
            tokens.push(token);
        }
        (tokens, generation.n_reused(), generation.into_replay_cache())
    }

    fn from_scratch(model: &LanguageModel, n_tokens: usize, sampling: Sampling) -> Vec<u32> {
        written(Generation::new(model, &PROMPT, n_tokens, sampling).unwrap(), n_tokens).0
    }

    /// Draws the same text in many ways, one after the other, and compares each with one from
    /// scratch; how many tokens were known in all.
    fn draw_in_many_ways(model: &LanguageModel, n_bytes: usize) -> usize {
        let first = Generation::new(model, &PROMPT, N_TOKENS, random(0.7, 1)).unwrap();
        let mut before = written(first.keeping(n_bytes), N_TOKENS).2;
        let mut n_known = 0;
        // Longer and shorter, and ended early.
        let wishes = [(random(0.7, 1), 12, 12), (random(0.8, 1), 12, 12), (random(0.8, 1), 20, 20)]
            .into_iter()
            .chain([(Sampling::Greedy, 5, 5), (random(0.8, 1), 30, 9), (random(2.0, 4), 12, 12)])
            .chain((0..20).map(|step| (random(0.1 * f64::from(step), 7), 12, 12)));
        for (sampling, n_tokens, n_taken) in wishes {
            let again = Generation::replay(model, before.unwrap(), n_tokens, sampling).unwrap();
            let (tokens, n_reused, now) = written(again.keeping(n_bytes), n_taken);
            let expected = from_scratch(model, n_tokens, sampling);
            assert_eq!(tokens, expected[..n_taken], "{sampling:?}");
            n_known += n_reused;
            before = now;
        }
        n_known
    }

    #[test]
    fn a_text_drawn_again_is_the_text_written_from_scratch() {
        assert!(draw_in_many_ways(&model(), ALL) > 100);
    }

    #[test]
    fn where_few_logits_are_kept_the_rest_is_computed() {
        let n_bytes = 5 * 31 * size_of::<f32>() + 1;
        let n_known = draw_in_many_ways(&model(), n_bytes);
        assert!((26..=26 * 5).contains(&n_known), "{n_known}");
    }

    #[test]
    fn layers_that_see_only_a_window_are_drawn_again_alike() {
        let more = r#", "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1"#;
        assert!(draw_in_many_ways(&model_with(more), ALL) > 100);
    }

    #[test]
    fn the_same_chances_need_no_model() {
        let model = model();
        let first = Generation::new(&model, &PROMPT, N_TOKENS, random(1.0, 3)).unwrap();
        let (tokens, _, before) = written(first.keeping(ALL), N_TOKENS);
        let again = Generation::replay(&model, before.unwrap(), N_TOKENS, random(1.0, 3)).unwrap();
        assert_eq!(written(again, N_TOKENS).1, N_TOKENS);
        assert_eq!(tokens.len(), N_TOKENS);
    }

    #[test]
    fn what_was_cut_off_from_the_end_is_still_known_afterwards() {
        let model = model();
        let first = Generation::new(&model, &PROMPT, N_TOKENS, random(1.0, 3)).unwrap();
        let before = written(first.keeping(ALL), N_TOKENS).2.unwrap();
        // The reader stops after two tokens, and draws once more.
        let stopped = Generation::replay(&model, before, N_TOKENS, random(1.0, 3)).unwrap();
        let before = written(stopped.keeping(ALL), 2).2.unwrap();
        let again = Generation::replay(&model, before, N_TOKENS, random(1.0, 3)).unwrap();
        assert_eq!(written(again, N_TOKENS).1, N_TOKENS);
    }

    #[test]
    fn what_is_kept_is_counted_with_its_keys_and_values() {
        let model = model();
        let first = Generation::new(&model, &PROMPT, N_TOKENS, Sampling::Greedy).unwrap();
        let written = written(first.keeping(5 * 31 * size_of::<f32>()), N_TOKENS).2.unwrap();
        let n_positions = PROMPT.len() + N_TOKENS;
        // Three layers, with two heads of six numbers each for keys and as many for values.
        assert_eq!(written.n_bytes(), 4 * (5 * 31 + 3 * 2 * 2 * 6 * n_positions));
    }

    #[test]
    fn a_text_without_logits_is_not_kept() {
        let model = model();
        let first = Generation::new(&model, &PROMPT, N_TOKENS, Sampling::Greedy).unwrap();
        assert!(written(first, N_TOKENS).2.is_none());
    }

    #[test]
    fn positions_that_turn_otherwise_in_long_texts_are_computed_anew() {
        let factors = |factor: f64| format!("[{factor}, {factor}, {factor}]");
        let more = format!(
            r#", "rope_scaling": {{"rope_type": "longrope", "short_factor": {}, "long_factor": {},
            "original_max_position_embeddings": 16}}, "original_max_position_embeddings": 16"#,
            factors(1.0),
            factors(4.0)
        );
        let model = model_with(&more);
        let first = Generation::new(&model, &PROMPT, 10, Sampling::Greedy).unwrap();
        let before = written(first.keeping(ALL), 10).2.unwrap();
        let again = Generation::replay(&model, before, 20, Sampling::Greedy).unwrap();
        let (tokens, n_reused, _) = written(again.keeping(ALL), 20);
        assert_eq!((tokens, n_reused), (from_scratch(&model, 20, Sampling::Greedy), 0));
    }
}
