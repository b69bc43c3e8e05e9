//! What a step of training trades for memory.

use boomerang_core::distill::Levers;
use clap::{Args, ValueEnum};

use super::numbers::count;
use crate::device::Memory;
use crate::progress::note;

/// Levers between memory and time; the result is the same for all of them, but for rounding.
#[derive(Args, Clone, Copy, Debug)]
pub struct LeverArgs {
    /// Recompute each layer in the backward pass instead of keeping its intermediate results: less
    /// memory, about a fifth more time
    #[arg(long, value_enum, default_value_t = Recompute::Auto)]
    pub recompute: Recompute,
    /// Positions whose logits are computed together
    #[arg(value_parser = count, long, default_value_t = Levers::default().head_chunk, value_name = "N")]
    pub head_chunk: usize,
    /// Queries whose attention scores are computed together
    #[arg(value_parser = count, long, default_value_t = Levers::default().query_block, value_name = "N")]
    pub query_block: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Recompute {
    /// If memory would be short otherwise
    Auto,
    Always,
    Never,
}

impl LeverArgs {
    /// The levers; `n_bytes` is what a step takes with given ones. Reports what `auto` has chosen, on a
    /// device whose free memory is known (`memory`); on others it is the least memory.
    pub fn choose(&self, memory: Option<Memory>, n_bytes: impl Fn(&Levers) -> u64) -> Levers {
        let levers = |recomputes| Levers {
            recomputes,
            head_chunk: self.head_chunk,
            query_block: self.query_block,
        };
        match self.recompute {
            Recompute::Always => levers(true),
            Recompute::Never => levers(false),
            Recompute::Auto => {
                let needed = n_bytes(&levers(false));
                let fits = memory.is_some_and(|memory| needed <= memory.free_bytes / 5 * 4);
                let chosen = levers(!fits);
                if !fits {
                    note(&format!(
                        "layers are recomputed in the backward pass: a step needs about {:.1} GB \
                         instead of {:.1} GB",
                        n_bytes(&chosen) as f64 / 1e9,
                        needed as f64 / 1e9
                    ));
                }
                chosen
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(recompute: Recompute, free_bytes: Option<u64>) -> bool {
        let args = LeverArgs { recompute, head_chunk: 1, query_block: 1 };
        let memory = free_bytes.map(|free_bytes| Memory { total_bytes: 0, free_bytes });
        args.choose(memory, |levers| if levers.recomputes { 50 } else { 100 }).recomputes
    }

    #[test]
    fn layers_are_recomputed_where_memory_would_be_short() {
        assert!(chosen(Recompute::Auto, Some(124)) && chosen(Recompute::Auto, None));
        assert!(!chosen(Recompute::Auto, Some(125)));
        assert!(chosen(Recompute::Always, Some(1000)) && !chosen(Recompute::Never, Some(1)));
    }
}
