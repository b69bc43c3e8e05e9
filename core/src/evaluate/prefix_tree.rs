//! Shared layer prefixes: evaluates many members in one walk that runs common prefixes of layers
//! once.
//!
//! A member is a sequence of parts: an embedding, layers, and a norm with a head. The sequences of
//! all members form a prefix tree; the walk traverses it depth first and keeps the hidden state at
//! each branch. The results are bit-identical to evaluating each member individually, since the
//! same layers process the same input.

use crate::config::ModelConfig;
use crate::model::LanguageModel;
use crate::plan::{Ends, LayerSource, Owner, Recipe};

/// A member as indices into a list of models, so that several families can share one walk of a
/// tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Index of the model that provides the embedding.
    pub embedding: usize,
    /// Indices of model and layer, first layer first.
    pub layers: Vec<(usize, usize)>,
    /// Index of the model that provides the final norm.
    pub norm: usize,
    /// Index of the model that provides the head.
    pub head: usize,
}

impl Stack {
    /// The recipe's member; `teacher` and `student` are the indices of the models.
    pub fn new(recipe: &Recipe, teacher: usize, student: usize) -> Self {
        let ends = Ends { embedding: recipe.embedding, norm: recipe.head, head: Some(recipe.head) };
        Self::with_ends(recipe, ends, teacher, student)
    }

    /// As [`Stack::new`], with embedding, norm and head from these owners.
    pub fn with_ends(recipe: &Recipe, ends: Ends, teacher: usize, student: usize) -> Self {
        let owner = |owner| match owner {
            Owner::Teacher => teacher,
            Owner::Student => student,
        };
        let layers = recipe.layers.iter().map(|source| match *source {
            LayerSource::Teacher(layer) => (teacher, layer),
            LayerSource::Student(layer) => (student, layer),
        });
        Self {
            embedding: owner(ends.embedding),
            layers: layers.collect(),
            norm: owner(ends.norm),
            head: owner(ends.head.unwrap_or(ends.embedding)),
        }
    }

    /// The stack as a standalone model, which shares all weights; `config` is the member's.
    ///
    /// # Panics
    /// If the stack names a model or layer that does not exist.
    pub fn model(&self, models: &[&LanguageModel], config: &ModelConfig) -> LanguageModel {
        let layers =
            self.layers.iter().map(|&(model, layer)| models[model].layers()[layer].clone());
        LanguageModel::assemble(
            models[self.embedding],
            layers.collect(),
            models[self.norm],
            (!config.tied).then(|| models[self.head]),
            config,
        )
    }

    /// A complete model.
    pub fn whole(index: usize, model: &LanguageModel) -> Self {
        let layers = (0..model.n_layers()).map(|layer| (index, layer)).collect();
        Self { embedding: index, layers, norm: index, head: index }
    }
}

/// The prefix tree of the members' layer sequences.
#[derive(Clone, Debug)]
pub struct PrefixTree {
    /// One root per embedding.
    pub(super) roots: Vec<(usize, Node)>,
    n_members: usize,
    n_layer_calls_alone: usize,
}

/// A node of the tree: what follows a prefix.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) children: Vec<((usize, usize), Self)>,
    /// Members that end with this layer.
    pub(super) ends: Vec<End>,
}

/// Norm and head after the last layer, for the members that share them.
#[derive(Clone, Debug)]
pub struct End {
    /// Index of the model that provides the final norm.
    pub norm: usize,
    /// Index of the model that provides the head.
    pub head: usize,
    /// Indices of the members.
    pub members: Vec<usize>,
}

impl PrefixTree {
    pub fn new(members: &[Stack]) -> Self {
        let mut roots: Vec<(usize, Node)> = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let mut node = child(&mut roots, member.embedding);
            for &layer in &member.layers {
                node = child(&mut node.children, layer);
            }
            let (norm, head) = (member.norm, member.head);
            match node.ends.iter_mut().find(|end| (end.norm, end.head) == (norm, head)) {
                Some(end) => end.members.push(index),
                None => node.ends.push(End { norm, head, members: vec![index] }),
            }
        }
        let n_layer_calls_alone = members.iter().map(|member| member.layers.len()).sum();
        Self { roots, n_members: members.len(), n_layer_calls_alone }
    }

    pub fn n_members(&self) -> usize {
        self.n_members
    }

    /// Layers run per batch of requests.
    pub fn n_layer_calls(&self) -> usize {
        self.roots.iter().map(|(_, root)| root.n_layers()).sum()
    }

    /// Layers that would run if each member were evaluated individually.
    pub fn n_layer_calls_alone(&self) -> usize {
        self.n_layer_calls_alone
    }
}

impl Node {
    fn n_layers(&self) -> usize {
        self.children.iter().map(|(_, node)| 1 + node.n_layers()).sum()
    }
}

fn child<K: PartialEq>(children: &mut Vec<(K, Node)>, key: K) -> &mut Node {
    let index = children.iter().position(|(other, _)| *other == key).unwrap_or(children.len());
    if index == children.len() {
        children.push((key, Node::default()));
    }
    &mut children[index].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{KeepRule, LayerPlan, PatchOrder};

    fn calls(order: PatchOrder) -> (usize, usize) {
        let plan = LayerPlan::by_rule(KeepRule::default(), 36).unwrap();
        let members: Vec<Stack> = order
            .path(&plan)
            .unwrap()
            .iter()
            .map(|patch| Stack::new(&plan.recipe(patch), 0, 1))
            .collect();
        let tree = PrefixTree::new(&members);
        (tree.n_layer_calls(), tree.n_layer_calls_alone())
    }

    #[test]
    fn the_family_of_qwen3_4b_saves_most_in_first_order() {
        let (last, individually) = calls(PatchOrder::Last);
        let (first, same) = calls(PatchOrder::First);
        assert_eq!(individually, same);
        assert_eq!((individually, last), (495, 359));
        assert!(individually as f64 / first as f64 > 2.0, "{individually} / {first}");
    }

    #[test]
    fn the_same_member_twice_costs_nothing() {
        let stack = Stack { embedding: 0, layers: vec![(0, 0), (0, 1)], norm: 0, head: 0 };
        assert_eq!(PrefixTree::new(&[stack.clone(), stack]).n_layer_calls(), 2);
    }
}
