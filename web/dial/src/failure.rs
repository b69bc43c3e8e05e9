//! Errors: an instance of `BoomerangError`, with a kind for programs and a message for people.

use boomerang_core::bundle::BundleError;
use boomerang_engine::fetch::FetchError;
use boomerang_engine::messages::LoadProblem;
use boomerang_engine::notice::{Notice, chain};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(raw_module = "./platform.js")]
extern "C" {
    #[wasm_bindgen(extends = js_sys::Error)]
    type BoomerangError;

    #[wasm_bindgen(constructor)]
    fn new(kind: &str, message: &str) -> BoomerangError;
}

/// What kind of error it is; programs get its [name](Kind::name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Argument,
    Disposed,
    UnknownSize,
    Memory,
    Network,
    NotABundle,
    Version,
    Unusable,
    Damaged,
    NotLoaded,
    Text,
    Worker,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Argument,
        Self::Disposed,
        Self::UnknownSize,
        Self::Memory,
        Self::Network,
        Self::NotABundle,
        Self::Version,
        Self::Unusable,
        Self::Damaged,
        Self::NotLoaded,
        Self::Text,
        Self::Worker,
    ];

    /// As in `ErrorKind` of the declarations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::Disposed => "disposed",
            Self::UnknownSize => "unknown-size",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::NotABundle => "not-a-bundle",
            Self::Version => "version",
            Self::Unusable => "unusable",
            Self::Damaged => "damaged",
            Self::NotLoaded => "not-loaded",
            Self::Text => "text",
            Self::Worker => "worker",
        }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    /// What happened, why, and what to do.
    pub message: String,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// With the text of a notice.
    pub fn of_notice(kind: Kind, Notice { what, why, next }: &Notice) -> Self {
        let (what, why) = (what.trim_end_matches('.'), why.trim_end_matches('.'));
        Self::new(kind, format!("{what}: {why}. {next}"))
    }

    pub fn disposed() -> Self {
        Self::new(
            Kind::Disposed,
            "This family was disposed of and its worker has ended. Call load() again.",
        )
    }

    /// A manifest that was not fetched.
    pub fn not_fetched(error: &FetchError) -> Self {
        let (kind, next) = match error {
            FetchError::WebPage { .. } | FetchError::NotText { .. } => (
                Kind::NotABundle,
                "Pass the address of a bundle's folder, which contains manifest.json.",
            ),
            FetchError::Status { .. } => (
                Kind::Network,
                "Pass the address of a bundle's folder, which contains manifest.json.",
            ),
            _ => (
                Kind::Network,
                "Check the address and the network; a server of another origin must allow the \
                 request (Access-Control-Allow-Origin), and this page's policy must, too \
                 (connect-src).",
            ),
        };
        Self::of_notice(kind, &Notice::new("The bundle could not be opened.", error, next))
    }

    /// A manifest that cannot be used.
    pub fn unusable(error: &BundleError) -> Self {
        let (kind, next) = match error {
            BundleError::Manifest(_) => (
                Kind::NotABundle,
                "Pass the address of a bundle's folder, which contains manifest.json.",
            ),
            BundleError::Version { .. } => (
                Kind::Version,
                "Create the bundle again with the Boomerang that this package is from, or install \
                 the package that fits the bundle.",
            ),
            _ => (Kind::Unusable, "Create the bundle again with `boomerang bundle`."),
        };
        Self::of_notice(kind, &Notice::new("The bundle cannot be used.", chain(error), next))
    }

    /// A weight file that was not loaded.
    pub fn of_load(problem: LoadProblem, notice: &Notice) -> Self {
        let (kind, next) = match problem {
            LoadProblem::Unusable => {
                (Kind::Unusable, "Create the bundle again with `boomerang bundle`.")
            }
            LoadProblem::NoResponse | LoadProblem::Gone => (
                Kind::Network,
                "Check that every file of the manifest is on the server, and call whenLoaded() to \
                 resume.",
            ),
            LoadProblem::WebPage => {
                (Kind::NotABundle, "Check that every file of the manifest is on the server.")
            }
            LoadProblem::Damaged => (
                Kind::Damaged,
                "Copy the bundle to the server again; its files do not match its manifest.",
            ),
        };
        let Notice { what, why, .. } = notice;
        Self::of_notice(kind, &Notice::new(what, why, next))
    }
}

impl From<Failure> for JsValue {
    fn from(Failure { kind, message }: Failure) -> Self {
        BoomerangError::new(kind.name(), &message).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_not_a_missing_bundle() {
        let kind = |json: &str| {
            let error = boomerang_core::bundle::Manifest::from_json(json).unwrap_err();
            Failure::unusable(&error).kind
        };
        assert_eq!(kind(r#"{"format": "boomerang-bundle", "version": 3}"#), Kind::Version);
        assert_eq!(kind("<!doctype html>"), Kind::NotABundle);
    }

    #[test]
    fn a_message_has_what_happened_why_and_what_to_do() {
        let notice = Notice::new("It stopped.", "no memory.", "Try less.");
        let failure = Failure::of_notice(Kind::Worker, &notice);
        assert_eq!(failure.message, "It stopped: no memory. Try less.");
    }

    #[test]
    fn every_kind_is_declared() {
        for kind in Kind::ALL {
            let name = format!("\"{}\"", kind.name());
            assert!(crate::types::DECLARATIONS.contains(&name), "{name}");
        }
    }
}
