//! Which model embedding and head of a member come from.

use boomerang_core::plan::HeadPolicy;

/// Embedding and head of a family that ties them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Head {
    /// Store both matrices where they come from different models
    Untied,
    /// Use the teacher's matrix for both
    Teacher,
    /// Use the student's matrix for both
    Student,
    /// The smallest of the three whose KL divergence is within --head-tol (with --calibration)
    Auto,
}

impl Head {
    /// The policies to compare, or the one that was asked for; `is_tied` when teacher and student
    /// both have one matrix for embedding and head.
    pub fn policies(self, is_tied: bool) -> &'static [HeadPolicy] {
        match self {
            // With two matrices there is nothing to choose.
            Self::Auto if !is_tied => &[HeadPolicy::Untied],
            Self::Untied => &[HeadPolicy::Untied],
            Self::Teacher => &[HeadPolicy::Teacher],
            Self::Student => &[HeadPolicy::Student],
            Self::Auto => &[HeadPolicy::Untied, HeadPolicy::Teacher, HeadPolicy::Student],
        }
    }
}

pub fn head_name(policy: HeadPolicy) -> &'static str {
    match policy {
        HeadPolicy::Untied => "untied",
        HeadPolicy::Teacher => "teacher",
        HeadPolicy::Student => "student",
    }
}
