//! Several texts sampled at once, as training data needs them.
//!
//! All texts stand at the same position: a text with a short prompt is continued while the prompts of
//! others are still read, so that no row needs padding. A product with a matrix of weights then serves
//! all of them, which reads the weights once instead of once a text.

use burn::tensor::{Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{GenerateError, LOGITS, check_readable, sample};
use crate::evaluate::read_finite;
use crate::model::{KvCache, LanguageModel};

/// A prompt, and where the random numbers of its text come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampledPrompt {
    pub tokens: Vec<u32>,
    pub seed: u64,
}

/// What was sampled after a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampledText {
    /// Without the prompt and the token that ended it.
    pub tokens: Vec<u32>,
    /// Whether an end-of-text token was sampled; otherwise the limit was reached.
    pub has_ended: bool,
}

/// Continues each prompt by at most `n_tokens`, sampled at this temperature; 0 is greedy. The texts are
/// in the order of the prompts, and each depends on its own prompt and seed only.
///
/// # Errors
/// [`GenerateError`] if a prompt is not valid for the model, or a device is lost.
pub async fn sample_together(
    model: &LanguageModel,
    prompts: &[SampledPrompt],
    n_tokens: usize,
    temperature: f64,
) -> Result<Vec<SampledText>, GenerateError> {
    let max_seq = model.config().max_seq;
    for prompt in prompts {
        check_readable(model, &prompt.tokens)?;
        let n_tokens = prompt.tokens.len();
        if n_tokens >= max_seq {
            return Err(GenerateError::PromptTooLong { n_tokens, max_seq });
        }
    }
    let lengths = || prompts.iter().map(|prompt| prompt.tokens.len());
    let (Some(shortest), Some(longest)) = (lengths().min(), lengths().max()) else {
        return Ok(Vec::new());
    };
    let end_tokens = model.config().end_tokens();
    let capacity = (longest + n_tokens).min(max_seq);
    let mut cache = KvCache::for_rows(model, prompts.len(), capacity);
    let mut rows: Vec<Row<'_>> = prompts.iter().enumerate().map(Row::new).collect();
    let mut texts = vec![SampledText { tokens: Vec::new(), has_ended: false }; prompts.len()];
    // What all prompts have is read in one pass.
    let mut next: Vec<u32> = rows.iter().flat_map(|row| row.prompt[..shortest].to_vec()).collect();
    while cache.room() > 0 && rows.iter().any(|row| !row.is_over) {
        let data: Vec<i64> = next.iter().map(|&token| i64::from(token)).collect();
        let shape = [rows.len(), next.len() / rows.len()];
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(data, shape), &model.device());
        let logits = model.next_logits_of_rows(tokens, &mut cache);
        let position = cache.len();
        let samples = rows.iter().any(|row| row.is_sampled(position));
        let logits = match samples {
            true => read_finite(logits, LOGITS).await?,
            false => Vec::new(),
        };
        let of_row = logits.chunks_exact(model.config().vocab).map(Some);
        let of_row = of_row.chain(std::iter::repeat(None));
        next.clear();
        for (row, logits) in rows.iter_mut().zip(of_row) {
            let text = &mut texts[row.index];
            next.push(match (row.prompt.get(position), logits) {
                (Some(&token), _) => token,
                (None, Some(logits)) if !row.is_over => {
                    let token = sample(logits, temperature, row.rng.random());
                    text.has_ended = end_tokens.contains(&token);
                    if !text.has_ended {
                        text.tokens.push(token);
                    }
                    let is_full = text.tokens.len() == n_tokens || position + 1 == max_seq;
                    row.is_over = text.has_ended || is_full;
                    token
                }
                // Any token: what follows it is not looked at.
                _ => 0,
            });
        }
        drop_rows(&mut rows, &mut next, &mut cache);
    }
    Ok(texts)
}

/// A text that is being sampled.
struct Row<'a> {
    index: usize,
    prompt: &'a [u32],
    rng: ChaCha8Rng,
    is_over: bool,
}

impl<'a> Row<'a> {
    fn new((index, prompt): (usize, &'a SampledPrompt)) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(prompt.seed);
        Self { index, prompt: &prompt.tokens, rng, is_over: false }
    }

    /// Whether the token at a position is sampled, and counts.
    fn is_sampled(&self, position: usize) -> bool {
        !self.is_over && position >= self.prompt.len()
    }
}

/// Forgets the texts that are over once they are half of all; each time copies what is cached.
fn drop_rows(rows: &mut Vec<Row<'_>>, next: &mut Vec<u32>, cache: &mut KvCache) {
    let kept: Vec<usize> = (0..rows.len()).filter(|&index| !rows[index].is_over).collect();
    if kept.is_empty() || 2 * kept.len() > rows.len() {
        return;
    }
    cache.keep_rows(&kept);
    *next = kept.iter().map(|&index| next[index]).collect();
    rows.retain(|row| !row.is_over);
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use futures_lite::future::block_on;

    use super::*;
    use crate::config::ModelConfig;
    use crate::distill::Initialization;
    use crate::generate::{Generation, Sampling};

    fn model(end_tokens: Vec<u32>) -> LanguageModel {
        let config = r#"{"model_type": "qwen3", "vocab_size": 31, "hidden_size": 16,
            "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 32,
            "tie_word_embeddings": true}"#;
        let config = ModelConfig::from_json(config).unwrap().with_end_tokens(end_tokens);
        LanguageModel::random(&config, Initialization::Scaled, 3, &Device::flex())
    }

    fn prompts() -> Vec<SampledPrompt> {
        let all: [&[u32]; 5] = [&[1, 2, 3], &[4], &[5, 6], &[7, 8, 9, 10, 11, 12], &[13]];
        let prompt = |(seed, tokens): (usize, &&[u32])| SampledPrompt {
            tokens: tokens.to_vec(),
            seed: seed as u64,
        };
        all.iter().enumerate().map(prompt).collect()
    }

    #[test]
    fn a_text_is_the_one_that_its_prompt_and_seed_give_alone() {
        let model = model(vec![17]);
        for temperature in [0.0, 1.5] {
            let texts = block_on(sample_together(&model, &prompts(), 12, temperature)).unwrap();
            for (prompt, text) in prompts().iter().zip(texts) {
                let sampling = match temperature > 0.0 {
                    true => Sampling::Random { temperature, seed: prompt.seed },
                    false => Sampling::Greedy,
                };
                let mut alone = Generation::new(&model, &prompt.tokens, 12, sampling).unwrap();
                let mut expected = Vec::new();
                while let Some(token) = block_on(alone.next()).unwrap().filter(|&token| token != 17)
                {
                    expected.push(token);
                }
                assert_eq!(text.tokens, expected, "{prompt:?} at {temperature}");
                assert_eq!(text.has_ended, expected.len() < 12);
            }
        }
    }

    #[test]
    fn the_window_of_the_model_ends_every_text() {
        let texts = block_on(sample_together(&model(Vec::new()), &prompts(), 100, 2.0)).unwrap();
        for (prompt, text) in prompts().iter().zip(texts) {
            assert_eq!(prompt.tokens.len() + text.tokens.len(), 32, "{prompt:?}");
        }
    }

    #[test]
    fn no_prompts_give_no_texts_and_an_empty_one_is_refused() {
        let model = model(vec![17]);
        assert_eq!(block_on(sample_together(&model, &[], 3, 1.0)).unwrap(), []);
        let empty = SampledPrompt { tokens: Vec::new(), seed: 0 };
        let refused = block_on(sample_together(&model, &[empty], 3, 1.0));
        assert!(matches!(refused, Err(GenerateError::EmptyPrompt)));
    }
}
