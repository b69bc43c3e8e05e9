//! `boomerang hub`: downloads models by id, and lists the cache.

use std::path::absolute;

use boomerang_hub::{self as hub, HubId, HubSettings, Snapshot};
use clap::Subcommand;

use crate::cli_examples as examples;
use crate::progress::{Download, note, print};

/// Download models from the Hugging Face Hub, and list the cached ones
#[derive(Clone, Debug, clap::Args)]
pub struct HubArgs {
    #[command(subcommand)]
    pub command: HubCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum HubCommand {
    /// Download a model unless it is cached, and print its folder
    #[command(after_help = examples::HUB_GET)]
    Get(GetArgs),
    /// List cached models: id, size, and missing files
    #[command(after_help = examples::HUB_LIST)]
    List,
}

#[derive(Clone, Debug, clap::Args)]
pub struct GetArgs {
    /// Model: owner/name, or owner/name@revision with a branch, a tag or a commit
    #[arg(value_parser = parse_id)]
    pub id: HubId,
    /// Check the Hub for a newer commit even if the model is cached
    #[arg(long)]
    pub update: bool,
}

/// # Errors
/// When the model cannot be downloaded, or the cache cannot be read.
pub fn run(args: &HubArgs) -> anyhow::Result<()> {
    let settings = HubSettings::from_env()?;
    match &args.command {
        HubCommand::Get(GetArgs { id, update }) => {
            let mut download = Download::default();
            let folder = if *update {
                hub::update(id, &settings, &mut download)
            } else {
                hub::fetch(id, &settings, &mut download)
            };
            print(&absolute(folder?)?.display().to_string());
        }
        HubCommand::List => {
            let found = hub::list(&settings)?;
            if found.is_empty() {
                note(&format!("no models in {}", settings.cache.display()));
            }
            print_table(&found);
        }
    }
    Ok(())
}

fn print_table(found: &[Snapshot]) {
    let width = found.iter().map(|snapshot| snapshot.id.to_string().len()).max().unwrap_or(0);
    for Snapshot { id, n_bytes, missing, .. } in found {
        let state = if missing.is_empty() {
            "complete".to_owned()
        } else {
            format!("incomplete, missing {}", missing.join(", "))
        };
        print(&format!("{:<width$}  {n_bytes:>12} bytes  {state}", id.to_string()));
    }
}

fn parse_id(text: &str) -> Result<HubId, String> {
    // Without a folder to confuse it with, a single word is a name.
    HubId::parse(text).or_else(|| HubId::parse(&format!("hf:{text}"))).ok_or_else(|| {
        let meant = HubId::meant_by(text);
        let meant = meant.map(|id| format!("; did you mean {id}?")).unwrap_or_default();
        format!(
            "expected owner/name or owner/name@revision, of letters, digits, '.', '_' and '-'{meant}"
        )
    })
}
