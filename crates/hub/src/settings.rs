//! Settings of server and cache: the only module that reads the environment for them.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{HubError, Result};

/// The settings that the Hub's other tools use, too, so that a model is downloaded once for all of
/// them.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// Another server with the API of the Hub; `None` is the Hub itself.
    pub endpoint: Option<String>,
    /// The cache, with a folder for each model.
    pub cache: PathBuf,
    pub token: Option<Token>,
    /// Whether to use only the cache.
    pub offline: bool,
    /// How long to wait before a second attempt; a third waits twice as long, and so on.
    pub pause: Duration,
}

/// The access token for private and gated models. It is sent and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    origin: String,
}

impl HubSettings {
    /// Without a token or another server: the defaults.
    pub fn with_cache(cache: PathBuf) -> Self {
        let pause = Duration::from_secs(1);
        Self { endpoint: None, cache, token: None, offline: false, pause }
    }

    /// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH` and
    /// `HF_HUB_OFFLINE`; without a token there, the file that `hf auth login` writes.
    ///
    /// # Errors
    /// When neither a variable nor a home folder gives the cache, or the token is invalid.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name), std::env::home_dir())
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        user: Option<PathBuf>,
    ) -> Result<Self> {
        // An empty variable counts as unset.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());

        let caches = path("XDG_CACHE_HOME").or_else(|| Some(user?.join(".cache")));
        let home = path("HF_HOME").or_else(|| Some(caches?.join("huggingface")));
        let cache = path("HF_HUB_CACHE").or_else(|| Some(home.as_ref()?.join("hub")));
        let Some(cache) = cache else {
            return Err(HubError::Settings(
                "no folder to cache models in, because there is no home folder; set HF_HOME"
                    .to_owned(),
            ));
        };
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(home?.join("token")));
        let token = match text("HF_TOKEN").and_then(|secret| Token::new(&secret, "HF_TOKEN")) {
            Some(token) => Some(token),
            None => token_file.and_then(|file| Token::read(&file)),
        };
        if let Some(token) = token.as_ref().filter(|token| !token.is_sound()) {
            return Err(HubError::Settings(format!(
                "the token in {} has invalid characters; copy it again",
                token.origin
            )));
        }
        Ok(Self {
            endpoint: text("HF_ENDPOINT").map(|url| url.trim_end_matches('/').to_owned()),
            token,
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            ..Self::with_cache(cache)
        })
    }
}

impl Token {
    /// A token and its source; `None` if it is empty.
    pub fn new(secret: &str, origin: &str) -> Option<Self> {
        let secret = secret.trim();
        (!secret.is_empty()).then(|| Self { secret: secret.to_owned(), origin: origin.to_owned() })
    }

    fn read(file: &Path) -> Option<Self> {
        Self::new(&fs::read_to_string(file).ok()?, &file.display().to_string())
    }

    /// Its source, for messages.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it is valid in a header; the error of an HTTP library might show an invalid one.
    fn is_sound(&self) -> bool {
        self.secret.chars().all(|char| char.is_ascii_graphic())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token(from {})", self.origin)
    }
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<HubSettings> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        HubSettings::from_variables(variable, Some("/home/me".into()))
    }

    fn cache(variables: &[(&str, &str)]) -> PathBuf {
        settings(variables).unwrap().cache
    }

    #[test]
    fn the_most_specific_variable_sets_the_cache() {
        let all = [("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")];
        assert_eq!(cache(&all), Path::new("/c"));
        assert_eq!(cache(&all[1..]), Path::new("/h/hub"));
        assert_eq!(cache(&all[2..]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[]), Path::new("/home/me/.cache/huggingface/hub"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let empty = settings(&[("HF_HOME", ""), ("HF_ENDPOINT", ""), ("HF_TOKEN", "")]).unwrap();
        assert_eq!(empty.cache, Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!((empty.endpoint, empty.token), (None, None));
    }

    #[test]
    fn the_token_of_the_environment_wins_over_the_one_in_the_file() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let path = home.path().to_str().unwrap();
        let secret = |variables: &[(&str, &str)]| {
            settings(variables).unwrap().token.map(|token| token.secret)
        };
        assert_eq!(secret(&[("HF_HOME", path)]).as_deref(), Some("hf_file"));
        let both = [("HF_HOME", path), ("HF_TOKEN", "hf_variable")];
        assert_eq!(secret(&both).as_deref(), Some("hf_variable"));
    }

    #[test]
    fn a_token_is_not_shown() {
        let shown = format!("{:?}", settings(&[("HF_TOKEN", "hf_secret")]).unwrap());
        assert!(shown.contains("HF_TOKEN") && !shown.contains("hf_secret"), "{shown}");
    }

    #[test]
    fn a_broken_token_is_refused_without_being_shown() {
        let sentence = settings(&[("HF_TOKEN", "hf_a\nhf_b")]).unwrap_err().to_string();
        assert!(sentence.starts_with("the token in HF_TOKEN has invalid characters"), "{sentence}");
        assert!(!sentence.contains("hf_a"), "{sentence}");
    }

    #[test]
    fn offline_is_read_as_the_hubs_own_tools_read_it() {
        let offline = |value| settings(&[("HF_HUB_OFFLINE", value)]).unwrap().offline;
        assert!(["1", "true", "Yes", "ON"].into_iter().all(offline));
        assert!(!["0", "false", "no", "off", ""].into_iter().any(offline));
    }
}
