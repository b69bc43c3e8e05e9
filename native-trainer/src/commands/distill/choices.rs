//! The values of flags that are words.

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum InitChoice {
    /// Copy the kept teacher layers
    Copy,
    /// Random weights, the paper's baseline
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PackingChoice {
    /// Concatenate documents, without attention across them
    #[value(alias = "docs")]
    Packed,
    /// One document per sequence, truncated or padded
    #[value(alias = "pad")]
    Padded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EosChoice {
    /// Learn to predict the end of every text
    Learnt,
    /// Exclude them, as the reference implementation does, which pads with this token
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReduceChoice {
    /// Average
    Mean,
    /// Sum, as the reference implementation does
    Sum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PartChoice {
    /// Token embedding
    #[value(alias = "embed")]
    Embedding,
    /// Output head
    Head,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportTo {
    /// Only metrics.jsonl
    None,
    /// Event files in the folder tensorboard
    Tensorboard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KlChoice {
    /// Tokens only
    Valid,
    /// Tokens and padding
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DivergenceChoice {
    /// End the run
    Stop,
    /// Go back to the newest checkpoint and continue with the data after those steps, at half the
    /// learning rate; at most 3 times
    Rollback,
}
