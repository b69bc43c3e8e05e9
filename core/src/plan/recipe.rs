//! The composition of a member: the source of each of its layers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Alignment, LayerPlan, Patch, PatchOrder, PlanError};

/// The parent that weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    Student,
    Teacher,
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Student => "student",
            Self::Teacher => "teacher",
        })
    }
}

impl Owner {
    fn teacher_if(teacher: bool) -> Self {
        if teacher { Self::Teacher } else { Self::Student }
    }
}

/// The source of one layer of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerSource {
    Student(usize),
    Teacher(usize),
}

impl LayerSource {
    /// The parent and the layer's index in it.
    pub fn place(self) -> (Owner, usize) {
        match self {
            Self::Student(layer) => (Owner::Student, layer),
            Self::Teacher(layer) => (Owner::Teacher, layer),
        }
    }
}

/// Short form, as in a stack of layers: `S0`, `T3`.
impl fmt::Display for LayerSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Student(layer) => write!(formatter, "S{layer}"),
            Self::Teacher(layer) => write!(formatter, "T{layer}"),
        }
    }
}

/// Embedding and head of a member, in a family with tied embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadPolicy {
    /// Each from its own parent, untied if the parents differ, as in the reference implementation.
    #[default]
    Untied,
    /// Tied, the teacher's matrix.
    Teacher,
    /// Tied, the student's matrix.
    Student,
}

/// The parents that the parts outside of layers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub embedding: Owner,
    pub norm: Owner,
    /// `None` if the head is tied to the embedding.
    pub head: Option<Owner>,
}

impl Recipe {
    /// The owners of embedding, norm and head; `is_tied` returns whether a parent has tied
    /// embeddings.
    ///
    /// `None` if the policy requires tied embeddings and a parent has untied ones.
    pub fn ends(&self, policy: HeadPolicy, is_tied: impl Fn(Owner) -> bool) -> Option<Ends> {
        let shared = |owner| {
            let both = is_tied(Owner::Teacher) && is_tied(Owner::Student);
            both.then_some(Ends { embedding: owner, norm: self.head, head: None })
        };
        match policy {
            HeadPolicy::Teacher => shared(Owner::Teacher),
            HeadPolicy::Student => shared(Owner::Student),
            HeadPolicy::Untied => {
                let is_one = self.embedding == self.head && is_tied(self.head);
                let head = (!is_one).then_some(self.head);
                Some(Ends { embedding: self.embedding, norm: self.head, head })
            }
        }
    }
}

/// A member as a list of parts, without weights.
///
/// The paper's rule: the embedding comes from the parent of the first layer, the final norm and the
/// head from the parent of the last layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recipe {
    pub embedding: Owner,
    /// First layer first.
    pub layers: Vec<LayerSource>,
    /// Final norm and language-model head.
    pub head: Owner,
}

impl LayerPlan {
    /// The member in which the patched student layers are replaced by their teacher blocks.
    pub fn recipe(&self, patch: &Patch) -> Recipe {
        let layers = (0..self.n_student_layers())
            .flat_map(|layer| {
                if patch.contains(layer) {
                    self.block(layer).map(LayerSource::Teacher).collect()
                } else {
                    vec![LayerSource::Student(layer)]
                }
            })
            .collect();
        Recipe {
            embedding: Owner::teacher_if(patch.contains(0)),
            layers,
            head: Owner::teacher_if(patch.contains(self.n_student_layers() - 1)),
        }
    }

    /// Pairs of corresponding hidden states, `(member's, teacher's)`: the output of a student layer
    /// corresponds to that of its block. For the student this is [`LayerPlan::alignment`].
    pub fn alignment_of(&self, patch: &Patch) -> Alignment {
        let ends = self.recipe(patch).layers.into_iter().map(|source| match source {
            LayerSource::Student(layer) => self.block(layer).end,
            LayerSource::Teacher(layer) => layer + 1,
        });
        [0].into_iter().chain(ends).enumerate().collect()
    }

    /// For each state of the student, in their order, the number of the member's state at the same
    /// point: after the layer or the teacher layers that replace it.
    pub fn states_of(&self, patch: &Patch) -> Vec<usize> {
        let mut states = vec![0];
        for layer in 0..self.n_student_layers() {
            let n_layers = if patch.contains(layer) { self.block(layer).len() } else { 1 };
            states.push(states[layer] + n_layers);
        }
        states
    }

    /// Naive pruning: as `recipe`, but each student layer is replaced by the teacher layer that it
    /// was copied from.
    pub fn naive(&self, recipe: &Recipe) -> Recipe {
        let layers = recipe.layers.iter().map(|source| match *source {
            LayerSource::Student(layer) => LayerSource::Teacher(self.block(layer).start),
            teacher @ LayerSource::Teacher(_) => teacher,
        });
        Recipe { embedding: Owner::Teacher, layers: layers.collect(), head: Owner::Teacher }
    }

    /// The reference implementation's `k = 0`: it has the student's size, but the embedding (first
    /// order) or the norm and head (last order) come from the teacher, together with adjacent
    /// single-layer blocks. Without such blocks, no patch produces this member.
    ///
    /// # Errors
    /// As [`PatchOrder::layers`].
    pub fn reference_k0(&self, order: &PatchOrder) -> Result<Recipe, PlanError> {
        let singles: Vec<usize> = order
            .layers(self)?
            .into_iter()
            .take_while(|&layer| self.block(layer).len() == 1)
            .collect();
        let mut recipe = self.recipe(&Patch::of(&singles, self)?);
        match order {
            PatchOrder::First => recipe.embedding = Owner::Teacher,
            PatchOrder::Last => recipe.head = Owner::Teacher,
            PatchOrder::Found(_) => {}
        }
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_students_layer_ends_where_its_block_ends() {
        let plan = LayerPlan::keep(&[0, 2, 5], 6).unwrap();
        let student = Patch::none(&plan);
        assert_eq!(plan.alignment_of(&student), plan.alignment());
        // S0, T2, T3, T4, S2.
        let member = Patch::of(&[1], &plan).unwrap();
        let of_teacher: Vec<usize> =
            plan.alignment_of(&member).into_iter().map(|(_, of_teacher)| of_teacher).collect();
        assert_eq!(of_teacher, [0, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn every_state_of_the_teacher_is_its_own_counterpart() {
        let plan = LayerPlan::keep(&[0, 2, 5], 6).unwrap();
        let alignment = plan.alignment_of(&Patch::all(&plan));
        assert_eq!(alignment, (0..7).map(|state| (state, state)).collect::<Vec<_>>());
    }

    #[test]
    fn states_of_the_student_come_after_the_teacher_layers_of_their_blocks() {
        let plan = LayerPlan::keep(&[0, 2, 5], 6).unwrap();
        assert_eq!(plan.states_of(&Patch::none(&plan)), [0, 1, 2, 3]);
        // S0, T2, T3, T4, S2.
        assert_eq!(plan.states_of(&Patch::of(&[1], &plan).unwrap()), [0, 1, 4, 5]);
    }

    #[test]
    fn layers_have_short_names() {
        let names = [LayerSource::Student(0), LayerSource::Teacher(12)].map(|it| it.to_string());
        assert_eq!(names, ["S0", "T12"]);
    }
}
