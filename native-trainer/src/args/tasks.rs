//! Which tasks are evaluated, and how.

use std::path::PathBuf;

use boomerang_hub::HubSettings;
use boomerang_lm_tasks::{Limit, Options};

/// Shared by every command that evaluates tasks; names with underscores are lm-evaluation-harness's
/// own.
#[derive(Clone, Debug, clap::Args)]
pub struct TaskArgs {
    /// Comma-separated tasks: names such as arc_easy or mmlu, .yaml files of lm-evaluation-harness,
    /// or .jsonl questions with "task", "context", "choices" and "gold"
    #[arg(long, value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// Folder of .yaml tasks that --tasks can name; repeatable
    #[arg(long, alias = "include_path", value_name = "FOLDER")]
    pub include_path: Vec<PathBuf>,
    /// Folder of datasets, searched before the Hub cache; repeatable
    #[arg(long, alias = "data_dir", value_name = "FOLDER")]
    pub data_dir: Vec<PathBuf>,
    /// Number of few-shot examples [default: each task's own]
    #[arg(long, alias = "num_fewshot", value_name = "N")]
    pub num_fewshot: Option<usize>,
    /// Evaluate only the first documents of each task: a count, or a fraction such as 0.1
    #[arg(long)]
    pub limit: Option<Limit>,
    /// Seed for sampling few-shot examples
    #[arg(long, default_value_t = Options::default().seed, value_name = "SEED")]
    pub fewshot_seed: u64,
}

impl TaskArgs {
    pub fn options(&self) -> Options {
        Options {
            tasks: self.tasks.iter().filter(|name| !name.is_empty()).cloned().collect(),
            include_paths: self.include_path.clone(),
            data_folders: self.data_dir.clone(),
            hub_cache: HubSettings::from_env().ok().map(|settings| settings.cache),
            n_shots: self.num_fewshot,
            limit: self.limit,
            seed: self.fewshot_seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        tasks: TaskArgs,
    }

    #[test]
    fn the_names_of_lm_evaluation_harness_are_understood() {
        let line =
            "x --tasks arc_easy,a.yaml --num_fewshot 5 --limit 0.1 --data_dir d --tasks race";
        let options = Command::try_parse_from(line.split(' ')).unwrap().tasks.options();
        assert_eq!(options.tasks, ["arc_easy", "a.yaml", "race"]);
        assert_eq!((options.n_shots, options.limit), (Some(5), Some(Limit::Share(0.1))));
        assert_eq!(options.seed, 1234);
        assert!(Command::try_parse_from("x --limit 0".split(' ')).is_err());
    }
}
