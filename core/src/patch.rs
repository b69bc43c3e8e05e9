//! Teacher layers patched back into the student: every size of the family, without training.

use crate::config::ModelConfig;
use crate::model::LanguageModel;
use crate::plan::{HeadPolicy, Owner, Patch, Recipe};
use crate::prune::Family;

impl Family {
    /// The member in which the patched student layers are replaced by their teacher blocks.
    ///
    /// Shares every weight with teacher and student; nothing is copied.
    pub fn member(&self, patch: &Patch) -> LanguageModel {
        self.assemble(&self.plan().recipe(patch))
    }

    /// The member that a recipe describes, with untied embedding and head where their owners
    /// differ.
    ///
    /// # Panics
    /// If the recipe names a layer that the family does not have.
    pub fn assemble(&self, recipe: &Recipe) -> LanguageModel {
        let ends = recipe.ends(HeadPolicy::Untied, |owner| self.owner(owner).is_tied());
        let ends = ends.expect("two matrices are always possible");
        LanguageModel::assemble(
            self.owner(ends.embedding),
            recipe.layers.iter().map(|&source| self.layer(source).clone()).collect(),
            self.owner(ends.norm),
            ends.head.map(|owner| self.owner(owner)),
            ModelConfig::of_member(
                self.teacher().model().config(),
                self.student().model().config(),
                ends.embedding,
            ),
        )
    }

    /// The model of this parent.
    pub(crate) fn owner(&self, owner: Owner) -> &LanguageModel {
        match owner {
            Owner::Student => self.student().model(),
            Owner::Teacher => self.teacher().model(),
        }
    }
}
