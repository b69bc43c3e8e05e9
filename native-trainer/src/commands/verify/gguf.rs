//! Whether a GGUF member is the one that its recipe makes of its parents.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{Conversion, Encoding, Gguf, GgufFamily, GgufTensor, GgufValue};
use boomerang_core::plan::{HeadPolicy, Recipe};

use super::{VerifyArgs, against_transformers, ensure_verified, logits, some_ids};
use crate::args::FamilyArgs;
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{GgufFile, ModelFolder, gguf_plan, is_gguf, member};
use crate::progress::print;

/// # Errors
/// Names what differs; exit code 8.
pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let mapped = GgufFile::open(&args.model)?;
    let file = mapped.parse()?;
    let (recipe, policy) = recipe_of(&args.model, &file)?;
    let (Some(teacher), Some(student)) = (&args.teacher, &args.student) else {
        return Err(Exit::Usage.error(format!(
            "{} does not name the folders of its teacher and student; give them with --teacher and \
             --student",
            args.model.display()
        )));
    };
    if is_gguf(teacher) && is_gguf(student) {
        let (teacher, student, kept) = (teacher.clone(), student.clone(), args.kept.clone());
        let family = FamilyArgs {
            teacher,
            student,
            kept,
            order: None,
            allow_mismatch: false,
            from_first: false,
        };
        return against_files(&file, &recipe, policy, &family);
    }
    let (teacher, student) = (ModelFolder::open(teacher)?, ModelFolder::open(student)?);
    let (checkpoint, config) = member(&recipe, policy, &teacher, &student)?;
    let n_by_kind = against_member(&file, &checkpoint, &config)?;
    let kinds: Vec<String> =
        n_by_kind.iter().map(|(kind, n_tensors)| format!("{n_tensors} as {kind}")).collect();
    print(&format!("tensors   equal to their parents': {}", kinds.join(", ")));
    if args.against.is_some() {
        let ids = some_ids(&config);
        let ours = logits(&checkpoint.read_model(&config, &device::cpu())?, &ids)?;
        against_transformers(args, false, &ids, &ours)?;
    }
    Ok(())
}

fn recipe_of(path: &Path, file: &Gguf<'_>) -> anyhow::Result<(Recipe, HeadPolicy)> {
    let text = |key: &str| {
        file.metadata.text(key).ok_or_else(|| {
            Exit::Unusable.error(format!(
                "{} has no {key}; expected a file that `boomerang patch` wrote",
                path.display()
            ))
        })
    };
    let broken = || format!("the recipe in {}", path.display());
    let recipe = serde_json::from_str(text("boomerang.recipe")?)
        .with_context(broken)
        .or_exit(Exit::Unusable)?;
    let policy = serde_json::from_str(text("boomerang.head")?)
        .with_context(broken)
        .or_exit(Exit::Unusable)?;
    Ok((recipe, policy))
}

/// Compares every tensor of the member, encoded again in the format of the file; returns the number
/// of tensors by format.
fn against_member(
    file: &Gguf<'_>,
    member: &Checkpoint<'_>,
    config: &ModelConfig,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut conversion = Conversion::new(member, config, None)?;
    let mut n_by_kind = BTreeMap::<String, usize>::new();
    for expected in &mut conversion.tensors {
        let found = fitting(file, &expected.name, &expected.dims)?;
        expected.encoding = Encoding::of(found.kind).ok_or_else(|| {
            Exit::VerificationFailed.error(format!(
                "tensor {:?} is {}, a format that boomerang does not write; expected a file that \
                 `boomerang patch` wrote",
                found.name,
                found.kind.name()
            ))
        })?;
        let mut rest = found.data;
        for piece in expected.pieces() {
            let bytes = expected.encode(&piece.concat()).or_exit(Exit::VerificationFailed)?;
            let stored = rest.split_off(..bytes.len().min(rest.len())).unwrap_or_default();
            ensure_verified(stored == bytes, || differs(&found.name))?;
        }
        *n_by_kind.entry(found.kind.name()).or_default() += 1;
    }
    same_number(file, conversion.tensors.len())?;
    Ok(n_by_kind)
}

fn against_files(
    file: &Gguf<'_>,
    recipe: &Recipe,
    policy: HeadPolicy,
    family: &FamilyArgs,
) -> anyhow::Result<()> {
    let parents = (GgufFile::open(&family.teacher)?, GgufFile::open(&family.student)?);
    let files = (parents.0.parse()?, parents.1.parse()?);
    let n_layers = (n_layers(&files.0), n_layers(&files.1));
    let plan = family.plan(gguf_plan(&family.student, &files.1)?, n_layers.0, n_layers.1)?;
    let member = GgufFamily::new(&files.0, &files.1, &plan)?.member(recipe, policy)?;
    for expected in &member.tensors {
        let found = fitting(file, &expected.name, &expected.dims)?;
        let is_same = found.kind == expected.kind && found.data == expected.data;
        ensure_verified(is_same, || differs(&found.name))?;
    }
    same_number(file, member.tensors.len())?;
    print(&format!("tensors   {} equal to their parents' byte for byte", member.tensors.len()));
    Ok(())
}

/// 0 for a file without the key, which fits no plan.
fn n_layers(file: &Gguf<'_>) -> usize {
    file.get("block_count").and_then(GgufValue::as_size).unwrap_or(0)
}

fn fitting<'a, 'bytes>(
    file: &'a Gguf<'bytes>,
    name: &str,
    dims: &[usize],
) -> anyhow::Result<&'a GgufTensor<'bytes>> {
    let found = file.tensor(name).ok_or_else(|| {
        Exit::VerificationFailed.error(format!("tensor {name:?} is missing in the file"))
    })?;
    ensure_verified(found.dims == dims, || {
        format!("tensor {name:?} has dimensions {:?}, the member's has {dims:?}", found.dims)
    })?;
    found.ensure_finite(found.data).or_exit(Exit::VerificationFailed)?;
    Ok(found)
}

fn differs(name: &str) -> String {
    format!("tensor {name:?} differs from its parent's")
}

fn same_number(file: &Gguf<'_>, n_tensors: usize) -> anyhow::Result<()> {
    ensure_verified(file.tensors().len() == n_tensors, || {
        format!("the file has {} tensors, the member {n_tensors}", file.tensors().len())
    })
}
