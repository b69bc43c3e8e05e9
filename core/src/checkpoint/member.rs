//! Assembles a member as a checkpoint: the parents' tensors under new names, byte for byte.

use std::collections::BTreeMap;

use thiserror::Error;

use super::used::Used;
use super::{Checkpoint, CheckpointError, Names};
use crate::config::ModelConfig;
use crate::plan::{HeadPolicy, Owner, Recipe};

/// Teacher or student as a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a, 'bytes> {
    pub checkpoint: &'a Checkpoint<'bytes>,
    pub config: &'a ModelConfig,
}

/// Why two checkpoints do not form a member.
#[derive(Debug, Error)]
pub enum MemberError {
    #[error("the {owner} lacks a tensor that the member needs")]
    Weights { owner: Owner, source: CheckpointError },
    #[error(
        "teacher and student together do not have the tensors that the member's config requires"
    )]
    Member(#[source] CheckpointError),
    #[error("the {owner} has {n_layers} layers; the recipe uses layer {layer}")]
    Layer { owner: Owner, n_layers: usize, layer: usize },
    #[error("teacher and student are incompatible: {0}")]
    Difference(String),
    #[error(
        "a single matrix for embedding and head requires a teacher and a student with tied \
         embeddings; use the head policy untied"
    )]
    NotTied,
}

impl<'bytes> Checkpoint<'bytes> {
    /// The member that a recipe describes, and its config; copies no weights.
    ///
    /// # Errors
    /// [`MemberError`] names the parent and what it lacks.
    pub fn member(
        recipe: &Recipe,
        policy: HeadPolicy,
        teacher: Parent<'_, 'bytes>,
        student: Parent<'_, 'bytes>,
    ) -> Result<(Self, ModelConfig), MemberError> {
        if let Some(difference) = teacher.config.difference(student.config) {
            return Err(MemberError::Difference(difference));
        }
        let of = |owner| match owner {
            Owner::Teacher => teacher,
            Owner::Student => student,
        };
        let ends =
            recipe.ends(policy, |owner| of(owner).config.tied).ok_or(MemberError::NotTied)?;
        let kinds = recipe.layers.iter().map(|&source| {
            let (owner, layer) = source.place();
            let n_layers = of(owner).config.n_layers();
            let kind = of(owner).config.layers.get(layer).copied();
            kind.ok_or(MemberError::Layer { owner, n_layers, layer })
        });
        let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
        let config = ModelConfig::of_member(teacher.config, student.config, ends.embedding)
            .with_layers(kinds, ends.head.is_none());

        let names = Names::of(&config);
        let mut member = Self { files: Vec::new(), tensors: BTreeMap::new() };
        for path in names.end_paths() {
            let owner = if path.starts_with("embedding.") {
                ends.embedding
            } else if path.starts_with("head.") {
                let Some(owner) = ends.head else { continue };
                owner
            } else {
                ends.norm
            };
            let parent = of(owner);
            // The head of a tied parent is its embedding.
            let is_tied_head = path == "head.weight" && parent.config.tied;
            let from = if is_tied_head { "embedding.tokens.weight" } else { path };
            member
                .take(&names, path, parent, from)
                .map_err(|source| MemberError::Weights { owner, source })?;
        }
        let layers = [Owner::Teacher, Owner::Student].map(|owner| of(owner).by_layer());
        for (number, source) in recipe.layers.iter().enumerate() {
            let (owner, layer) = source.place();
            let parent = of(owner);
            if parent.config.architecture != config.architecture {
                for path in names.layer_paths() {
                    let (to, from) =
                        (format!("layers.{number}.{path}"), format!("layers.{layer}.{path}"));
                    member
                        .take(&names, &to, parent, &from)
                        .map_err(|source| MemberError::Weights { owner, source })?;
                }
                continue;
            }
            let parts = match owner {
                Owner::Teacher => layers[0].get(&layer),
                Owner::Student => layers[1].get(&layer),
            };
            for &(part, name) in parts.into_iter().flatten() {
                let view = parent.checkpoint.tensors[name].clone();
                member.tensors.insert(names.of_layer_part(number, part), view);
            }
        }
        member.check(&config).map_err(MemberError::Member)?;
        Ok((member, config))
    }

    /// Stores the parameter `from` of a parent, unchanged, as the parameter `to` of the member.
    fn take(
        &mut self,
        names: &Names<'_>,
        to: &str,
        parent: Parent<'_, 'bytes>,
        from: &str,
    ) -> Result<(), CheckpointError> {
        let parent_names = Names::of(parent.config);
        let (Some(location), Some(source)) = (names.find(to), parent_names.find(from)) else {
            return Ok(());
        };
        let (_, view) = parent.checkpoint.locate(&source)?;
        self.tensors.insert(location.name, view.clone());
        Ok(())
    }
}

impl<'a> Parent<'a, '_> {
    /// The tensors of each layer: `(name inside the layer, stored name)`.
    fn by_layer(self) -> BTreeMap<usize, Vec<(&'a str, &'a str)>> {
        let (names, used) = (Names::of(self.config), Used::by(self.config));
        let mut layers = BTreeMap::<usize, Vec<_>>::new();
        for name in self.checkpoint.names() {
            // Masks and similar buffers, which some files store, are recomputed when the model is
            // loaded.
            if let Some((layer, part)) = names.in_layer(name)
                && used.in_layer(part)
            {
                layers.entry(layer).or_default().push((part, name));
            }
        }
        layers
    }
}
