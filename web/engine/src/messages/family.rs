//! Loading a family: the bundle, or one whose files the page sends.

use boomerang_core::plan::Patch;
use serde::{Deserialize, Serialize};

use crate::notice::Notice;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FamilyRequest {
    /// Load and store every file of the manifest, or the rest of them.
    Load {
        /// Files are fetched relative to it.
        manifest_url: String,
        manifest: String,
        /// How many sizes of the path fit in memory, smallest first; files that only larger ones
        /// need are not fetched.
        n_sizes: usize,
    },
    /// Replace the current family by one of which some files come with this message, in the order of
    /// `paths`; the others are fetched.
    Adopt {
        manifest_url: String,
        manifest: String,
        n_sizes: usize,
        paths: Vec<String>,
        /// Whether the family is stored for the next visit, under the address of its manifest.
        is_kept: bool,
    },
    /// Fetch the missing files of this member first.
    Prioritize { patch: Patch },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FamilyReply {
    /// More bytes are loaded.
    Progress { bytes: u64, total: u64, path: String },
    /// This file is loaded; members that are complete with it can generate.
    FileLoaded { path: String },
    /// Every file is loaded.
    Loaded,
    /// A file could not be loaded; the others stay, and another `Load` resumes.
    LoadFailed { notice: Notice, problem: LoadProblem },
}

/// What kind of failure a notice describes, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadProblem {
    /// The manifest or a file is not what this version reads.
    Unusable,
    /// The server did not send a file.
    NoResponse,
    /// The server sent a web page instead of a file.
    WebPage,
    /// A file is not the one whose hash the manifest lists.
    Damaged,
    /// A file that is on no server is no longer stored or readable.
    Gone,
}
