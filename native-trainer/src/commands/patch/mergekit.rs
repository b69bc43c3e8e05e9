//! A member as a config for mergekit: slices of teacher and student, one after the other.
//!
//! mergekit takes the embedding from the first slice's model, and final norm and head from the
//! last one's. In a family that ties them it uses one matrix for both, which is another model
//! wherever embedding and head come from different models.

use std::fmt::Write as _;
use std::path::Path;

use boomerang_core::config::ModelConfig;
use boomerang_core::plan::{Owner, Recipe};

use super::card::runs;
use crate::exit::Exit;
use crate::files::YAML_MARK;

/// Teacher and student, as mergekit finds them.
pub(super) struct Family<'a> {
    pub(super) teacher: &'a Path,
    pub(super) student: &'a Path,
    pub(super) config: &'a ModelConfig,
    /// As in `torch_dtype`.
    pub(super) dtype: &'a str,
}

/// The warning for a family that ties embedding and head.
pub(super) const TIED: &str = "the family ties embedding and head: mergekit will use the embedding \
                               of the first slice for both, which is another model where embedding \
                               and head come from different models";

impl Family<'_> {
    /// The YAML for a member with these layers.
    ///
    /// # Errors
    /// When mergekit would build another model.
    pub(super) fn to_yaml(&self, recipe: &Recipe, member: &ModelConfig) -> anyhow::Result<String> {
        let owners = |source: Option<&boomerang_core::plan::LayerSource>| {
            source.map(|source| source.place().0)
        };
        let ends = (owners(recipe.layers.first()), owners(recipe.layers.last()));
        if ends != (Some(recipe.embedding), Some(recipe.head)) {
            return Err(Exit::Usage.error(
                "mergekit takes the embedding from the model of the first layer and the head from \
                 that of the last; this member differs; use --format hf",
            ));
        }
        if member.layers.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Exit::Usage.error(
                "the member's layers differ in attention window or rotary embedding, and mergekit \
                 writes one config for all of them; use --format hf",
            ));
        }
        let mut yaml = format!(
            "{YAML_MARK} {}: {} layers between {} and {}.\n",
            env!("CARGO_PKG_VERSION"),
            recipe.layers.len(),
            self.student.display(),
            self.teacher.display()
        );
        if self.config.tied {
            let _ = writeln!(yaml, "# Warning: {TIED}.");
        }
        let _ = write!(yaml, "merge_method: passthrough\ndtype: {}\nslices:\n", self.dtype);
        for (from, to, run) in runs(recipe) {
            let (owner, first) = run.place();
            let path = match owner {
                Owner::Teacher => self.teacher,
                Owner::Student => self.student,
            };
            // A JSON string is a YAML string, whatever is in it.
            let model = serde_json::to_string(&path.to_string_lossy())?;
            let end = first + to - from + 1;
            let _ = write!(
                yaml,
                "  - sources:\n      - model: {model}\n        layer_range: [{first}, {end}]\n"
            );
        }
        Ok(yaml)
    }
}
