//! The id of a model on the Hub.

use std::fmt;

/// `owner/name`, or `owner/name@revision` for a branch, a tag or a commit.
///
/// The few models without an owner are written `hf:name`, and `hf:` is allowed before any other.
///
/// Invariant: no part can escape its folder in the cache; only the slashes of a revision need
/// escaping in URLs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HubId {
    repo: String,
    revision: String,
}

const MAIN: &str = "main";
const PREFIX: &str = "hf:";

/// Longer than any id on the Hub; shorter than the limit of file systems.
const MAX_LENGTH: usize = 96;

impl HubId {
    /// `None` for an invalid id. A name with the extension of a file that commands read is a path,
    /// unless it starts with `hf:`.
    pub fn parse(text: &str) -> Option<Self> {
        let (text, is_marked) = match text.strip_prefix(PREFIX) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (repo, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let n_parts = repo.split('/').count();
        let looks_like_a_file =
            [".json", ".safetensors"].iter().any(|ending| repo.ends_with(ending));
        let is_id = (n_parts == 2 || (is_marked && n_parts == 1))
            && (is_marked || !looks_like_a_file)
            && repo.split('/').all(is_name)
            && revision.len() <= MAX_LENGTH
            && revision.split('/').all(is_plain);
        is_id.then(|| Self { repo: repo.to_owned(), revision: revision.to_owned() })
    }

    /// The id that was probably meant by a text that is neither an id nor a path: the URL of a
    /// model, or a name without its owner.
    pub fn meant_by(text: &str) -> Option<Self> {
        let text = text.split(['?', '#']).next().unwrap_or(text).trim_end_matches('/');
        let (is_address, rest) = match text.split_once("://") {
            Some(("hf", rest)) => (false, rest),
            Some((_, rest)) => (true, rest),
            None => (false, text),
        };
        let mut parts: Vec<&str> = rest.split('/').collect();
        if is_address || (parts.len() > 2 && parts[0].contains('.') && !parts[0].starts_with('.')) {
            parts.remove(0);
        }
        let id = match parts[..] {
            ["datasets" | "spaces" | "models", ..] => return None,
            [name] => format!("{PREFIX}{name}"),
            [owner, name] => format!("{PREFIX}{owner}/{name}"),
            [owner, name, "tree" | "blob" | "raw" | "resolve" | "commit", revision, ..] => {
                format!("{PREFIX}{owner}/{name}@{revision}")
            }
            _ => return None,
        };
        Self::parse(&id)
    }

    /// `owner/name`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The same model at another revision; `None` if the revision is invalid.
    pub(crate) fn at(&self, revision: &str) -> Option<Self> {
        Self::parse(&format!("{PREFIX}{}@{revision}", self.repo))
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.repo.clone();
        if self.revision != MAIN {
            text = format!("{text}@{}", self.revision);
        }
        let prefix = if Self::parse(&text).is_some() { "" } else { PREFIX };
        write!(formatter, "{prefix}{text}")
    }
}

/// The cache writes the slash of an id as `--`.
fn is_name(part: &str) -> bool {
    part.len() <= MAX_LENGTH && is_plain(part) && !part.contains("--")
}

fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with(['.', '-'])
        && !part.contains("..")
        && part.chars().all(|char| char.is_ascii_alphanumeric() || "._-".contains(char))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Option<(String, String)> {
        HubId::parse(text).map(|id| (id.repo, id.revision))
    }

    fn some(repo: &str, revision: &str) -> Option<(String, String)> {
        Some((repo.to_owned(), revision.to_owned()))
    }

    #[test]
    fn an_id_is_an_owner_a_name_and_perhaps_a_revision() {
        assert_eq!(parts("Qwen/Qwen3-0.6B-Base"), some("Qwen/Qwen3-0.6B-Base", "main"));
        assert_eq!(parts("a/b@v1.0"), some("a/b", "v1.0"));
        assert_eq!(parts("a/b@refs/pr/5"), some("a/b", "refs/pr/5"));
    }

    #[test]
    fn a_name_without_an_owner_needs_the_prefix() {
        assert_eq!(parts("gpt2"), None);
        assert_eq!(parts("hf:gpt2"), some("gpt2", "main"));
        assert_eq!(parts("hf:a/b@x"), some("a/b", "x"));
    }

    #[test]
    fn the_id_behind_an_address_or_a_name_is_found() {
        let meant = |text| HubId::meant_by(text).map(|id| id.to_string());
        for (text, id) in [
            ("gpt2", "hf:gpt2"),
            ("https://hub.example/a/b", "a/b"),
            ("https://hub.example/a/b/", "a/b"),
            ("http://hub.example/a/b/tree/v1.0", "a/b@v1.0"),
            ("https://hub.example/a/b/blob/main/config.json?x=1", "a/b"),
            ("https://hub.example/gpt2#usage", "hf:gpt2"),
            ("hub.example/a/b", "a/b"),
            ("hf://a/b", "a/b"),
        ] {
            assert_eq!(meant(text).as_deref(), Some(id), "{text}");
        }
        for text in ["", "/", "./a", "../a/b", "/a/b", "a/b/c", "https://hub.example/datasets/a/b"]
        {
            assert_eq!(meant(text), None, "{text}");
        }
    }

    #[test]
    fn paths_are_not_ids() {
        let paths = [
            "",
            "/",
            "a",
            "a/",
            "/a",
            "/a/b",
            "a/b/c",
            "a//b",
            "./a",
            "a/..",
            "../a",
            "a/.b",
            "~/a",
            "a/b@",
            "a/b@../x",
            "a/b@/x",
            "a/b@x/",
            "a/b@x y",
            "a\\b",
            "C:/a",
            "a/b\n",
            "a/b?x",
            "a/b%2e",
            "a--b/c",
            "a/-b",
            "hf:",
            "hf:/a",
            "a/é",
            "sizes/five.recipe.json",
        ];
        for path in paths {
            assert_eq!(parts(path), None, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_parsed_again(text in "(hf:)?[a-z.-]{1,6}(/[a-z.-]{1,6})?(@[a-z./-]{1,8})?") {
            if let Some(id) = HubId::parse(&text) {
                prop_assert_eq!(HubId::parse(&id.to_string()), Some(id));
            }
        }

        #[test]
        fn no_id_leads_out_of_its_folder(text in "(hf:)?\\PC{0,12}/?\\PC{0,12}") {
            if let Some(id) = HubId::parse(&text) {
                let path = std::path::Path::new(&id.repo).join(&id.revision);
                let is_normal =
                    |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(path.components().all(is_normal));
            }
        }
    }
}
