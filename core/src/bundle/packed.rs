//! Whether the explorer keeps a bundle's matrices in memory as their files have them.

use super::Manifest;
use crate::checkpoint::keeps_8_bits;
use crate::config::ModelConfig;

/// Weights that take no more in f32 are not worth keeping in 16 bits, bytes: WebAssembly multiplies these
/// slower than 32, and gains memory alone.
const SMALL: u64 = 64 << 20;

impl Manifest {
    /// Bits per weight in the files.
    pub fn bits_per_param(&self, config: &ModelConfig) -> u32 {
        let teacher = &self.teacher;
        let n_bytes: u64 = teacher.files().map(|file| file.bytes).sum();
        let n_params = config.n_params_of(teacher.layers.len(), teacher.tied);
        (8.0 * n_bytes as f64 / n_params as f64).round() as u32
    }

    /// Whether matrices stay packed on the CPU; `config` is the teacher's.
    pub fn stays_packed(&self, config: &ModelConfig) -> bool {
        match self.bits_per_param(config) {
            // Scales, and vectors in f32, add to the 16 or 8 bits of the format.
            25.. => false,
            13.. => config.n_params().saturating_mul(4) > SMALL,
            _ => keeps_8_bits(config),
        }
    }
}
