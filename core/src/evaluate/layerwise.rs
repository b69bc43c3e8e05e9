//! Layer-by-layer evaluation of a prefix tree, for models that do not fit in memory.
//!
//! Depth first, a layer is used repeatedly and has to stay in memory. Breadth first it is used
//! once, for all members and all texts of a pass, and can be freed: one pass over teacher and
//! student evaluates every size between them. Hidden states are kept instead, and their number is
//! known in advance.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};

use super::answer::{Answers, Inputs, width};
use super::prefix_tree::{End, Node, PrefixTree};
use super::read_back::ReadBackError;
use super::request::{Likelihood, Request};
use super::rows::{Batching, Row, Rows};
use crate::config::ModelConfig;
use crate::model::{DecoderLayer, LanguageModel};

/// A part of a model that has to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Embedding, final norm and head of a model.
    Ends(usize),
    /// A layer of a model.
    Layer(usize, usize),
}

/// A loaded part.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// A model without layers.
    Ends(Box<LanguageModel>),
    Layer(Box<DecoderLayer>),
}

/// A schedule for evaluating a prefix tree layer by layer.
#[derive(Clone, Debug)]
pub struct Layerwise {
    nodes: Vec<TreeNode>,
    steps: Vec<Step>,
    n_members: usize,
}

/// A node of the prefix tree.
#[derive(Clone, Debug)]
struct TreeNode {
    /// `None` after the embedding.
    parent: Option<usize>,
    n_children: usize,
    ends: Vec<End>,
}

#[derive(Clone, Debug)]
enum Step {
    Embed { model: usize, node: usize },
    Layer { model: usize, layer: usize, nodes: Vec<usize> },
    Finish { norm: usize, head: usize, ends: Vec<(usize, usize)> },
}

impl Layerwise {
    pub fn new(tree: &PrefixTree) -> Self {
        let mut nodes = Vec::new();
        let mut steps = Vec::new();
        let mut waiting = BTreeMap::<(usize, usize), Vec<usize>>::new();
        for (embedding, root) in &tree.roots {
            steps.push(Step::Embed { model: *embedding, node: nodes.len() });
            flatten(root, None, &mut nodes, &mut waiting);
        }
        let mut is_done: Vec<bool> = nodes.iter().map(|node| node.parent.is_none()).collect();
        while !waiting.is_empty() {
            let is_ready = |node: &usize| nodes[*node].parent.is_none_or(|parent| is_done[parent]);
            // Prefer a layer that all of its members have reached, which is loaded once. There may
            // be none, since members are arbitrary sequences of layers; then the layer that most
            // have reached is loaded again later.
            let reached = |(_, users): &(&(usize, usize), &Vec<usize>)| {
                let n_ready = users.iter().filter(|user| is_ready(user)).count();
                (n_ready == users.len(), n_ready)
            };
            let Some((&key, users)) = waiting.iter().max_by_key(reached) else { break };
            let (ready, rest): (Vec<usize>, Vec<usize>) =
                users.iter().partition(|node| is_ready(node));
            for &node in &ready {
                is_done[node] = true;
            }
            if rest.is_empty() {
                waiting.remove(&key);
            } else {
                waiting.insert(key, rest);
            }
            steps.push(Step::Layer { model: key.0, layer: key.1, nodes: ready });
        }
        let mut finishes = BTreeMap::<(usize, usize), Vec<(usize, usize)>>::new();
        for (number, node) in nodes.iter().enumerate() {
            for (index, end) in node.ends.iter().enumerate() {
                finishes.entry((end.norm, end.head)).or_default().push((number, index));
            }
        }
        let finishes = finishes.into_iter();
        steps.extend(finishes.map(|((norm, head), ends)| Step::Finish { norm, head, ends }));
        Self { nodes, steps, n_members: tree.n_members() }
    }

    /// The parts in the order in which one pass loads them.
    pub fn parts(&self) -> Vec<Part> {
        self.steps.iter().flat_map(Step::parts).collect()
    }

    /// Maximum number of hidden states in memory, per token of a pass.
    pub fn n_states(&self) -> usize {
        let mut left: Vec<usize> = self.nodes.iter().map(|node| node.n_children).collect();
        let (mut n_alive, mut most) = (0_usize, 0);
        for step in &self.steps {
            let made = match step {
                Step::Embed { node, .. } => std::slice::from_ref(node),
                Step::Layer { nodes, .. } => nodes,
                Step::Finish { .. } => &[],
            };
            for &node in made {
                n_alive += usize::from(left[node] > 0);
                // The result coexists with its input.
                most = most.max(n_alive + 1);
                if let Some(parent) = self.nodes[node].parent {
                    left[parent] -= 1;
                    n_alive -= usize::from(left[parent] == 0);
                }
            }
        }
        most
    }

    /// The answers of every member to every request, as in [`answers`].
    ///
    /// `load` is called for the parts in the order of [`Layerwise::parts`], once per pass over at
    /// most `tokens_per_pass` tokens, padding included; each part is dropped before the next but
    /// one is loaded. `progress` receives the number of answered requests after each pass.
    ///
    /// # Errors
    /// The first error of `load`, or of the device.
    ///
    /// # Panics
    /// If `load` returns another part than requested.
    ///
    /// [`answers`]: super::answers
    pub async fn answers<E: From<ReadBackError>>(
        &self,
        requests: &[Request],
        model: (&ModelConfig, &Device),
        batching: Batching,
        tokens_per_pass: usize,
        load: &mut dyn FnMut(Part) -> Result<Loaded, E>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Answers, E> {
        let (config, device) = model;
        let tokens_per_batch = batching.tokens_per_batch.min(tokens_per_pass);
        let rows = Rows::new(requests, config, Batching { tokens_per_batch, ..batching });
        let mut likelihoods = vec![vec![Likelihood::default(); requests.len()]; self.n_members];
        let mut n_answered = 0;
        for batches in passes(&rows.batches, tokens_per_pass) {
            let inputs = batches.iter().map(|batch| Inputs::new(batch, requests, config, device));
            let mut pass = Pass::new(&self.nodes, inputs.collect());
            for step in &self.steps {
                let mut parts = Vec::new();
                for part in step.parts() {
                    parts.push(load(part)?);
                }
                for (member, number, likelihood) in pass.take(step, &parts).await? {
                    likelihoods[member][number] = likelihood;
                }
            }
            n_answered += pass.batches.iter().map(|batch| batch.inputs.n_requests()).sum::<usize>();
            progress(n_answered);
        }
        Ok(Answers { likelihoods, n_tokens: rows.n_tokens() })
    }
}

impl Step {
    fn parts(&self) -> Vec<Part> {
        match *self {
            Self::Embed { model, .. } => vec![Part::Ends(model)],
            Self::Layer { model, layer, .. } => vec![Part::Layer(model, layer)],
            Self::Finish { norm, head, .. } if norm == head => vec![Part::Ends(norm)],
            Self::Finish { norm, head, .. } => vec![Part::Ends(norm), Part::Ends(head)],
        }
    }
}

fn flatten(
    node: &Node,
    parent: Option<usize>,
    nodes: &mut Vec<TreeNode>,
    waiting: &mut BTreeMap<(usize, usize), Vec<usize>>,
) {
    let own = nodes.len();
    nodes.push(TreeNode { parent, n_children: node.children.len(), ends: node.ends.clone() });
    for (key, child) in &node.children {
        waiting.entry(*key).or_default().push(nodes.len());
        flatten(child, Some(own), nodes, waiting);
    }
}

/// Splits batches into passes of at most this many tokens, unless a single batch has more.
fn passes(batches: &[Vec<Row>], tokens_per_pass: usize) -> Vec<&[Vec<Row>]> {
    let (mut passes, mut start, mut n_tokens) = (Vec::new(), 0, 0);
    for (index, batch) in batches.iter().enumerate() {
        let n_more = batch.len() * width(batch);
        if index > start && n_tokens + n_more > tokens_per_pass {
            passes.push(&batches[start..index]);
            (start, n_tokens) = (index, 0);
        }
        n_tokens += n_more;
    }
    if start < batches.len() {
        passes.push(&batches[start..]);
    }
    passes
}

/// The hidden states of one pass.
struct Pass<'a> {
    nodes: &'a [TreeNode],
    batches: Vec<BatchStates<'a>>,
}

/// The hidden states of one batch.
struct BatchStates<'a> {
    inputs: Inputs<'a>,
    /// By node; `None` before they are computed and after their last use.
    states: Vec<Option<Tensor<3>>>,
    /// Hidden states at the scored positions, by node that ends a member.
    scored: BTreeMap<usize, Tensor<2>>,
    /// Children of each node that are not computed yet.
    left: Vec<usize>,
}

impl<'a> Pass<'a> {
    fn new(nodes: &'a [TreeNode], inputs: Vec<Inputs<'a>>) -> Self {
        let left: Vec<usize> = nodes.iter().map(|node| node.n_children).collect();
        let batches = inputs.into_iter().map(|inputs| BatchStates {
            inputs,
            states: vec![None; nodes.len()],
            scored: BTreeMap::new(),
            left: left.clone(),
        });
        Self { nodes, batches: batches.collect() }
    }

    /// Runs a step; the last ones return `(member, request, answer)`.
    async fn take(
        &mut self,
        step: &Step,
        parts: &[Loaded],
    ) -> Result<Vec<(usize, usize, Likelihood)>, ReadBackError> {
        match (step, parts) {
            (Step::Embed { node, .. }, [Loaded::Ends(model)]) => {
                for batch in &mut self.batches {
                    let tokens = batch.inputs.tokens.clone();
                    batch.keep(*node, self.nodes, model.embed_at(tokens, &batch.inputs.context()));
                }
            }
            (Step::Layer { nodes, .. }, [Loaded::Layer(layer)]) => {
                for batch in &mut self.batches {
                    batch.run(nodes, self.nodes, layer);
                }
            }
            (Step::Finish { ends, .. }, [Loaded::Ends(model)]) => {
                return self.finish(ends, model, model).await;
            }
            (Step::Finish { ends, .. }, [Loaded::Ends(norm), Loaded::Ends(head)]) => {
                return self.finish(ends, norm, head).await;
            }
            _ => panic!("the loaded parts are not the requested ones"),
        }
        Ok(Vec::new())
    }

    async fn finish(
        &mut self,
        ends: &[(usize, usize)],
        norm: &LanguageModel,
        head: &LanguageModel,
    ) -> Result<Vec<(usize, usize, Likelihood)>, ReadBackError> {
        let mut answers = Vec::new();
        for &(node, end) in ends {
            for batch in &self.batches {
                let scores = batch.inputs.score(batch.scored[&node].clone(), norm, head);
                let members = &self.nodes[node].ends[end].members;
                let found = batch.inputs.collect(scores).await;
                let found = found.map_err(|error| error.of_members(members))?;
                for &member in members {
                    let of_member =
                        |(number, answer): &(usize, Likelihood)| (member, *number, answer.clone());
                    answers.extend(found.iter().map(of_member));
                }
            }
        }
        Ok(answers)
    }
}

impl BatchStates<'_> {
    fn run(&mut self, nodes: &[usize], all: &[TreeNode], layer: &DecoderLayer) {
        let context = self.inputs.context();
        for &node in nodes {
            let Some(parent) = all[node].parent else { continue };
            self.left[parent] -= 1;
            let x = match self.left[parent] {
                0 => self.states[parent].take(),
                _ => self.states[parent].clone(),
            };
            let x = x.expect("a layer is run after what comes before it");
            self.keep(node, all, layer.forward(x, &context, None));
        }
    }

    /// Keeps a node's states if they are needed later.
    fn keep(&mut self, node: usize, all: &[TreeNode], x: Tensor<3>) {
        if !all[node].ends.is_empty() {
            self.scored.insert(node, self.inputs.scored_states(x.clone()));
        }
        if self.left[node] > 0 {
            self.states[node] = Some(x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Stack;
    use crate::plan::{KeepRule, LayerPlan, PatchOrder};

    fn walk_of(order: PatchOrder) -> (Layerwise, usize) {
        let plan = LayerPlan::by_rule(KeepRule::default(), 36).unwrap();
        let members = order.path(&plan).unwrap();
        let stacks = members.iter().map(|patch| Stack::new(&plan.recipe(patch), 0, 1));
        let walk = Layerwise::new(&PrefixTree::new(&stacks.collect::<Vec<_>>()));
        (walk, plan.n_student_layers() + 36)
    }

    #[test]
    fn each_layer_of_teacher_and_student_is_loaded_once() {
        for order in [PatchOrder::First, PatchOrder::Last] {
            let (walk, n_layers) = walk_of(order);
            let parts = walk.parts();
            let layers = parts.iter().filter(|part| matches!(part, Part::Layer(..)));
            assert_eq!(layers.count(), n_layers);
        }
    }

    #[test]
    fn every_branch_of_the_family_is_alive_at_once() {
        // In last order all sizes are pending at the teacher's last layers; in first order all but
        // one leave the teacher and are pending at the student's.
        for order in [PatchOrder::First, PatchOrder::Last] {
            let (walk, _) = walk_of(order);
            assert!((18..=21).contains(&walk.n_states()), "{}", walk.n_states());
        }
    }

    #[test]
    fn layers_in_cyclic_order_are_loaded_again() {
        let stack = |layers: &[usize]| Stack {
            embedding: 0,
            layers: layers.iter().map(|&layer| (0, layer)).collect(),
            norm: 0,
            head: 0,
        };
        let walk = Layerwise::new(&PrefixTree::new(&[stack(&[0, 1]), stack(&[1, 0])]));
        assert_eq!(walk.parts().len(), 5);
    }
}
