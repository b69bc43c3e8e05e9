//! `settings.json`: everything that decides the result of a run, and that it is bound to.

use boomerang_core::bundle::hex;
use boomerang_core::distill::{DistillSettings, Labels, MixedPrecision, Rows};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::DistillArgs;
use super::models::Models;
use crate::files::{self, ModelFolder, shown};
use crate::train::data::{Packing, PreparedData};

/// What a record is made from, besides the arguments.
pub(super) struct Facts<'a> {
    pub(super) models: &'a Models,
    pub(super) settings: &'a DistillSettings,
    pub(super) rows: &'a Rows,
    pub(super) packing: Packing,
    pub(super) labels: Labels,
    pub(super) mixed_precision: MixedPrecision,
    /// Steps before the second phase, where there is one.
    pub(super) first_steps: usize,
}

/// The settings of a run. Those that are off are left out, so that runs of earlier versions, which did
/// not have them, can be resumed.
///
/// # Errors
/// When what the run reads cannot be hashed.
pub(super) fn record(args: &DistillArgs, facts: &Facts<'_>) -> anyhow::Result<Value> {
    let Facts { models, settings, rows, packing, labels, .. } = *facts;
    let mut record = json!({
        "command": "distill",
        "teacher": shown(&args.teacher),
        "student": args.student.as_deref().map(shown),
        "kept": models.plan.kept(),
        "init": format!("{:?}", args.init).to_lowercase(),
        "seed": args.seed,
        "data": args.data.iter().map(|path| shown(path)).collect::<Vec<_>>(),
        "n_rows": rows.len(),
        "seq_len": packing.seq,
        "packing": format!("{:?}", packing.layout).to_lowercase(),
        "micro_batches": args.micro_batches,
        "rows": args.rows,
        "settings": settings,
        "fingerprints": fingerprints(args, &models.teacher)?,
    });
    if !args.data_weights.is_empty() {
        record["data_weights"] = json!(args.data_weights);
    }
    if !args.second_data.is_empty() {
        let paths: Vec<String> = args.second_data.iter().map(|path| shown(path)).collect();
        record["second_data"] =
            json!({"data": paths, "from": args.second_from, "first_steps": facts.first_steps});
    }
    if args.patch_probability > 0.0 {
        record["patch_probability"] = json!(args.patch_probability);
    }
    if let Some(seed) = args.shuffle_seed {
        record["shuffle_seed"] = json!(seed);
    }
    if let Some(n_rows) = args.held_out {
        record["held_out"] = json!(n_rows);
    }
    if let Some(deviations) = args.skip_spikes {
        record["skip_spikes"] = json!(deviations);
    }
    if labels != Labels::All {
        record["labels"] = json!(labels);
    }
    if facts.mixed_precision != MixedPrecision::Off {
        record["mixed_precision"] = json!(facts.mixed_precision);
    }
    Ok(record)
}

/// What the run is bound to besides its settings: the contents of what it reads, which may change
/// under the same names.
fn fingerprints(args: &DistillArgs, teacher: &ModelFolder) -> anyhow::Result<Value> {
    let student = args.student.as_ref().map(|path| ModelFolder::open(path)?.fingerprint());
    let data =
        args.data.iter().chain(&args.second_data).map(|path| match PreparedData::is_in(path) {
            true => Ok(PreparedData::open(path)?.sha256),
            false => Ok(hex(&Sha256::digest(&*files::map(path)?))),
        });
    Ok(json!({
        "teacher": teacher.fingerprint()?,
        "student": student.transpose()?,
        "data_sha256": data.collect::<anyhow::Result<Vec<_>>>()?,
    }))
}
