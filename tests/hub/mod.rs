/// What is said when a model does not come.
mod answers;
/// Ids on the command line.
mod commands;
/// Connections that end early.
mod cuts;
/// What is fetched, and from where.
mod fetching;
/// Servers that send something else.
mod trust;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boomerang_hub::{self as hub, HubId, HubSettings, Token};
use boomerang_native_trainer::exit::{code_of, describe};
use boomerang_tests::hub::{Model, REPO, StandIn, sha256};
use tempfile::TempDir;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A server and an empty cache.
struct Bench {
    server: StandIn,
    home: TempDir,
    settings: HubSettings,
}

impl Bench {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let server = StandIn::start(Model::of(files));
        let home = tempfile::tempdir().unwrap();
        let mut settings = HubSettings::with_cache(home.path().join("hub"));
        settings.endpoint = Some(server.url());
        settings.pause = Duration::ZERO;
        Self { server, home, settings }
    }

    fn fetch(&self, id: &str) -> anyhow::Result<PathBuf> {
        Ok(hub::fetch(&HubId::parse(id).unwrap(), &self.settings, &mut ())?)
    }

    fn folder(&self) -> PathBuf {
        self.fetch(REPO).unwrap_or_else(|error| panic!("{}", describe(&error)))
    }

    /// The sentence with which a fetch ends, and its code.
    fn refusal(&self, id: &str) -> (String, u8) {
        let error = self.fetch(id).unwrap_err();
        (describe(&error), code_of(&error).code())
    }

    fn repo(&self) -> PathBuf {
        self.settings.cache.join("models--owner--tiny")
    }

    /// Leaves `bytes` as an earlier run would that was stopped.
    fn leave_part(&self, whole: &[u8], bytes: &[u8]) {
        fs::create_dir_all(self.repo().join("blobs")).unwrap();
        fs::write(self.repo().join(format!("blobs/{}.part", sha256(whole))), bytes).unwrap();
    }

    /// The ranges of weights that were asked for.
    fn ranges(&self) -> Vec<String> {
        let asked = self.server.asked().into_iter();
        asked
            .filter(|asked| asked.path.starts_with("/cdn/"))
            .filter_map(|asked| asked.range)
            .collect()
    }

    fn set_token(&mut self, secret: &str) {
        self.settings.token = Token::new(secret, "HF_TOKEN");
    }
}

/// Enough bytes that they do not arrive at once, and no two the same.
fn weights() -> Vec<u8> {
    (0..400_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
