//! What a step of training trades for memory.

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
}

impl Default for Levers {
    /// The least time; memory for what each layer keeps, but not for its logits or scores.
    fn default() -> Self {
        Self { recomputes: false, head_chunk: 256, query_block: 256 }
    }
}
