//! What the layers of a member would write, told to the page.

use boomerang_core::plan::Patch;
use boomerang_core::similarity::{Depth, look_inside};
use boomerang_core::tokenizer::Tokenizer;

use crate::cast::{Cast, no_number, not_loaded, unread};
use crate::messages::{LensGuess, LensLayer, LensReport, Reply};
use crate::notice::Notice;
use crate::worker::{Worker, ended, post};

/// Columns of a table that can still be read; of a longer text the last ones are told.
const MOST_PLACES: usize = 64;

impl Worker {
    /// Lets a member read a text, and tells what each of its layers would have written next.
    pub(crate) async fn lens(&self, id: u32, patch: &Patch, text: &str) -> Result<(), Notice> {
        let everyone = [patch.clone(), self.teacher_patch()?];
        let Some(cast) = self.cast(id, &everyone).await? else { return ended(id, true) };
        let Cast { members, tokenizer, .. } = cast;
        let [member, teacher] = &members[..] else { return Err(not_loaded()) };
        let plan = self.plan()?;
        let tokens = tokenizer.encode(text, true).map_err(unread)?;
        let n_before = tokens.len().saturating_sub(MOST_PLACES);
        let alignment = plan.alignment_of(patch);
        let depths = look_inside(teacher, member, &alignment, &tokens, n_before).await;

        let layers = plan.recipe(patch).layers.into_iter().map(|source| source.to_string());
        let names = ["text".to_owned()].into_iter().chain(layers);
        let layers = names.zip(depths.map_err(unread)?);
        let layers = layers.map(|(name, depth)| told(name, &depth, &tokenizer));
        let places = tokens[n_before..].iter().map(|&token| text_of(token, &tokenizer));
        let lens = LensReport {
            n_before,
            places: places.collect::<Result<_, _>>()?,
            layers: layers.collect::<Result<_, _>>()?,
        };
        post(&Reply::Lens { id, lens });
        ended(id, false)
    }
}

fn told(name: String, depth: &Depth, tokenizer: &Tokenizer) -> Result<LensLayer, Notice> {
    let guesses = depth.guesses.iter().map(|guess| {
        let text = text_of(guess.token, tokenizer)?;
        Ok(LensGuess { token: guess.token, text, probability: guess.probability })
    });
    let guesses = guesses.collect::<Result<_, Notice>>()?;
    let similarity = depth.similarity;
    // Probabilities are numbers whatever the device gives, cosines are not.
    similarity.is_finite().then_some(LensLayer { name, guesses, similarity }).ok_or_else(no_number)
}

fn text_of(token: u32, tokenizer: &Tokenizer) -> Result<String, Notice> {
    tokenizer.label(token).map_err(unread)
}
