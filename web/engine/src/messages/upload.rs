//! Families uploaded by the user: inspected, then laid out as a bundle.

use serde::{Deserialize, Serialize};

use crate::notice::Notice;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadRequest {
    /// Inspect the files that come with this message, in the order of `names`: checkpoints or a
    /// bundle, in folders or as one zip.
    Inspect { names: Vec<String> },
    /// Lay out as a bundle what was inspected last.
    Pack,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadReply {
    /// What the files are: a manifest without the hashes of its files.
    Inspected { draft: String },
    /// Bytes that were hashed.
    Packing { bytes: u64, total: u64 },
    /// The files as a bundle; they come with this message, in the order of `paths`.
    Packed { manifest: String, paths: Vec<String> },
    /// The files cannot be used.
    Failed { notice: Notice },
}
