//! How much memory a model's weights take, before they are read.

use std::path::Path;

use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::gguf::{Gguf, GgufType};
use boomerang_core::model::WeightFormat;
use safetensors::Dtype;

use super::ModelFolder;
use super::weights::Weights;
use crate::memory::require_memory;

impl ModelFolder {
    /// # Errors
    /// When the weights in this format need clearly more memory than is free.
    pub(super) fn require_memory(&self, format: WeightFormat) -> anyhow::Result<()> {
        let n_bytes = match (format, &self.weights) {
            (WeightFormat::Stored, Weights::Gguf(imported)) => of_gguf(&imported.file.parse()?),
            (WeightFormat::Stored, _) => of_checkpoint(&self.checkpoint()?),
            _ => of_params(self.config().n_params(), format),
        };
        require(self.path(), format, n_bytes, self.config().n_params())
    }
}

fn require(path: &Path, format: WeightFormat, n_bytes: u64, n_params: u64) -> anyhow::Result<()> {
    let packed = of_params(n_params, WeightFormat::Q8_0);
    let or_packed = match packed < n_bytes {
        true => {
            format!(", or --weights q8_0, if supported ({:.1} GB)", packed as f64 / 1e9)
        }
        false => String::new(),
    };
    let what = match format {
        WeightFormat::Stored => format!("loading {} as it is stored", path.display()),
        format => format!("loading {} in {format}", path.display()),
    };
    require_memory(&what, n_bytes, &format!("use a smaller model or size{or_packed}"))
}

/// Bytes of so many weights; vectors, which stay in f32, are too few to count.
fn of_params(n_params: u64, format: WeightFormat) -> u64 {
    match format {
        WeightFormat::F32 | WeightFormat::Stored => n_params.saturating_mul(4),
        WeightFormat::F16 | WeightFormat::Bf16 => n_params.saturating_mul(2),
        // A scale of 16 bits for each 32 values.
        WeightFormat::Q8_0 => n_params.saturating_mul(34) / 32,
    }
}

fn of_gguf(file: &Gguf<'_>) -> u64 {
    let sizes = file.tensors().iter().map(|tensor| match tensor.kind {
        GgufType::F16 | GgufType::BF16 | GgufType::Q8_0 => tensor.data.len() as u64,
        _ => tensor.n_values() as u64 * 4,
    });
    sizes.sum()
}

fn of_checkpoint(checkpoint: &Checkpoint<'_>) -> u64 {
    let sizes = checkpoint.tensors().values().map(|view| match view.dtype() {
        Dtype::F16 | Dtype::BF16 | Dtype::I8 => view.data().len() as u64,
        _ => view.shape().iter().product::<usize>() as u64 * 4,
    });
    sizes.sum()
}
