//! Depth-first walk of a prefix tree.

use burn::tensor::{Int, Tensor};

use super::prefix_tree::{End, Node, PrefixTree};
use crate::model::{Context, LanguageModel};

/// Runs a batch of tokens, `[batch, seq]`, through the tree and calls `visit` with the last hidden
/// state of each member, `[batch, seq, d_model]`, before its final norm.
///
/// `models` is the list that the tree's stacks index.
pub fn walk(
    models: &[&LanguageModel],
    tree: &PrefixTree,
    tokens: &Tensor<2, Int>,
    context: &Context,
    visit: &mut dyn FnMut(&End, Tensor<3>),
) {
    for (embedding, root) in &tree.roots {
        let x = models[*embedding].embed_at(tokens.clone(), context);
        descend(models, root, x, context, visit);
    }
}

fn descend(
    models: &[&LanguageModel],
    node: &Node,
    x: Tensor<3>,
    context: &Context,
    visit: &mut dyn FnMut(&End, Tensor<3>),
) {
    for end in &node.ends {
        visit(end, x.clone());
    }
    for ((model, layer), child) in &node.children {
        let layer = &models[*model].layers()[*layer];
        let x = layer.forward(x.clone(), context, None);
        descend(models, child, x, context, visit);
    }
}
