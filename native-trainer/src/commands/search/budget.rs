//! Of all members that a search measured, the one closest to the teacher within a budget.

use std::collections::BTreeMap;

use boomerang_core::distill::Batch;
use boomerang_core::plan::{Owner, Patch};
use boomerang_core::prune::Family;
use boomerang_core::search::MeasuredMembers;
use serde_json::{Value, json};

use crate::args::FamilyArgs;
use crate::args::numbers::non_negative;
use crate::args::numbers::parse_amount;
use crate::exit::{Exit, OrExit as _};
use crate::files::ModelFolder;
use crate::progress::print;
use crate::sizes::{Budget, CacheSize, Head, Size, choose_heads, compare, head_name, size_of};

/// How large the member that is looked for may be.
#[derive(Clone, Debug, clap::Args)]
pub struct BudgetArgs {
    /// Also select the member closest to the teacher with at most this many parameters, e.g. 1.1B
    #[arg(long, value_parser = parse_amount, value_name = "N", conflicts_with = "bytes")]
    pub params: Option<u64>,
    /// Also select the member closest to the teacher with at most this many bytes of stored
    /// weights, e.g. 1.2GB; weights of a GGUF file count in f32
    #[arg(long, value_parser = parse_amount, value_name = "N")]
    pub bytes: Option<u64>,
    /// Count a 16-bit KV cache towards --bytes: context length in tokens and batch size, e.g.
    /// 4096:8
    #[arg(long, value_parser = CacheSize::parse, value_name = "CONTEXT:BATCH", requires = "bytes")]
    pub kv: Option<CacheSize>,
    /// Embedding and head of a family with tied weights, within the budget
    #[arg(long, value_enum, default_value_t = Head::Untied)]
    pub head: Head,
    /// For --head auto: maximum relative excess over the lowest KL divergence from the teacher
    #[arg(value_parser = non_negative, long, default_value_t = 0.02, value_name = "SHARE")]
    pub head_tol: f64,
}

impl BudgetArgs {
    /// Prints the best member within the budget, and returns it for the file; `None` without a
    /// budget.
    ///
    /// # Errors
    /// When even the smallest member exceeds the budget, or the family does not support the head.
    pub(super) fn choose(
        &self,
        args: &FamilyArgs,
        teacher: &ModelFolder,
        family: &Family,
        batches: &[Batch],
        known: &MeasuredMembers<'_>,
    ) -> anyhow::Result<Option<Value>> {
        let Some(budget) = Budget::of(self.params, self.bytes) else { return Ok(None) };
        let student = ModelFolder::open(&args.student)?;
        let is_tied = teacher.config().tied && student.config().tied;
        let policies = self.head.policies(is_tied);
        let mut sizes = Vec::new();
        for patch in contenders(family, known) {
            for &head in policies {
                let member = (patch.clone(), head);
                let size = size_of(family.plan(), (teacher, &student), member, self.kv);
                let kl = (self.head == Head::Untied).then(|| known.divergence(&patch).kl);
                sizes.push(Size { kl, ..size.or_exit(Exit::Usage)? });
            }
        }
        if self.head != Head::Untied {
            let models = [family.teacher().model(), family.student().model()];
            compare(models, batches, family.plan(), &mut sizes)?;
        }
        if self.head == Head::Auto {
            sizes = choose_heads(sizes, self.head_tol);
        }
        let chosen = budget.choose(sizes).or_exit(Exit::Usage)?;
        let best = &chosen.best;
        print(&format!(
            "best: {}, student layers {:?}; {}",
            budget.describe(best),
            best.patch.layers(),
            budget.sentence(&chosen)
        ));
        print(&format!("write it with: boomerang patch {}", patch_flags(best)));
        let to_json = |size: &Size| {
            json!({
                "layers": size.n_layers,
                "patched": size.patch.layers(),
                "head": head_name(size.head),
                "params": size.n_params,
                "bytes": size.n_bytes,
                "kv_bytes": size.cache_bytes,
                "kl": size.kl.map(|kl| kl.mean),
                "kl_stderr": size.kl.map(|kl| kl.stderr),
            })
        };
        Ok(Some(json!({
            "limit": budget.limit,
            "unit": budget.unit.name(),
            "kv": self.kv.map(|kv| json!({"context": kv.context, "batch": kv.batch})),
            "chosen": to_json(best),
            "runner_up": chosen.runner_up.as_ref().map(to_json),
            "next_larger": chosen.next_larger.as_ref().map(to_json),
        })))
    }
}

/// The best measured member of each size. Members of as many layers differ in size when embedding
/// and head come from other models.
fn contenders(family: &Family, known: &MeasuredMembers<'_>) -> Vec<Patch> {
    let is_teacher = |owner| owner == Owner::Teacher;
    let mut best: BTreeMap<(usize, bool, bool), (f64, Patch)> = BTreeMap::new();
    for (patch, divergence) in known.measured() {
        let recipe = family.plan().recipe(patch);
        let key = (recipe.layers.len(), is_teacher(recipe.embedding), is_teacher(recipe.head));
        let kl = divergence.kl.mean;
        if best.get(&key).is_none_or(|(least, _)| kl < *least) {
            best.insert(key, (kl, patch.clone()));
        }
    }
    best.into_values().map(|(_, patch)| patch).collect()
}

/// The flags with which `boomerang patch` writes this member.
fn patch_flags(size: &Size) -> String {
    let layers: Vec<String> = size.patch.layers().iter().map(ToString::to_string).collect();
    let which = match layers.as_slice() {
        [] => "--k 0".to_owned(),
        layers => format!("--patched {}", layers.join(",")),
    };
    format!("{which} --head {}", head_name(size.head))
}
