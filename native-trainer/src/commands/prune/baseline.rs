//! ShortGPT and LaCo: smaller models without training, on a checkpoint.

use boomerang_core::baselines::{
    LayerCollapse, block_influence, collapse, keeping, without_least_influential,
};
use boomerang_core::plan::LayerPlan;
use futures_lite::future::block_on;

use super::{PruneArgs, Pruned};
use crate::device;
use crate::exit::Exit;
use crate::files::ModelFolder;
use crate::progress::{note, print};

/// Methods that make a model smaller without training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Baseline {
    /// ShortGPT: drop the layers that change the direction of the residual stream least
    Shortgpt,
    /// LaCo: merge neighboring layers while the last hidden states stay similar
    Laco,
}

impl Baseline {
    pub(super) fn prune(self, args: &PruneArgs, folder: &ModelFolder) -> anyhow::Result<Pruned> {
        let n_layers = folder.config().n_layers();
        let wanted = args.layers.unwrap_or(n_layers);
        if !(1..=n_layers).contains(&wanted) {
            return Err(Exit::Usage.error(format!(
                "--layers must be from 1 to {n_layers}, the teacher's number of layers; found {wanted}"
            )));
        }
        if args.calibration.calibration.is_empty() {
            return Err(Exit::Usage.error("--baseline needs texts; give some with --calibration"));
        }
        let batches = args.calibration.batches(folder)?;
        let device = device::choose(args.device.device)?;
        note(&format!("device: {} ({})", device.description, device.reason));
        let teacher = folder.model(&device.device)?;
        match self {
            Self::Shortgpt => {
                let influence = block_on(block_influence(&teacher, &batches))?;
                for (layer, influence) in influence.iter().enumerate() {
                    print(&format!("layer {layer:>3}  influence {influence:.4}"));
                }
                let kept = without_least_influential(&influence, n_layers - wanted);
                // A student needs the layer that the embedding feeds.
                let plan = LayerPlan::keep(&kept, n_layers).ok();
                let sentence = format!("{wanted} layers (of {n_layers}): keeps {kept:?}");
                Ok(Pruned { model: keeping(&teacher, &kept), plan, sentence })
            }
            Self::Laco => {
                let settings = LayerCollapse {
                    n_merged: args.merged,
                    layers: 0..n_layers,
                    interval: args.interval,
                    threshold: args.threshold,
                    n_layers_enough: wanted,
                };
                let merges = block_on(collapse(&teacher, &settings, &batches))?;
                for merge in &merges {
                    print(&format!(
                        "layer {:>3} merged with the {} after it; cosine of the last states {:.4}",
                        merge.layer, merge.n_taken, merge.similarity
                    ));
                }
                let model = merges.into_iter().next_back().map_or(teacher, |last| last.model);
                let sentence = match model.n_layers() {
                    found if found <= wanted => format!("{found} layers (of {n_layers})"),
                    found => format!(
                        "{found} layers (of {n_layers}): no other merge is above {}; lower \
                         --threshold or --interval for more",
                        args.threshold
                    ),
                };
                Ok(Pruned { model, plan: None, sentence })
            }
        }
    }
}
