//! Members of two GGUF files: tensors are copied unchanged, however they are quantized.

use std::fs::File;

use anyhow::Context as _;
use boomerang_core::gguf::{GgufFamily, GgufMember, GgufTensor, GgufValue};
use boomerang_core::plan::Recipe;

use super::members::describe_recipe;
use super::{Format, Head, PatchArgs};
use crate::exit::{Exit, OrExit as _};
use crate::files::{GgufFile, OutputFile, Sources, gguf_plan, write_gguf_member};
use crate::progress::print;
use crate::sizes::Size;

/// Teacher and student, opened.
struct Parents<'a> {
    teacher: &'a GgufFile,
    student: &'a GgufFile,
}

/// Writes the chosen members.
///
/// # Errors
/// Names the key or the tensor in which the files differ, or the size that does not exist.
pub(super) fn run(args: &PatchArgs) -> anyhow::Result<()> {
    let paths = [&args.family.teacher, &args.family.student];
    refuse_conversions(args)?;
    let (teacher, student) = (GgufFile::open(paths[0])?, GgufFile::open(paths[1])?);
    let (teacher_file, student_file) = (teacher.parse()?, student.parse()?);
    let n_layers = |file: &boomerang_core::gguf::Gguf<'_>, path: &std::path::Path| {
        file.get("block_count").and_then(GgufValue::as_size).ok_or_else(|| {
            Exit::Unusable.error(format!("{} has no block_count in its metadata", path.display()))
        })
    };
    let plan = args.family.plan(
        gguf_plan(paths[1], &student_file)?,
        n_layers(&teacher_file, paths[0])?,
        n_layers(&student_file, paths[1])?,
    )?;
    let fit = || format!("{} as a student of {}", paths[1].display(), paths[0].display());
    let family = GgufFamily::new(&teacher_file, &student_file, &plan).with_context(fit)?;
    let order = args.family.asked_order().unwrap_or_else(|| family.default_order());
    let patches = args.choice.patches(&plan, &order).or_exit(Exit::Usage)?;
    let head = args.head.policies(true)[0];
    let member = |recipe: &Recipe| family.member(recipe, head).with_context(fit);
    let sizes = patches
        .into_iter()
        .map(|patch| {
            let recipe = plan.recipe(&patch);
            let tensors = member(&recipe)?.tensors;
            Ok(Size {
                patch,
                head,
                kl: None,
                cache_bytes: 0,
                n_layers: recipe.layers.len(),
                n_params: tensors.iter().map(|tensor| tensor.n_values() as u64).sum(),
                n_bytes: tensors.iter().map(|tensor| tensor.data.len() as u64).sum(),
            })
        })
        .collect::<anyhow::Result<Vec<Size>>>()?;
    let (chosen, sentence) = args.choice.choose(sizes).or_exit(Exit::Usage)?;
    let parents = Parents { teacher: &teacher, student: &student };
    for size in &chosen {
        let recipe = plan.recipe(&size.patch);
        write(args, &parents, &recipe, member(&recipe)?, size)?;
    }
    if let Some(sentence) = sentence {
        print(&sentence);
    }
    Ok(())
}

/// Refuses options that only folders support.
fn refuse_conversions(args: &PatchArgs) -> anyhow::Result<()> {
    let refused = if args.format.is_some_and(|format| format != Format::Gguf) {
        "--format"
    } else if args.dtype.0.is_some() {
        "--dtype"
    } else if args.shard_size.is_some() {
        "--shard-size"
    } else if args.head == Head::Auto {
        "--head auto"
    } else if args.kv.is_some() {
        "--kv"
    } else if !args.calibration.calibration.is_empty() {
        "--calibration"
    } else {
        return Ok(());
    };
    Err(Exit::Usage.error(format!(
        "{refused} is only supported for folders; members of GGUF files are GGUF files, with every \
         tensor copied unchanged"
    )))
}

fn write(
    args: &PatchArgs,
    parents: &Parents<'_>,
    recipe: &Recipe,
    member: GgufMember<'_>,
    size: &Size,
) -> anyhow::Result<()> {
    let target = args.target(size, Format::Gguf);
    if let Some(target) = &target {
        let mut metadata = member.metadata.clone();
        describe_recipe(&mut metadata, recipe, size.head)?;
        let file = OutputFile::create(target, args.overwrite.force)?;
        write_gguf_member(file, &member, &metadata, parents)?;
    }
    let is_head = |tensor: &GgufTensor<'_>| tensor.name == "output.weight";
    let tie = if member.tensors.iter().any(is_head) { "" } else { "; head tied to the embedding" };
    args.print_size(target.as_deref(), size, tie);
    Ok(())
}

impl Sources for Parents<'_> {
    fn find(&self, bytes: &[u8]) -> Option<(&File, u64)> {
        self.teacher.find(bytes).or_else(|| self.student.find(bytes))
    }
}
