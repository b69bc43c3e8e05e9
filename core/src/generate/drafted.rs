//! Speculative decoding: a small model drafts, a large one verifies several tokens in one pass.
//!
//! Decoding one token reads all weights of the large model; verifying a few tokens reads them once, too.
//! Greedy decoding gives the tokens of the large model alone. Sampling gives its distribution exactly:
//! a drafted token `x` is kept with probability `min(1, p(x) / q(x))`, and otherwise replaced by a
//! sample from `max(0, p - q)`, normalized (Leviathan et al., arXiv:2211.17192, algorithm 1).

use std::collections::VecDeque;

use burn::tensor::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::pace::Pace;
use super::{
    GenerateError, LOGITS, Sampling, argmax_of_rows, check_readable, index_at, probabilities,
};
use crate::evaluate::read_finite;
use crate::model::{KvCache, LanguageModel};

/// A generation in progress, of the `verifier`.
pub struct DraftedGeneration<'model> {
    verifier: Reader<'model>,
    draft: Reader<'model>,
    /// The prompt and all tokens that were chosen.
    text: Vec<u32>,
    /// Tokens that were chosen and not returned yet.
    ready: VecDeque<u32>,
    /// Length of the text at the end.
    end: usize,
    /// Tokens to draft in a round.
    n_drafted: usize,
    sampling: Sampling,
    rng: ChaCha8Rng,
    counts: DraftCounts,
    /// Decides how many tokens to draft, and the clock in seconds that it measures rounds with.
    pace: Option<(Pace, Clock<'model>)>,
}

type Clock<'model> = Box<dyn Fn() -> f64 + 'model>;

/// How well the draft predicted the verifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DraftCounts {
    /// Passes of the verifier.
    pub n_rounds: usize,
    pub n_drafted: usize,
    pub n_accepted: usize,
}

/// A model that has read the beginning of the text.
struct Reader<'model> {
    model: &'model LanguageModel,
    cache: KvCache,
    /// Positions that it can read.
    capacity: usize,
}

impl<'model> DraftedGeneration<'model> {
    /// Continues `prompt` by at most `n_tokens`, fewer if the verifier's window ends; the draft proposes
    /// `n_drafted` tokens at a time, and none beyond its own window.
    ///
    /// # Errors
    /// [`GenerateError`] if the prompt is not valid for one of the two models, or if they have different
    /// vocabularies.
    pub fn new(
        verifier: &'model LanguageModel,
        draft: &'model LanguageModel,
        prompt: &[u32],
        n_tokens: usize,
        n_drafted: usize,
        sampling: Sampling,
    ) -> Result<Self, GenerateError> {
        let (vocab, of_draft) = (verifier.config().vocab, draft.config().vocab);
        if vocab != of_draft {
            return Err(GenerateError::DraftVocabulary { draft: of_draft, model: vocab });
        }
        check_readable(verifier, prompt)?;
        check_readable(draft, prompt)?;
        let max_seq = verifier.config().max_seq;
        if prompt.len() >= max_seq {
            return Err(GenerateError::PromptTooLong { n_tokens: prompt.len(), max_seq });
        }
        let end = prompt.len() + n_tokens.min(max_seq - prompt.len());
        let reader = |model: &'model LanguageModel| {
            let capacity = end.min(model.config().max_seq);
            Reader { model, cache: KvCache::new(model, capacity), capacity }
        };
        Ok(Self {
            verifier: reader(verifier),
            draft: reader(draft),
            text: prompt.to_vec(),
            ready: VecDeque::new(),
            end,
            n_drafted,
            sampling,
            rng: sampling.rng(),
            counts: DraftCounts::default(),
            pace: None,
        })
    }

    /// Drafts only where it is faster: up to as many tokens as it may, as measured with `clock`, in
    /// seconds. Only greedy decoding gives the same tokens whatever is drafted, so that a sampled text,
    /// which its seed should reproduce, drafts the same number as before.
    #[must_use]
    pub fn paced_by(mut self, clock: impl Fn() -> f64 + 'model) -> Self {
        if self.sampling == Sampling::Greedy {
            self.pace = Some((Pace::default(), Box::new(clock)));
        }
        self
    }

    /// The next token; `None` after the last one.
    ///
    /// # Errors
    /// [`GenerateError::ReadBack`] if the device is lost, or the logits are not finite.
    pub async fn next(&mut self) -> Result<Option<u32>, GenerateError> {
        if self.ready.is_empty() && self.text.len() < self.end {
            let chosen = match self.sampling {
                Sampling::Greedy => self.paced_round().await?,
                Sampling::Random { temperature, .. } => {
                    self.sampled_round(self.n_now(), temperature).await?
                }
            };
            self.text.extend(&chosen);
            // The last token is not in any cache, and what was rejected leaves them.
            self.verifier.cache.cut_back(self.text.len() - 1);
            self.draft.cache.cut_back(self.text.len() - 1);
            self.ready.extend(chosen);
        }
        Ok(self.ready.pop_front())
    }

    pub fn counts(&self) -> DraftCounts {
        self.counts
    }

    /// Tokens to draft now: the verifier adds one to those it accepts, and the draft reads all but the
    /// last of them.
    fn n_now(&self) -> usize {
        let in_window = (self.draft.capacity + 1).saturating_sub(self.text.len());
        self.n_drafted.min(self.end - self.text.len() - 1).min(in_window)
    }

    async fn paced_round(&mut self) -> Result<Vec<u32>, GenerateError> {
        let most = self.n_now();
        let Some((mut pace, clock)) = self.pace.take() else {
            return self.greedy_round(most).await;
        };
        let n_drafted = pace.n_to_draft(most);
        let began = clock();
        let chosen = self.greedy_round(n_drafted).await?;
        pace.note(n_drafted, chosen.len() - 1, clock() - began);
        self.pace = Some((pace, clock));
        Ok(chosen)
    }

    async fn greedy_round(&mut self, n_drafted: usize) -> Result<Vec<u32>, GenerateError> {
        let mut text = self.text.clone();
        for _ in 0..n_drafted {
            let logits = self.draft.read(&text, 1);
            text.extend(argmax_of_rows(logits).await?);
        }
        let drafted = &text[self.text.len()..];
        let mut best = argmax_of_rows(self.verifier.read(&text, drafted.len() + 1)).await?;
        let n_accepted = drafted.iter().zip(&best).take_while(|(x, best)| x == best).count();
        self.count(drafted.len(), n_accepted);
        best.truncate(n_accepted + 1);
        Ok(best)
    }

    async fn sampled_round(
        &mut self,
        n_drafted: usize,
        temperature: f64,
    ) -> Result<Vec<u32>, GenerateError> {
        let vocab = self.verifier.model.config().vocab;
        let mut text = self.text.clone();
        let mut proposed: Vec<Vec<f64>> = Vec::new();
        for _ in 0..n_drafted {
            let logits = read_finite(self.draft.read(&text, 1), LOGITS).await?;
            let q = probabilities(&logits, temperature);
            text.push(index_at(&q, self.rng.random()));
            proposed.push(q);
        }
        let logits = self.verifier.read(&text, proposed.len() + 1);
        let logits = read_finite(logits, LOGITS).await?;
        let mut rows = logits.chunks(vocab).map(|row| probabilities(row, temperature));
        let mut chosen = Vec::new();
        for (q, &x) in proposed.iter().zip(&text[self.text.len()..]) {
            let Some(p) = rows.next() else { break };
            let token = x as usize;
            if self.rng.random::<f64>() * q[token] < p[token] {
                chosen.push(x);
                continue;
            }
            let rest: Vec<f64> = p.iter().zip(q).map(|(p, q)| (p - q).max(0.0)).collect();
            // Without a rest the two are equal but for rounding.
            let rest = if rest.iter().sum::<f64>() > 0.0 { rest } else { p };
            let n_accepted = chosen.len();
            chosen.push(index_at(&rest, self.rng.random()));
            self.count(proposed.len(), n_accepted);
            return Ok(chosen);
        }
        self.count(proposed.len(), chosen.len());
        chosen.extend(rows.next().map(|p| index_at(&p, self.rng.random())));
        Ok(chosen)
    }

    fn count(&mut self, n_drafted: usize, n_accepted: usize) {
        self.counts.n_rounds += 1;
        self.counts.n_drafted += n_drafted;
        self.counts.n_accepted += n_accepted;
    }
}

impl Reader<'_> {
    /// Reads what is new of the text; logits after each of its last `n` tokens, `[n, vocab]`.
    fn read(&mut self, text: &[u32], n: usize) -> Tensor<2> {
        self.model.continued_logits(&text[self.cache.len()..], n, &mut self.cache)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use futures_lite::future::block_on;

    use super::*;
    use crate::config::ModelConfig;
    use crate::distill::Initialization;
    use crate::generate::Generation;

    fn config(vocab: usize, window: usize) -> ModelConfig {
        let json = serde_json::json!({
            "model_type": "llama", "vocab_size": vocab, "hidden_size": 16,
            "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "max_position_embeddings": window, "rms_norm_eps": 1e-6,
            "tie_word_embeddings": true, "eos_token_id": 2,
        });
        ModelConfig::from_json(&json.to_string()).unwrap()
    }

    fn model(seed: u64) -> LanguageModel {
        LanguageModel::random(&config(11, 64), Initialization::Scaled, seed, &Device::flex())
    }

    fn drafted(
        [verifier, draft]: [&LanguageModel; 2],
        n_tokens: usize,
        n_drafted: usize,
        sampling: Sampling,
    ) -> (Vec<u32>, DraftCounts) {
        let prompt = [1, 5, 3];
        let mut run =
            DraftedGeneration::new(verifier, draft, &prompt, n_tokens, n_drafted, sampling)
                .unwrap();
        let mut tokens = Vec::new();
        while let Some(token) = block_on(run.next()).unwrap() {
            tokens.push(token);
        }
        (tokens, run.counts())
    }

    #[test]
    fn greedy_tokens_are_those_of_the_verifier_alone() {
        let (verifier, draft) = (model(1), model(2));
        let mut run = Generation::new(&verifier, &[1, 5, 3], 50, Sampling::Greedy).unwrap();
        let mut alone = Vec::new();
        while let Some(token) = block_on(run.next()).unwrap() {
            alone.push(token);
        }
        for n_drafted in [0, 1, 4, 100] {
            let (tokens, counts) = drafted([&verifier, &draft], 50, n_drafted, Sampling::Greedy);
            assert_eq!(tokens, alone, "{n_drafted} drafted");
            assert!(counts.n_accepted <= counts.n_drafted);
        }
    }

    #[test]
    fn greedy_tokens_are_the_same_whatever_the_clock_says() {
        let (verifier, draft) = (model(1), model(2));
        let (expected, _) = drafted([&verifier, &draft], 50, 4, Sampling::Greedy);
        let ticks = std::cell::Cell::new(0_u32);
        let clock = || {
            ticks.set(ticks.get() + 1);
            f64::from(ticks.get().wrapping_mul(2_654_435_761) % 97)
        };
        let run = DraftedGeneration::new(&verifier, &draft, &[1, 5, 3], 50, 4, Sampling::Greedy);
        let mut run = run.unwrap().paced_by(clock);
        let mut tokens = Vec::new();
        while let Some(token) = block_on(run.next()).unwrap() {
            tokens.push(token);
        }
        assert_eq!(tokens, expected);
        assert!(ticks.get() > 0);
    }

    #[test]
    fn a_draft_proposes_nothing_beyond_its_window() {
        let verifier = model(1);
        let alone = drafted([&verifier, &verifier], 50, 0, Sampling::Greedy).0;
        // The verifier adds a token to those of each round.
        for (window, n_drafted) in [(2, 0), (3, 1), (10, 4 + 3)] {
            let config = config(11, window);
            let draft = LanguageModel::random(&config, Initialization::Scaled, 1, &Device::flex());
            let (tokens, counts) = drafted([&verifier, &draft], 50, 4, Sampling::Greedy);
            assert_eq!(tokens, alone, "{window}");
            assert_eq!(counts.n_drafted, n_drafted, "{window}");
        }
    }

    #[test]
    fn a_model_accepts_all_that_it_drafted_itself() {
        let verifier = model(1);
        let (tokens, counts) = drafted([&verifier, &verifier], 40, 4, Sampling::Greedy);
        assert_eq!(tokens.len(), 40);
        assert_eq!((counts.n_rounds, counts.n_drafted, counts.n_accepted), (8, 32, 32));
    }

    #[test]
    fn sampled_tokens_have_the_distribution_of_the_verifier() {
        let (verifier, draft) = (model(1), model(2));
        let expected = |prompt: &[u32]| {
            let mut cache = KvCache::new(&verifier, prompt.len());
            let logits = verifier.next_logits(prompt, &mut cache);
            probabilities(&block_on(read_finite(logits, LOGITS)).unwrap(), 1.0)
        };
        const N: usize = 4000;
        let mut counts = vec![0.0; 11 * 11];
        for seed in 0..N as u64 {
            let sampling = Sampling::Random { temperature: 1.0, seed };
            let (tokens, _) = drafted([&verifier, &draft], 3, 2, sampling);
            counts[tokens[0] as usize * 11 + tokens[1] as usize] += 1.0;
        }
        let first = expected(&[1, 5, 3]);
        let mut chi_squared = 0.0;
        for (one, p) in first.iter().enumerate() {
            for (two, q) in expected(&[1, 5, 3, one as u32]).iter().enumerate() {
                let n = N as f64 * p * q;
                chi_squared += (counts[one * 11 + two] - n).powi(2) / n;
            }
        }
        // 120 degrees of freedom: mean 120, standard deviation 15.5.
        assert!(chi_squared < 120.0 + 5.0 * 15.5, "{chi_squared}");
    }

    #[test]
    fn a_draft_of_another_vocabulary_is_refused() {
        let other =
            LanguageModel::random(&config(12, 64), Initialization::Scaled, 0, &Device::flex());
        let verifier = model(1);
        let found = DraftedGeneration::new(&verifier, &other, &[1], 4, 2, Sampling::Greedy);
        assert!(matches!(
            found.err(),
            Some(GenerateError::DraftVocabulary { draft: 12, model: 11 })
        ));
    }
}
