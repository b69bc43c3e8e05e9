//! How far the page has come, and how far a download.

use boomerang_engine::notice::Notice;

/// How far the page has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The manifest is on its way.
    Opening,
    /// The bundle is on a server that the reader has not allowed to be asked.
    Asking {
        origin: String,
    },
    /// No weight is here, and none is fetched before the reader asks.
    Offered,
    /// Not even the smallest size is here yet.
    Loading,
    /// At least one size can write.
    Ready,
    Generating,
    Failed(Notice),
}

impl Stage {
    /// As in `data-state`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opening | Self::Loading => "loading",
            Self::Asking { .. } => "asking",
            Self::Offered => "offered",
            Self::Ready => "ready",
            Self::Generating => "generating",
            Self::Failed(_) => "failed",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub bytes: u64,
    pub total: u64,
    /// The file that is arriving; empty before the first.
    pub path: String,
}
