//! How close members are to their teacher on calibration texts, for choices that depend on it:
//! which matrix embedding and head share, and which size within a budget is best.

use anyhow::ensure;
use boomerang_core::distill::Batch;
use boomerang_core::evaluate::{PrefixTree, Stack};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::LayerPlan;
use boomerang_core::search::divergences;
use futures_lite::future::block_on;

use super::{Size, head_name};
use crate::args::DeviceArgs;
use crate::device;
use crate::files::ModelFolder;
use crate::measure::calibration::CalibrationArgs;
use crate::progress::{Progress, note, print};

/// Fills in each size's divergence from the teacher.
///
/// # Errors
/// When the texts cannot be used, or the models do not fit the device.
pub fn measure(
    (args, device): (&CalibrationArgs, &DeviceArgs),
    teacher: &ModelFolder,
    student: &ModelFolder,
    plan: &LayerPlan,
    sizes: &mut [Size],
) -> anyhow::Result<()> {
    let batches = args.batches(teacher)?;
    let device = device::choose(device.device)?;
    note(&format!("device: {} ({})", device.description, device.reason));
    let models = [teacher.model(&device.device)?, student.model(&device.device)?];
    compare([&models[0], &models[1]], &batches, plan, sizes)
}

/// As [`measure`], of a teacher and a student that are loaded.
///
/// # Errors
/// When a size ties embedding and head in a family that does not.
pub fn compare(
    models: [&LanguageModel; 2],
    batches: &[Batch],
    plan: &LayerPlan,
    sizes: &mut [Size],
) -> anyhow::Result<()> {
    let is_tied = models[0].is_tied() && models[1].is_tied();
    let mut stacks = Vec::with_capacity(sizes.len());
    for size in &*sizes {
        let recipe = plan.recipe(&size.patch);
        let ends = recipe.ends(size.head, |_| is_tied);
        ensure!(
            ends.is_some(),
            "--head teacher and --head student need a family with tied weights"
        );
        stacks.extend(ends.map(|ends| Stack::with_ends(&recipe, ends, 0, 1)));
    }
    let tree = PrefixTree::new(&stacks);
    let mut progress = Progress::new("compare with the teacher", batches.len());
    let found = block_on(divergences(&models, &tree, 0, batches, &mut |done| {
        progress.set(done, || format!("{} members", stacks.len()));
    }));
    let found = found.map_err(|error| {
        error.describing(|number| format!("the size of {} layers", sizes[number].n_layers))
    })?;
    progress.finish();
    for (size, divergence) in sizes.iter_mut().zip(found) {
        size.kl = Some(divergence.kl);
    }
    Ok(())
}

/// Of the sizes that differ only in their head, the smallest whose divergence is at most
/// `tolerance` above the least; prints the table it chooses from.
pub fn choose_heads(sizes: Vec<Size>, tolerance: f64) -> Vec<Size> {
    print("layers  head      bytes         KL from the teacher");
    let mut chosen = Vec::new();
    for alternatives in sizes.chunk_by(|a, b| a.patch == b.patch) {
        let best = pick(alternatives, tolerance);
        for (number, size) in alternatives.iter().enumerate() {
            print(&format!(
                "{:>6}  {:<8}  {:<12}  {}{}",
                size.n_layers,
                head_name(size.head),
                size.n_bytes,
                size.kl.map_or_else(String::new, |kl| kl.to_string()),
                if number == best { "  chosen" } else { "" }
            ));
        }
        chosen.push(alternatives[best].clone());
    }
    chosen
}

fn pick(alternatives: &[Size], tolerance: f64) -> usize {
    let kl = |size: &Size| size.kl.map_or(f64::INFINITY, |kl| kl.mean);
    let least = alternatives.iter().map(kl).fold(f64::INFINITY, f64::min);
    let within = alternatives
        .iter()
        .enumerate()
        .filter(|(_, size)| kl(size) <= least * (1.0 + tolerance) || alternatives.len() == 1);
    within.min_by_key(|(_, size)| size.n_bytes).map_or(0, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use boomerang_core::estimate::Estimate;
    use boomerang_core::plan::{HeadPolicy, Patch};

    use super::*;

    fn size(n_bytes: u64, kl: f64) -> Size {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        Size {
            patch: Patch::none(&plan),
            head: HeadPolicy::Untied,
            n_layers: 2,
            n_params: 1,
            n_bytes,
            cache_bytes: 0,
            kl: Some(Estimate { mean: kl, stderr: 0.0 }),
        }
    }

    #[test]
    fn the_smallest_head_within_the_tolerance_is_chosen() {
        let alternatives = [size(20, 0.100), size(10, 0.1019), size(10, 0.103)];
        assert_eq!(pick(&alternatives, 0.02), 1);
        assert_eq!(pick(&alternatives, 0.0), 0);
    }
}
