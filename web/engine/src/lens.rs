//! The logit lens: the predictions of every layer of a member.

use boomerang_core::plan::Patch;
use boomerang_core::similarity::{Depth, look_inside};
use boomerang_core::tokenizer::Tokenizer;

use crate::members::{ReadyMembers, not_finite, not_loaded, not_processed};
use crate::messages::{Answer, LensLayer, LensReport, LikelyToken};
use crate::notice::Notice;
use crate::worker::{Worker, answer, ended};

/// Columns of a table that is still readable; only the last tokens of a longer text are reported.
const MOST_TOKENS: usize = 64;

impl Worker {
    /// Runs a member along a text, and reports the next token predicted by each of its layers.
    pub(crate) async fn lens(&self, id: u32, patch: &Patch, text: &str) -> Result<(), Notice> {
        let both = [patch.clone(), self.teacher_patch()?];
        let Some(ready) = self.ready_members(id, &both).await? else { return ended(id, true) };
        let ReadyMembers { members, tokenizer, .. } = ready;
        let [member, teacher] = &members[..] else { return Err(not_loaded()) };
        let plan = self.plan()?;
        let tokens = tokenizer.encode(text, true).map_err(not_processed)?;
        let n_before = tokens.len().saturating_sub(MOST_TOKENS);
        let alignment = plan.alignment_of(patch);
        let depths = look_inside(teacher, member, &alignment, &tokens, n_before).await;

        let layers = plan.recipe(patch).layers.into_iter().map(|source| source.to_string());
        let names = ["text".to_owned()].into_iter().chain(layers);
        let layers = names.zip(depths.map_err(not_processed)?);
        let layers = layers.map(|(name, depth)| lens_layer(name, &depth, &tokenizer));
        let tokens = tokens[n_before..].iter().map(|&token| text_of(token, &tokenizer));
        let report = LensReport {
            n_before,
            tokens: tokens.collect::<Result<_, _>>()?,
            layers: layers.collect::<Result<_, _>>()?,
        };
        answer(id, Answer::Lens(report));
        ended(id, false)
    }
}

fn lens_layer(name: String, depth: &Depth, tokenizer: &Tokenizer) -> Result<LensLayer, Notice> {
    let guesses = depth.guesses.iter().map(|guess| {
        let text = text_of(guess.token, tokenizer)?;
        Ok(LikelyToken { token: guess.token, text, probability: guess.probability })
    });
    let guesses = guesses.collect::<Result<_, Notice>>()?;
    let similarity = depth.similarity;
    // Probabilities are finite whatever the device returns, cosines are not.
    similarity.is_finite().then_some(LensLayer { name, guesses, similarity }).ok_or_else(not_finite)
}

fn text_of(token: u32, tokenizer: &Tokenizer) -> Result<String, Notice> {
    tokenizer.label(token).map_err(not_processed)
}
