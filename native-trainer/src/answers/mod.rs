//! What every member answers to everything on a sheet: from a cache, or by running it.

mod cache;
mod resident;
mod sheet;
mod streamed;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context as _;
use boomerang_core::config::ModelConfig;
use boomerang_core::evaluate::{
    Answers, Batching, Layerwise, Likelihood, PrefixTree, Request, Stack,
};
use boomerang_core::generate::answer_open;
use boomerang_core::model::LanguageModel;
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use futures_lite::future::block_on;

pub use cache::Cache;
use cache::{Key, MemberAnswers, key_of_open, key_of_request};
pub use sheet::{OpenRequest, Sheet};

use crate::exit::Exit;
use crate::files::ModelFolder;
use crate::members::Member;
use crate::progress::Progress;

/// Where weights are; the teacher is number 0, the candidates follow.
pub enum Weights<'a> {
    /// In memory.
    Resident(Vec<&'a LanguageModel>),
    /// On disk, a part at a time in memory.
    Streamed {
        folders: Vec<&'a ModelFolder>,
        device: &'a Device,
        /// Hidden states in memory at most.
        state_bytes: u64,
    },
}

/// How members are run.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    pub batching: Batching,
    /// Members share what they have in common; otherwise each is run alone, and timed.
    pub shares_layers: bool,
    /// The part of the sheet that this run answers, `(number, of)`, counted from 1.
    pub share: Option<(usize, usize)>,
}

/// A cache, with the fingerprint of each member.
pub struct Cached<'a> {
    pub cache: &'a Cache,
    pub members: Vec<[u8; 32]>,
}

/// The answers of every member, and what they cost.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// One list for each member, in the order of the sheet's requests.
    pub likelihoods: Vec<Vec<Likelihood>>,
    /// One list for each member, in the order of the sheet's open questions.
    pub texts: Vec<Vec<String>>,
    pub cost: Cost,
}

/// What answers cost.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Answers that were in the cache.
    pub n_cached: usize,
    /// Tokens run, a common beginning of texts counted once, times the layers that each went
    /// through.
    pub token_layers: usize,
    /// The same for one member after another and one text after another.
    pub token_layers_alone: usize,
    pub seconds: f64,
    /// By member, where each was run alone.
    pub member_seconds: Vec<Option<f64>>,
}

/// Tokens between two visits to the disk, in batches.
const BATCHES_PER_SAVE: usize = 16;

/// Asks every member everything on the sheet.
///
/// # Errors
/// When weights or cache cannot be read, the disk refuses, or the device is lost; and for open
/// questions to weights that stay on disk.
pub fn answer_all(
    members: &[Member],
    sheet: &Sheet,
    weights: &Weights<'_>,
    engine: Engine,
    cached: Option<&Cached<'_>>,
    tokenizer: Option<&Tokenizer>,
) -> anyhow::Result<Answered> {
    let started = Instant::now();
    let mut run = Run::new(members, sheet, cached)?;
    let (number, of) = engine.share.map_or((0, 1), |(number, of)| (number - 1, of));
    let (requests, opens) = sheet.share(number, of);
    let mut progress = Progress::new("evaluate every size", requests.len() * members.len());
    progress.set(run.cost.n_cached, || "from the cache".to_owned());
    for (group, requests) in run.missing(&requests) {
        let groups = if engine.shares_layers {
            vec![group]
        } else {
            group.into_iter().map(|one| vec![one]).collect()
        };
        for group in groups {
            run.likelihoods_of(&group, &requests, weights, engine, &mut progress)?;
        }
    }
    run.answer_opens(&opens, weights, tokenizer)?;
    progress.finish();
    run.cost.seconds = started.elapsed().as_secs_f64();
    Ok(Answered { likelihoods: run.likelihoods, texts: run.texts, cost: run.cost })
}

/// One sheet on its way through all members.
struct Run<'a> {
    members: &'a [Member],
    sheet: &'a Sheet,
    /// By member, where there is a cache.
    stored: Vec<MemberAnswers>,
    keys: Vec<Key>,
    likelihoods: Vec<Vec<Likelihood>>,
    texts: Vec<Vec<String>>,
    /// By member and request.
    is_known: Vec<Vec<bool>>,
    cost: Cost,
}

impl<'a> Run<'a> {
    fn new(
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

    /// The requests that members still have to answer, by the members that have to.
    fn missing(&self, requests: &[usize]) -> BTreeMap<Vec<usize>, Vec<usize>> {
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
    fn likelihoods_of(
        &mut self,
        group: &[usize],
        requests: &[usize],
        weights: &Weights<'_>,
        engine: Engine,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let stacks: Vec<Stack> =
            group.iter().map(|&member| self.members[member].stack.clone()).collect();
        let tree = PrefixTree::new(&stacks);
        let n_done = self.is_known.iter().flatten().filter(|&&is_known| is_known).count();
        let mut n_before = n_done;
        for chunk in self.chunks(requests, weights, engine, &tree) {
            let asked: Vec<Request> =
                chunk.iter().map(|&request| self.sheet.requests[request].clone()).collect();
            let answers = weights.answers(&tree, &asked, engine.batching, &mut |n_answered| {
                progress
                    .set(n_before + n_answered * group.len(), || format!("{} models", group.len()));
            })?;
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

    /// Requests that are run before their answers are stored: all, where nothing is.
    fn chunks(
        &self,
        requests: &[usize],
        weights: &Weights<'_>,
        engine: Engine,
        tree: &PrefixTree,
    ) -> Vec<Vec<usize>> {
        if self.stored.is_empty() {
            return vec![requests.to_vec()];
        }
        let most = match weights {
            Weights::Resident(_) => {
                BATCHES_PER_SAVE.saturating_mul(engine.batching.tokens_per_batch)
            }
            // The weights are read for each chunk.
            Weights::Streamed { folders, state_bytes, .. } => {
                let d_model = folders.first().map_or(1, |teacher| teacher.config().d_model);
                streamed::tokens_per_pass(&Layerwise::new(tree), d_model, *state_bytes)
            }
        };
        // In their order texts that begin alike are neighbours.
        let mut sorted = requests.to_vec();
        sorted.sort_by_key(|&request| self.sheet.requests[request].input());
        let mut chunks: Vec<Vec<usize>> = Vec::new();
        let mut n_tokens = usize::MAX;
        for request in sorted {
            let n_more = self.sheet.requests[request].input().len();
            n_tokens = n_tokens.saturating_add(n_more);
            match chunks.last_mut().filter(|_| n_tokens <= most) {
                Some(chunk) => chunk.push(request),
                None => {
                    chunks.push(vec![request]);
                    n_tokens = n_more;
                }
            }
        }
        chunks
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

    /// Open questions, which members answer one after the other: what each writes is its own.
    fn answer_opens(
        &mut self,
        opens: &[usize],
        weights: &Weights<'_>,
        tokenizer: Option<&Tokenizer>,
    ) -> anyhow::Result<()> {
        if opens.is_empty() {
            return Ok(());
        }
        let Weights::Resident(models) = weights else {
            return Err(Exit::Usage.error(
                "tasks of the kind generate_until need each member in memory; use --memory resident",
            ));
        };
        let tokenizer = tokenizer.context("open questions are text, and there is no tokenizer")?;
        let total = opens.len() * self.members.len();
        let mut progress = Progress::new("answer in words", total);
        for (place, member) in self.members.iter().enumerate() {
            let model = member.stack.model(models, &member.config);
            for (n_done, &number) in opens.iter().enumerate() {
                let open = &self.sheet.opens[number];
                let key = key_of_open(open);
                let known = self.stored.get(place).and_then(|stored| stored.texts.get(&key));
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
                        if let Some(stored) = self.stored.get_mut(place) {
                            stored.add_text(key, &text)?;
                        }
                        text
                    }
                };
                self.texts[place][number] = text;
                progress.set(place * opens.len() + n_done + 1, || {
                    format!("{} layers", member.n_layers())
                });
            }
        }
        progress.finish();
        Ok(())
    }
}

impl Weights<'_> {
    fn answers(
        &self,
        tree: &PrefixTree,
        requests: &[Request],
        batching: Batching,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> anyhow::Result<Answers> {
        match self {
            Self::Resident(models) => resident::answers(models, tree, requests, batching, progress),
            Self::Streamed { folders, device, state_bytes } => {
                streamed::answers(folders, tree, requests, batching, *state_bytes, device, progress)
            }
        }
    }
}

/// The fingerprint of each member: of its parts in their order, and of how they are run.
///
/// # Errors
/// When weights cannot be read.
pub fn fingerprints(members: &[Member], folders: &[&ModelFolder]) -> anyhow::Result<Vec<[u8; 32]>> {
    use sha2::{Digest as _, Sha256};
    let parts = folders.iter().map(|folder| folder.fingerprints());
    let parts = parts.collect::<anyhow::Result<Vec<_>>>()?;
    let how = |config: &ModelConfig| config.to_json();
    let teacher = folders.first().map_or_else(String::new, |folder| how(folder.config()));
    let of = |member: &Member| {
        let stack = &member.stack;
        let mut hash = Sha256::new_with_prefix(&teacher);
        hash.update(parts[stack.embedding].embedding);
        for &(model, layer) in &stack.layers {
            hash.update(parts[model].layers[layer]);
        }
        hash.update(parts[stack.norm].norm);
        hash.update(parts[stack.head].head);
        hash.finalize().into()
    };
    Ok(members.iter().map(of).collect())
}
