//! What a step of training trades for memory.

use burn::tensor::DType;
use serde::Serialize;

/// How a step is computed; its result is the same for all of them, but for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levers {
    /// Recompute a layer from its input when its turn in the backward pass comes, instead of keeping
    /// what it needs from the forward pass.
    pub recomputes: bool,
    /// Positions whose logits exist at a time.
    pub head_chunk: usize,
    /// Queries whose attention scores exist at a time.
    pub query_block: usize,
    /// Read the teacher's layers from their file when a pass needs them. It is for the caller to make
    /// such a teacher.
    pub streams_teacher: bool,
    /// Keep the moments of AdamW in this program's memory, and update the weights there. It is for the
    /// caller to say so to the [`Distiller`](super::Distiller).
    pub optimizer_on_host: bool,
    /// Sequences of a micro-batch that are computed together, as a part of it.
    pub sequences_per_part: usize,
    /// Parts that share a pass over the teacher's layers: the fewer passes, the more often a streamed
    /// layer is used, and the more aligned states exist at a time.
    pub parts_per_pass: usize,
    /// Products of matrices in half precision.
    pub mixed_precision: MixedPrecision,
}

/// What products of matrices read, as in `torch.autocast`: the numbers of both are rounded, sums are
/// f32, and so are weights, norms, softmax, losses, gradients and the optimizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MixedPrecision {
    /// f32
    #[default]
    Off,
    Bf16,
    /// With loss scaling, since gradients are small beside what f16 can hold (arXiv:1710.03740).
    F16,
}

impl MixedPrecision {
    /// The type of the numbers that are multiplied.
    pub fn dtype(self) -> DType {
        match self {
            Self::Off => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

impl Default for Levers {
    /// The least time; memory for what each layer keeps, but not for its logits or scores.
    fn default() -> Self {
        Self {
            recomputes: false,
            head_chunk: 256,
            query_block: 128,
            streams_teacher: false,
            optimizer_on_host: false,
            sequences_per_part: usize::MAX,
            parts_per_pass: 1,
            mixed_precision: MixedPrecision::Off,
        }
    }
}
