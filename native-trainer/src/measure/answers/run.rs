//! The evaluation of one sheet on all members: which answers are known, and which are missing.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context as _;
use boomerang_core::evaluate::{
    Answers, Layerwise, Likelihood, PrefixTree, ReadBackError, Request, Stack,
};
use boomerang_core::generate::answer_open;
use boomerang_core::tokenizer::Tokenizer;
use futures_lite::future::block_on;

use super::cache::{Key, MemberAnswers, key_of_open, key_of_request};
use super::pieces::pieces;
use super::{Cached, Cost, EvalOptions, Sheet, Weights, streamed};
use crate::measure::members::{Member, names};
use crate::progress::Progress;

/// Batches between two writes of the cache.
const BATCHES_PER_SAVE: usize = 16;

/// The evaluation of one sheet on all members.
pub(super) struct Run<'a> {
    members: &'a [Member],
    sheet: &'a Sheet,
    /// By member; empty without a cache.
    stored: Vec<MemberAnswers>,
    keys: Vec<Key>,
    pub(super) likelihoods: Vec<Vec<Likelihood>>,
    pub(super) texts: Vec<Vec<String>>,
    /// By member and request.
    is_known: Vec<Vec<bool>>,
    pub(super) cost: Cost,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        members: &'a [Member],
        sheet: &'a Sheet,
        cached: Option<&Cached<'_>>,
    ) -> anyhow::Result<Self> {
        let (n_members, n_requests) = (members.len(), sheet.requests.len());
        let mut run = Self {
            members,
            sheet,
            stored: Vec::new(),
            keys: Vec::new(),
            likelihoods: vec![vec![Likelihood::default(); n_requests]; n_members],
            texts: vec![vec![String::new(); sheet.opens.len()]; n_members],
            is_known: vec![vec![false; n_requests]; n_members],
            cost: Cost { member_seconds: vec![None; n_members], ..Cost::default() },
        };
        let Some(cached) = cached else { return Ok(run) };
        run.keys = sheet.requests.iter().map(key_of_request).collect();
        for (member, fingerprint) in cached.members.iter().enumerate() {
            let stored = cached.cache.open(fingerprint)?;
            for (request, key) in run.keys.iter().enumerate() {
                if let Some(likelihood) = stored.likelihoods.get(key) {
                    run.likelihoods[member][request] = likelihood.clone();
                    run.is_known[member][request] = true;
                    run.cost.n_cached += 1;
                }
            }
            run.stored.push(stored);
        }
        Ok(run)
    }

    /// The requests that are missing, by the members that still have to answer them.
    pub(super) fn missing(&self, requests: &[usize]) -> BTreeMap<Vec<usize>, Vec<usize>> {
        let mut groups = BTreeMap::<Vec<usize>, Vec<usize>>::new();
        for &request in requests {
            let members: Vec<usize> =
                (0..self.members.len()).filter(|&member| !self.is_known[member][request]).collect();
            if !members.is_empty() {
                groups.entry(members).or_default().push(request);
            }
        }
        groups
    }

    /// Runs some members on some requests.
    pub(super) fn likelihoods_of(
        &mut self,
        group: &[usize],
        requests: &[usize],
        weights: &Weights<'_>,
        options: EvalOptions,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let stacks: Vec<Stack> =
            group.iter().map(|&member| self.members[member].stack.clone()).collect();
        let tree = PrefixTree::new(&stacks);
        let mut n_before = self.is_known.iter().flatten().filter(|&&is_known| is_known).count();
        for chunk in self.chunks(requests, weights, options, &tree) {
            let asked: Vec<Request> =
                chunk.iter().map(|&request| self.sheet.requests[request].clone()).collect();
            let answers = weights.answers(&tree, &asked, options.batching, &mut |n_answered| {
                progress
                    .set(n_before + n_answered * group.len(), || format!("{} models", group.len()));
            });
            let answers = answers.map_err(|error| self.naming(error, group))?;
            n_before += chunk.len() * group.len();
            let n_alone: usize = asked.iter().map(|request| request.input().len()).sum();
            self.cost.token_layers += answers.n_tokens * tree.n_layer_calls();
            self.cost.token_layers_alone += n_alone * tree.n_layer_calls_alone();
            self.take(group, &chunk, answers)?;
        }
        if let [member] = *group {
            let seconds = self.cost.member_seconds[member].get_or_insert(0.0);
            *seconds += started.elapsed().as_secs_f64();
        }
        Ok(())
    }

    /// Requests that are run before their answers are cached: all of them without a cache.
    fn chunks(
        &self,
        requests: &[usize],
        weights: &Weights<'_>,
        options: EvalOptions,
        tree: &PrefixTree,
    ) -> Vec<Vec<usize>> {
        if self.stored.is_empty() {
            return vec![requests.to_vec()];
        }
        let most = match weights {
            Weights::Resident(_) => {
                BATCHES_PER_SAVE.saturating_mul(options.batching.tokens_per_batch)
            }
            // The weights are read once per chunk.
            Weights::Streamed { folders, state_bytes, .. } => {
                let d_model = folders.first().map_or(1, |teacher| teacher.config().d_model);
                streamed::tokens_per_pass(&Layerwise::new(tree), d_model, *state_bytes)
            }
        };
        pieces(&self.sheet.requests, requests.iter().copied(), most, |_, _| false)
    }

    /// The same error, with the name of the member that computed the non-finite value.
    fn naming(&self, error: anyhow::Error, group: &[usize]) -> anyhow::Error {
        match error.downcast::<ReadBackError>() {
            Ok(error) => {
                let name = |number: usize| names(self.members).swap_remove(group[number]);
                error.describing(|number| format!("the member {}", name(number))).into()
            }
            Err(other) => other,
        }
    }

    fn take(&mut self, group: &[usize], chunk: &[usize], answers: Answers) -> anyhow::Result<()> {
        for (&member, likelihoods) in group.iter().zip(answers.likelihoods) {
            if let Some(stored) = self.stored.get_mut(member) {
                let keyed = chunk.iter().zip(&likelihoods);
                let keyed: Vec<(Key, Likelihood)> = keyed
                    .map(|(&request, likelihood)| (self.keys[request], likelihood.clone()))
                    .collect();
                stored.add_likelihoods(&keyed)?;
            }
            for (&request, likelihood) in chunk.iter().zip(likelihoods) {
                self.likelihoods[member][request] = likelihood;
                self.is_known[member][request] = true;
            }
        }
        Ok(())
    }

    /// Open questions, which members answer one after the other, because each generates its own
    /// text.
    pub(super) fn answer_opens(
        &mut self,
        opens: &[usize],
        weights: &Weights<'_>,
        tokenizer: Option<&Tokenizer>,
    ) -> anyhow::Result<()> {
        if opens.is_empty() {
            return Ok(());
        }
        let models = weights.in_memory()?;
        let tokenizer = tokenizer
            .context("generate_until tasks need a tokenizer.json in the teacher's folder")?;
        let total = opens.len() * self.members.len();
        let mut progress = Progress::new("generate answers", total);
        for (index, member) in self.members.iter().enumerate() {
            let model = member.stack.model(models, &member.config);
            for (n_done, &number) in opens.iter().enumerate() {
                let open = &self.sheet.opens[number];
                let key = key_of_open(open);
                let known = self.stored.get(index).and_then(|stored| stored.texts.get(&key));
                let text = match known {
                    Some(text) => {
                        self.cost.n_cached += 1;
                        text.clone()
                    }
                    None => {
                        let text = block_on(answer_open(
                            &model,
                            tokenizer,
                            &open.tokens,
                            &open.stops,
                            open.max_tokens,
                        ))?;
                        if let Some(stored) = self.stored.get_mut(index) {
                            stored.add_text(key, &text)?;
                        }
                        text
                    }
                };
                self.texts[index][number] = text;
                progress.set(index * opens.len() + n_done + 1, || {
                    format!("{} layers", member.n_layers())
                });
            }
        }
        progress.finish();
        Ok(())
    }
}
