//! Patching orders that are found by measuring members on texts.

use boomerang_core::distill::Batch;
use boomerang_core::model::WeightFormat;
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::Family;
use boomerang_core::search::{self, MeasuredMembers};
use boomerang_core::similarity::{block_similarity, similarity_order};
use futures_lite::future::block_on;

use super::calibration::CalibrationArgs;
use crate::args::{DeviceArgs, FamilyArgs};
use crate::device;
use crate::files::ModelFolder;
use crate::progress::{Progress, note};

/// How an order is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// From the last layer to the first
    Last,
    /// From the first layer to the last
    First,
    /// The layer least similar to its teacher block first
    Similarity,
    /// Greedy: next the layer that lowers the KL divergence from the teacher most
    Klpatch,
    /// Beam search by KL divergence
    Beam,
    /// Exhaustive, for students of up to 12 layers
    Exact,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::First => "first",
            Self::Similarity => "similarity",
            Self::Klpatch => "klpatch",
            Self::Beam => "beam",
            Self::Exact => "exact",
        }
    }
}

/// The order that a method finds; `beam` is the width of a beam search.
///
/// # Errors
/// When the student is too large for an exact search, or the device is lost.
pub fn find(
    method: Method,
    beam: usize,
    family: &Family,
    batches: &[Batch],
    known: &mut MeasuredMembers<'_>,
    progress: &mut dyn FnMut(usize),
) -> anyhow::Result<Vec<usize>> {
    let order = match method {
        Method::Last => PatchOrder::Last.layers(family.plan())?,
        Method::First => PatchOrder::First.layers(family.plan())?,
        Method::Similarity => similarity_order(&block_on(block_similarity(family, batches))?),
        Method::Klpatch => block_on(search::greedy(known, progress))?,
        Method::Beam => block_on(search::beam(known, beam, progress))?,
        Method::Exact => block_on(search::exact(known, progress))?,
    };
    Ok(order)
}

/// The order that was asked for. `auto` is searched on the calibration texts with matrices in this
/// format, and where there are
/// none it is the architecture's, which is reported.
///
/// # Errors
/// When the family or the texts cannot be used.
pub fn choose(
    args: &FamilyArgs,
    (calibration, device): (&CalibrationArgs, &DeviceArgs),
    teacher: &ModelFolder,
    format: WeightFormat,
) -> anyhow::Result<PatchOrder> {
    let order = args.order(teacher.config());
    if !args.order_is_auto() {
        return Ok(order);
    }
    if calibration.calibration.is_empty() {
        note(&format!(
            "order: {}, what the paper found best for the architecture; add --calibration texts to \
             search one",
            order.name()
        ));
        return Ok(order);
    }
    let batches = calibration.batches(teacher)?;
    let device = device::choose(device.device)?;
    let order = search(&args.open(teacher, format, &device.device)?, &batches)?;
    note(&format!("order: {}, searched on the calibration texts", order.name()));
    Ok(order)
}

/// The order that KLPatch finds on some texts.
///
/// # Errors
/// When the device is lost, or a divergence is not finite.
pub fn search(family: &Family, batches: &[Batch]) -> anyhow::Result<PatchOrder> {
    let mut known = MeasuredMembers::new(family, batches, search::Metric::Kl);
    let mut bar = Progress::new("search the order", family.plan().n_student_layers());
    let mut progress = |done| bar.set(done, || "student layers".to_owned());
    let order = find(Method::Klpatch, 1, family, batches, &mut known, &mut progress)?;
    bar.finish();
    Ok(PatchOrder::Found(order))
}
