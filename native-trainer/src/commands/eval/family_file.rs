//! `family.json`: everything that was measured, for programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use boomerang_core::bundle::hex;
use boomerang_core::config::ModelConfig;
use boomerang_core::evaluate::{PrefixTree, Stack};
use boomerang_core::model::WeightFormat;
use boomerang_core::plan::LayerPlan;
use serde::Serialize;
use serde_json::Value;

use crate::measure::answers::{Answered, Sheet};
use crate::measure::bytes::ByteCount;
use crate::measure::members::Member;

/// Of this format.
const VERSION: u32 = 1;

/// The content of `family.json`.
#[derive(Debug, Serialize)]
pub(super) struct FamilyFile {
    version: u32,
    boomerang: &'static str,
    command: Vec<String>,
    /// UTC.
    date: String,
    device: String,
    /// The format of the matrices in memory.
    weights: WeightFormat,
    teacher: ModelEntry,
    student: ModelEntry,
    order: String,
    kept: Vec<usize>,
    pub(super) tasks: BTreeMap<String, Value>,
    members: Vec<MemberEntry>,
    engine: CostEntry,
}

#[derive(Debug, Serialize)]
struct ModelEntry {
    path: String,
    n_layers: usize,
    n_params: u64,
}

#[derive(Debug, Serialize)]
struct MemberEntry {
    name: String,
    series: &'static str,
    seed: u64,
    order: String,
    n_patched: usize,
    patched: Vec<usize>,
    n_layers: usize,
    n_params: u64,
    n_params_untied: u64,
    size_bytes: u64,
    /// `None` unless members are run individually.
    seconds: Option<f64>,
    layers: Vec<String>,
    /// `None` without a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    results: BTreeMap<String, Value>,
}

/// What the measurement cost, and what it would have cost one member and one text after another.
#[derive(Debug, Serialize)]
struct CostEntry {
    layer_calls: usize,
    layer_calls_one_by_one: usize,
    token_layers: usize,
    token_layers_one_by_one: usize,
    tokens_one_by_one: usize,
    n_cached: usize,
    seconds: f64,
}

/// The facts about the whole run.
pub(super) struct RunFacts<'a> {
    pub(super) device: String,
    pub(super) teacher: (&'a Path, &'a ModelConfig),
    pub(super) student: (&'a Path, &'a ModelConfig),
    pub(super) plan: &'a LayerPlan,
    pub(super) bytes: &'a ByteCount,
    pub(super) weights: WeightFormat,
    pub(super) sheet: &'a Sheet,
    pub(super) answered: &'a Answered,
}

/// One member, measured.
pub(super) struct MeasuredMember<'a> {
    pub(super) name: &'a str,
    pub(super) member: &'a Member,
    pub(super) hash: Option<[u8; 32]>,
    pub(super) folder: Option<String>,
    /// By task.
    pub(super) results: BTreeMap<String, Value>,
}

impl FamilyFile {
    pub(super) fn new(
        run: &RunFacts<'_>,
        tasks: BTreeMap<String, Value>,
        measured: Vec<MeasuredMember<'_>>,
    ) -> Self {
        let stacks: Vec<Stack> =
            measured.iter().map(|measured| measured.member.stack.clone()).collect();
        let tree = PrefixTree::new(&stacks);
        let cost = &run.answered.cost;
        let engine = CostEntry {
            layer_calls: tree.n_layer_calls(),
            layer_calls_one_by_one: tree.n_layer_calls_alone(),
            token_layers: cost.token_layers,
            token_layers_one_by_one: cost.token_layers_alone,
            tokens_one_by_one: run.sheet.n_tokens(),
            n_cached: cost.n_cached,
            seconds: cost.seconds,
        };
        let order = measured.first().map(|measured| measured.member.order.clone());
        let entries = measured.into_iter().enumerate().map(|(number, measured)| {
            let MeasuredMember { name, member, hash, folder, results } = measured;
            MemberEntry {
                name: name.to_owned(),
                series: member.series.name(),
                seed: member.seed,
                order: member.order.clone(),
                n_patched: member.patched.len(),
                patched: member.patched.clone(),
                n_layers: member.n_layers(),
                n_params: member.n_params(),
                n_params_untied: member.n_params_untied(),
                size_bytes: run.bytes.of(member),
                seconds: cost.member_seconds.get(number).copied().flatten(),
                layers: member.layers(),
                hash: hash.map(|hash| hex(&hash)),
                folder,
                results,
            }
        });
        Self {
            version: VERSION,
            boomerang: env!("CARGO_PKG_VERSION"),
            command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            date: utc(SystemTime::now()),
            device: run.device.clone(),
            weights: run.weights,
            teacher: ModelEntry::of(run.teacher),
            student: ModelEntry::of(run.student),
            order: order.unwrap_or_default(),
            kept: run.plan.kept(),
            tasks,
            members: entries.collect(),
            engine,
        }
    }
}

impl ModelEntry {
    fn of((path, config): (&Path, &ModelConfig)) -> Self {
        let path = path.display().to_string();
        Self { path, n_layers: config.n_layers(), n_params: config.n_params() }
    }
}

/// `2026-11-27T08:00:00Z`
pub(super) fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, seconds) = (since / 86_400, since % 86_400);
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day, of days since 1970-01-01.
fn date_of(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| utc(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        // `date -u -d @1709164799 +%FT%TZ`, the end of a 29th of February's eve.
        assert_eq!(at(1_709_164_799), "2024-02-28T23:59:59Z");
        assert_eq!(at(1_709_164_800), "2024-02-29T00:00:00Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59Z");
    }
}
