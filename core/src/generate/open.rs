//! Answers in the model's own words, up to a text that ends them.

use super::{GenerateError, Generation, Sampling};
use crate::model::LanguageModel;
use crate::tokenizer::{Tokenizer, TokenizerError};
use thiserror::Error;

/// A question that got no answer.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("{0}")]
    Generate(#[from] GenerateError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// What the model writes after `context`, always the likeliest token: at most `max_tokens`, up to
/// its end token, and without the first of the `stops` and what follows it.
///
/// # Errors
/// [`OpenError`] when the context does not fit the model, or the device is lost.
pub async fn answer_open(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    context: &[u32],
    stops: &[String],
    max_tokens: usize,
) -> Result<String, OpenError> {
    let mut generation = Generation::new(model, context, max_tokens, Sampling::Greedy)?;
    let end_tokens = model.config().end_tokens();
    let mut tokens = Vec::new();
    let mut text = String::new();
    while let Some(token) = generation.next().await? {
        if end_tokens.contains(&token) {
            break;
        }
        tokens.push(token);
        text = tokenizer.decode(&tokens)?;
        if stops.iter().any(|stop| text.contains(stop)) {
            break;
        }
    }
    Ok(before_first(&text, stops).to_owned())
}

/// The text up to where the first of the stops begins.
fn before_first<'text>(text: &'text str, stops: &[String]) -> &'text str {
    let starts = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop));
    &text[..starts.min().unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_stop_ends_the_text() {
        let stops = ["\n\n", "Question:", ""].map(str::to_owned);
        assert_eq!(before_first("four Question: \n\n", &stops), "four ");
        assert_eq!(before_first("four", &stops), "four");
    }
}
