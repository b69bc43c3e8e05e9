//! Perplexity of texts.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::request::{Likelihood, Request};

/// A text to be scored, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextDoc {
    /// Every token after the first is scored; for a tokenizer without BOS the end-of-text token
    /// should come first.
    pub tokens: Vec<u32>,
    /// Length of the text in bytes, for bits per byte; 0 if only its tokens are known.
    pub n_bytes: usize,
    /// Whether each token is scored; `None` if all are.
    pub is_label: Option<Vec<bool>>,
}

/// Perplexity over a set of texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    /// Mean negative log-likelihood per token, in nats.
    pub nats_per_token: f64,
    /// Standard error of `nats_per_token`, over texts; NaN for a single text, null in JSON.
    #[serde(with = "crate::estimate::unknown")]
    pub nats_stderr: f64,
    /// `None` if the length of a text in bytes is unknown.
    pub bits_per_byte: Option<f64>,
    pub n_tokens: usize,
}

impl Perplexity {
    /// `exp(nats_per_token)`, at least 1.
    pub fn perplexity(&self) -> f64 {
        self.nats_per_token.exp()
    }

    /// From the likelihood and the number of bytes of each text.
    pub(super) fn of(texts: &[(Likelihood, usize)]) -> Option<Self> {
        let n_tokens: usize = texts.iter().map(|(text, _)| text.n_tokens).sum();
        if n_tokens == 0 {
            return None;
        }
        let nats = -texts.iter().map(|(text, _)| text.log_likelihood).sum::<f64>();
        let scored = texts.iter().filter(|(text, _)| text.n_tokens > 0);
        let lengths = scored.map(|&(_, n_bytes)| (n_bytes > 0).then_some(n_bytes));
        let n_bytes = lengths.sum::<Option<usize>>();
        let nats_per_token = nats / n_tokens as f64;
        // Standard error of a ratio estimator: residuals of each text's loss from the mean.
        let squares: f64 = texts
            .iter()
            .map(|(text, _)| -text.log_likelihood - nats_per_token * text.n_tokens as f64)
            .map(|residual| residual * residual)
            .sum();
        let n_texts = texts.len() as f64;
        let correction = if n_texts > 1.0 { n_texts / (n_texts - 1.0) } else { f64::NAN };
        Some(Self {
            nats_per_token,
            nats_stderr: (squares * correction).sqrt() / n_tokens as f64,
            bits_per_byte: n_bytes.map(|n_bytes| nats / std::f64::consts::LN_2 / n_bytes as f64),
            n_tokens,
        })
    }
}

impl TextDoc {
    /// A text of `n_bytes` bytes whose tokens after the first are all scored.
    pub fn new(tokens: Vec<u32>, n_bytes: usize) -> Self {
        Self { tokens, n_bytes, is_label: None }
    }

    /// Windows of at most `max_seq` inputs that score each label except the first token once; a
    /// window starts with the last token of the previous one.
    pub(super) fn requests(&self, max_seq: usize) -> Vec<Request> {
        let n_tokens = self.tokens.len();
        let mut requests = Vec::new();
        for start in (0..n_tokens.saturating_sub(1)).step_by(max_seq.max(1)) {
            for run in self.labels_within(start + 1..n_tokens.min(start + max_seq + 1)) {
                let input = self.tokens[start..run.end].to_vec();
                requests.extend(Request::new(input, run.start - start..run.end - start));
            }
        }
        requests
    }

    /// The scored tokens of a range as contiguous runs.
    fn labels_within(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let Some(is_label) = &self.is_label else { return vec![range] };
        let mut runs: Vec<Range<usize>> = Vec::new();
        for index in range.filter(|&index| is_label[index]) {
            match runs.last_mut() {
                Some(run) if run.end == index => run.end += 1,
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_score_every_token_but_the_first_once() {
        let doc = TextDoc::new((0..10).collect(), 10);
        let scored: Vec<u32> =
            doc.requests(4).iter().flat_map(|request| request.targets().to_vec()).collect();
        assert_eq!(scored, (1..10).collect::<Vec<_>>());
        assert!(doc.requests(4).iter().all(|request| request.input().len() <= 4));
    }

    #[test]
    fn only_labels_are_scored_given_all_previous_tokens() {
        let is_label = Some([0, 0, 1, 1, 0, 1, 0, 1].map(|flag| flag == 1).to_vec());
        let doc = TextDoc { is_label, ..TextDoc::new((0..8).collect(), 8) };
        let requests = doc.requests(6);
        let scored: Vec<&[u32]> = requests.iter().map(Request::targets).collect();
        assert_eq!(scored, [&[2, 3][..], &[5], &[7]]);
        let inputs: Vec<&[u32]> = requests.iter().map(Request::input).collect();
        assert_eq!(inputs, [&[0, 1, 2][..], &[0, 1, 2, 3, 4], &[6]]);
    }

    #[test]
    fn bits_per_byte_needs_the_bytes_of_every_text() {
        let text = Likelihood { log_likelihood: -8.0, n_tokens: 4, is_greedy: false };
        let of = |lengths: [usize; 2]| {
            let texts = lengths.map(|n_bytes| (text.clone(), n_bytes));
            Perplexity::of(&texts).unwrap().bits_per_byte
        };
        let bits = 16.0 / std::f64::consts::LN_2;
        assert_eq!(of([6, 4]), Some(bits / 10.0));
        // One length is unknown, so the ratio is undefined.
        assert_eq!(of([6, 0]), None);
    }

    #[test]
    fn an_unknown_standard_error_survives_json() {
        let text = Likelihood { log_likelihood: -8.0, n_tokens: 4, is_greedy: false };
        let perplexity = Perplexity::of(&[(text, 6)]).unwrap();
        let json = serde_json::to_string(&perplexity).unwrap();
        assert!(json.contains(r#""nats_stderr":null"#), "{json}");
        let read: Perplexity = serde_json::from_str(&json).unwrap();
        assert!(read.nats_stderr.is_nan() && read.nats_per_token == 2.0);
    }

    #[test]
    fn texts_that_are_all_alike_have_no_standard_error() {
        let text = Likelihood { log_likelihood: -6.0, n_tokens: 3, is_greedy: false };
        let perplexity = Perplexity::of(&[(text.clone(), 8), (text, 8)]).unwrap();
        assert_eq!((perplexity.nats_per_token, perplexity.nats_stderr), (2.0, 0.0));
    }
}
