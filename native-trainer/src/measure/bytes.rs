//! Sizes of members in bytes.

use boomerang_core::checkpoint::Precision;
use boomerang_core::model::PartBytes;

use super::members::Member;

/// What the bytes of a member are counted by.
#[derive(Clone, Debug)]
pub enum ByteCount {
    /// Files in this format.
    Stored(Precision),
    /// The weights in memory: those of the teacher, then those of each candidate.
    InMemory(Vec<PartBytes>),
}

impl ByteCount {
    /// Bytes of the member's weights, a tied matrix counted once.
    pub fn of(&self, member: &Member) -> u64 {
        match self {
            Self::Stored(precision) => member.n_params().saturating_mul(precision.n_bytes() as u64),
            Self::InMemory(models) => {
                let stack = &member.stack;
                let layers = stack.layers.iter().map(|&(model, layer)| models[model].layers[layer]);
                let head = match &models[stack.head] {
                    _ if member.config.tied => 0,
                    tied if tied.head == 0 => tied.embedding,
                    untied => untied.head,
                };
                models[stack.embedding].embedding
                    + layers.sum::<u64>()
                    + models[stack.norm].norm
                    + head
            }
        }
    }
}
