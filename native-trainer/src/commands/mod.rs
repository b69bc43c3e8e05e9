//! One file for each command: open, compute, write.

pub mod analyze;
pub mod bundle;
pub mod demo;
pub mod distill;
pub mod doctor;
pub mod eval;
pub mod experiment;
pub mod explore;
pub mod export;
pub mod generate;
pub mod hub;
pub mod inspect;
pub mod patch;
pub mod pretrain;
pub mod prune;
pub mod report;
pub mod search;
pub mod trace;
pub mod verify;

use boomerang_core::config::ModelConfig;

use crate::exit::Exit;

/// Refuses a masked language model where one that predicts the next token is needed; `why` ends the
/// sentence.
pub(crate) fn require_next_token(config: &ModelConfig, why: &str) -> anyhow::Result<()> {
    if !config.is_masked() {
        return Ok(());
    }
    Err(Exit::Unusable.error(format!(
        "{} is a masked language model, and {why}; such a model can be pruned, patched, verified and \
         measured (boomerang eval)",
        config.traits().model_type
    )))
}
