//! The answers of every member to all requests of a sheet, from a cache or by running it.

mod cache;
mod pieces;
mod resident;
mod run;
mod sheet;
mod streamed;

use std::time::Instant;

use boomerang_core::evaluate::{Answers, Batching, Likelihood, PrefixTree, Request};
use boomerang_core::model::LanguageModel;
use boomerang_core::model::WeightFormat;
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use sha2::{Digest as _, Sha256};

pub use cache::Cache;
use run::Run;
pub use sheet::{OpenRequest, Sheet};

use crate::exit::Exit;
use crate::files::ModelFolder;
use crate::measure::members::Member;
use crate::progress::Progress;

/// The weights of all models; the teacher is number 0, the candidates follow.
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

/// How members are evaluated.
#[derive(Clone, Copy, Debug)]
pub struct EvalOptions {
    pub batching: Batching,
    /// Run common layers of members once; otherwise each member is run and timed individually.
    pub shares_layers: bool,
    /// The shard of the sheet that this run answers, `(number, of)`, counted from 1.
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
    /// Answers read from the cache.
    pub n_cached: usize,
    /// Tokens run, common prefixes counted once, times the layers that each went through.
    pub token_layers: usize,
    /// The same without sharing, for one member and one text after another.
    pub token_layers_alone: usize,
    pub seconds: f64,
    /// By member, where each was run individually.
    pub member_seconds: Vec<Option<f64>>,
}

/// Evaluates every member on all requests of the sheet.
///
/// # Errors
/// When weights or cache cannot be read, the cache cannot be written, or the device is lost; and
/// for open questions to weights that are streamed.
pub fn answer_all(
    members: &[Member],
    sheet: &Sheet,
    weights: &Weights<'_>,
    options: EvalOptions,
    cached: Option<&Cached<'_>>,
    tokenizer: Option<&Tokenizer>,
) -> anyhow::Result<Answered> {
    let started = Instant::now();
    let mut run = Run::new(members, sheet, cached)?;
    let (number, of) = options.share.map_or((0, 1), |(number, of)| (number - 1, of));
    let (requests, opens) = sheet.share(number, of);
    if !opens.is_empty() {
        // An error before the work, not after it.
        weights.in_memory()?;
    }
    let mut progress = Progress::new("evaluate", requests.len() * members.len());
    if run.cost.n_cached > 0 {
        progress.set(run.cost.n_cached, || "from the cache".to_owned());
    }
    for (group, requests) in run.missing(&requests) {
        let groups = if options.shares_layers {
            vec![group]
        } else {
            group.into_iter().map(|one| vec![one]).collect()
        };
        for group in groups {
            run.likelihoods_of(&group, &requests, weights, options, &mut progress)?;
        }
    }
    run.answer_opens(&opens, weights, tokenizer)?;
    progress.finish();
    run.cost.seconds = started.elapsed().as_secs_f64();
    Ok(Answered { likelihoods: run.likelihoods, texts: run.texts, cost: run.cost })
}

impl Weights<'_> {
    /// # Errors
    /// When they are streamed.
    fn in_memory(&self) -> anyhow::Result<&[&LanguageModel]> {
        match self {
            Self::Resident(models) => Ok(models),
            Self::Streamed { .. } => Err(Exit::Usage
                .error("generate_until tasks need each member in memory; use --memory resident")),
        }
    }

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

/// The fingerprint of each member: of its parts in order, of its config, and of the format of its
/// matrices in memory.
///
/// # Errors
/// When weights cannot be read.
pub fn fingerprints(
    members: &[Member],
    folders: &[&ModelFolder],
    format: WeightFormat,
) -> anyhow::Result<Vec<[u8; 32]>> {
    let parts = folders.iter().map(|folder| folder.fingerprints());
    let parts = parts.collect::<anyhow::Result<Vec<_>>>()?;
    let how = folders.first().map_or_else(String::new, |teacher| {
        let other = teacher.config().other_end_tokens();
        let other = other.map(|tokens| format!("{tokens:?}")).unwrap_or_default();
        let format = match format {
            // As before there were others, so that caches stay valid.
            WeightFormat::F32 => String::new(),
            format => format.to_string(),
        };
        teacher.config().to_json() + &other + &format
    });
    let of = |member: &Member| {
        let stack = &member.stack;
        let mut hash = Sha256::new_with_prefix(&how);
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
