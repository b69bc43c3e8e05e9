//! Teacher layers patched back into the student: every size of the family, without training.

use crate::model::LanguageModel;
use crate::plan::{Owner, Patch, Recipe};
use crate::prune::Family;

impl Family {
    /// The member in which the patched student layers have given way to their teacher blocks.
    ///
    /// Shares every weight with teacher and student; nothing is copied.
    pub fn member(&self, patch: &Patch) -> LanguageModel {
        self.cook(&self.plan().recipe(patch))
    }

    /// The member that a recipe describes.
    ///
    /// The head stays tied only when embedding and head have the same, tied, owner; otherwise the
    /// member holds two matrices, as the reference implementation does.
    ///
    /// # Panics
    /// When the recipe names a layer that the family does not have.
    pub fn cook(&self, recipe: &Recipe) -> LanguageModel {
        let embedding_owner = self.owner(recipe.embedding);
        let head_owner = self.owner(recipe.head);
        let tied = recipe.embedding == recipe.head && head_owner.is_tied();
        let layers = recipe.layers.iter().map(|&source| self.layer(source).clone()).collect();
        let config = self.teacher().model().config();
        LanguageModel::assemble(embedding_owner, layers, head_owner, tied, config)
    }

    /// The model of that parent.
    pub(crate) fn owner(&self, owner: Owner) -> &LanguageModel {
        match owner {
            Owner::Student => self.student().model(),
            Owner::Teacher => self.teacher().model(),
        }
    }
}
