//! The format of a model's matrices in memory.

use boomerang_core::model::WeightFormat;
use burn::tensor::Device;
use clap::{Args, ValueEnum};

use crate::device;
use crate::exit::Exit;

/// In which format weights are kept in memory.
#[derive(Args, Clone, Copy, Debug)]
pub struct WeightArgs {
    /// Format of the matrices in memory, on the CPU: smaller, faster to decode, and as exact as the
    /// format; stored keeps f16, bf16 and q8_0 as they are in the file
    #[arg(long, value_enum, default_value_t = WeightChoice::F32, value_name = "FORMAT")]
    pub weights: WeightChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightChoice {
    F32,
    F16,
    Bf16,
    /// 8 bits, and a scale for each 32 values
    #[value(name = "q8_0")]
    Q8_0,
    /// As in the file
    Stored,
}

impl WeightArgs {
    /// The format for a model on this device.
    ///
    /// # Errors
    /// On a GPU, for anything but f32.
    pub fn on(self, device: &Device) -> anyhow::Result<WeightFormat> {
        let format = match self.weights {
            WeightChoice::F32 => WeightFormat::F32,
            WeightChoice::F16 => WeightFormat::F16,
            WeightChoice::Bf16 => WeightFormat::Bf16,
            WeightChoice::Q8_0 => WeightFormat::Q8_0,
            WeightChoice::Stored => WeightFormat::Stored,
        };
        if format != WeightFormat::F32 && *device != device::cpu() {
            return Err(Exit::Usage.error(format!(
                "--weights {format} is supported on the CPU only, and this command computes on a GPU, \
                 where weights are in f32; add --device cpu, or omit --weights"
            )));
        }
        Ok(format)
    }
}
