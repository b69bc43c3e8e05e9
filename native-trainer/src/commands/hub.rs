//! `boomerang hub`: models by id, fetched before they are needed, and what the cache holds.

use std::path::absolute;

use boomerang_hub::{self as hub, HubId, HubSettings, Snapshot};
use clap::Subcommand;

use crate::progress::{Download, print, tell};

/// Fetch models from the Hub, and list those that are here
#[derive(Clone, Debug, clap::Args)]
pub struct HubArgs {
    #[command(subcommand)]
    pub command: HubCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum HubCommand {
    /// Fetch a model, unless it is here already, and print its folder
    Get(GetArgs),
    /// Tell which models are here: id, bytes, and what is missing
    List,
}

#[derive(Clone, Debug, clap::Args)]
pub struct GetArgs {
    /// owner/name, or owner/name@revision for a branch, a tag or a commit
    #[arg(value_parser = parse_id)]
    pub id: HubId,
    /// Ask the Hub for a newer commit even if the model is here
    #[arg(long)]
    pub update: bool,
}

/// # Errors
/// When the model does not come, with the reason; a cache that cannot be read.
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
                tell(&format!("no models in {}", settings.cache.display()));
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
            format!("incomplete, without {}", missing.join(", "))
        };
        print(&format!("{:<width$}  {n_bytes:>12} bytes  {state}", id.to_string()));
    }
}

fn parse_id(text: &str) -> Result<HubId, String> {
    // What stands alone can here be nothing but a name.
    HubId::parse(text).or_else(|| HubId::parse(&format!("hf:{text}"))).ok_or_else(|| {
        let meant = HubId::meant_by(text);
        let meant = meant.map(|id| format!("; perhaps {id} is meant")).unwrap_or_default();
        format!(
            "expected owner/name or owner/name@revision, of letters, digits, '.', '_' and '-'{meant}"
        )
    })
}
