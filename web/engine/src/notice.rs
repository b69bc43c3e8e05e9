//! Errors as they are shown to the user.

use serde::{Deserialize, Serialize};

/// What happened, why, and what the user can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub what: String,
    pub why: String,
    pub next: String,
}

impl Notice {
    pub fn new(
        what: impl Into<String>,
        why: impl std::fmt::Display,
        next: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), why: why.to_string(), next: next.into() }
    }
}

/// An error with the errors behind it, outermost first.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // A transparent error has the same message as its source.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
