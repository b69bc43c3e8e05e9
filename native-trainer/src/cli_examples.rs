//! What each command's `--help` ends with: examples, and the environment variables that it reads.

/// Examples of a command that opens models, which may be downloaded from the Hub.
macro_rules! with_hub {
    ($examples:literal) => {
        concat!(
            $examples,
            "\n\n\
             Environment variables (Hugging Face Hub and its cache):\n  \
               HF_HOME         Hub folder [default: huggingface in $XDG_CACHE_HOME or ~/.cache]\n  \
               HF_HUB_CACHE    Model cache [default: $HF_HOME/hub]\n  \
               HF_ENDPOINT     Hub server [default: https://huggingface.co]\n  \
               HF_TOKEN        Access token, for gated and private models\n  \
               HF_TOKEN_PATH   File with the access token [default: $HF_HOME/token]\n  \
               HF_HUB_OFFLINE  Set to 1 to use only the cache"
        )
    };
}

pub(crate) const OVERVIEW: &str = "\
Examples:
  boomerang demo
  boomerang distill --teacher Qwen/Qwen3-0.6B-Base --data train.jsonl --out run
  boomerang patch --teacher Qwen/Qwen3-0.6B-Base --student run/student --all --out sizes

Run `boomerang COMMAND --help` for the options and examples of a command.";

pub(crate) const DEMO: &str = "\
Examples:
  boomerang demo
  boomerang demo --seeds 1 --out runs/quick --force
  boomerang explore runs/demo";

pub(crate) const PRETRAIN: &str = "\
Examples:
  boomerang pretrain --out teacher
  boomerang pretrain --layers 8 --d-model 32 --heads 2 --steps 500 --out small";

pub(crate) const DATA: &str = "\
Examples:
  boomerang data prepare texts.jsonl.zst --model teacher --out tokens
  boomerang data inspect tokens
  boomerang data verify tokens";

pub(crate) const DATA_PREPARE: &str = with_hub!(
    "\
Examples:
  boomerang data prepare texts.jsonl.zst --model Qwen/Qwen3-0.6B-Base --out tokens
  boomerang data prepare chat.parquet more.jsonl --model teacher --max-bad-lines 0 --out tokens
  boomerang distill --teacher teacher --data tokens --shuffle-seed 1 --held-out 64 --out run"
);

pub(crate) const DATA_INSPECT: &str = with_hub!(
    "\
Examples:
  boomerang data inspect tokens
  boomerang data inspect tokens --model teacher --sequence 12"
);

pub(crate) const DATA_VERIFY: &str = "\
Examples:
  boomerang data verify tokens";

pub(crate) const PRUNE: &str = with_hub!(
    "\
Examples:
  boomerang prune --teacher Qwen/Qwen3-0.6B-Base --out student
  boomerang prune --teacher teacher --keep 0,2,4,5 --out student
  boomerang prune --teacher teacher --baseline shortgpt --layers 9 \\
    --calibration texts.txt --out short"
);

pub(crate) const DISTILL: &str = with_hub!(
    "\
Examples:
  boomerang distill --teacher Qwen/Qwen3-0.6B-Base --data train.jsonl --preset quick --out run
  boomerang distill --teacher teacher --data tokens --held-out 64 --curve-every 100 --keep-best \\
    --out run
  boomerang distill --teacher teacher --data tokens -c run.yaml --set lr=2e-4 --out run --resume"
);

pub(crate) const DELTA: &str = with_hub!(
    "\
Examples:
  boomerang delta --base Qwen/Qwen3-0.6B-Base --student run/student --variant Qwen/Qwen3-0.6B \\
    --out chat-student
  boomerang patch --teacher Qwen/Qwen3-0.6B --student chat-student --all --out sizes"
);

pub(crate) const ANALYZE: &str = with_hub!(
    "\
Examples:
  boomerang analyze --teacher teacher --calibration texts.txt --out analysis
  boomerang analyze --teacher teacher --student run/student --calibration texts.txt --out analysis"
);

pub(crate) const SEARCH: &str = with_hub!(
    "\
Examples:
  boomerang search --teacher teacher --student run/student --calibration texts.txt --out order.json
  boomerang search --teacher teacher --student run/student --calibration texts.txt \\
    --method beam --bytes 1.2GB --out order.json
  boomerang patch --teacher teacher --student run/student --order order.json --all --out sizes"
);

pub(crate) const PATCH: &str = with_hub!(
    "\
Examples:
  boomerang patch --teacher teacher --student run/student --layers 9 --out layers-09
  boomerang patch --teacher teacher --student run/student --bytes 1.2GB --out model
  boomerang patch --teacher teacher --student run/student --all \\
    --format gguf --dtype q8_0 --out sizes"
);

pub(crate) const EXPORT: &str = with_hub!(
    "\
Examples:
  boomerang export layers-09 --out layers-09.gguf
  boomerang export layers-09 --dtype q8_0 --out layers-09-q8_0.gguf"
);

pub(crate) const EVAL: &str = with_hub!(
    "\
Examples:
  boomerang eval --teacher teacher --student run/student --data held-out.txt --out eval
  boomerang eval --teacher teacher --student run/student --tasks arc_easy,hellaswag \\
    --limit 100 --out eval
  boomerang eval --teacher teacher --student run/student --tasks mmlu --members every:2 \\
    --use-cache answers --out eval"
);

pub(crate) const REPORT: &str = "\
Examples:
  boomerang report eval --out report
  boomerang report eval --analysis analysis --search order.json --out report
  boomerang report eval --import pythia=results.json:1.4B --metric arc_easy:acc_norm --out report";

pub(crate) const EXPERIMENT: &str = "\
Examples:
  boomerang experiment list
  boomerang experiment phenomenon
  boomerang experiment losses --seeds 5 --out losses";

pub(crate) const BUNDLE: &str = with_hub!(
    "\
Examples:
  boomerang bundle --teacher teacher --student run/student --eval eval \\
    --prompt \"The sea was\" --out bundle
  boomerang bundle --teacher teacher --student run/student --precision q8_0 --out bundle
  boomerang explore bundle"
);

pub(crate) const EXPLORE: &str = "\
Examples:
  boomerang explore runs/demo --open
  boomerang explore bundle --lan";

pub(crate) const GENERATE: &str = with_hub!(
    "\
Examples:
  boomerang generate --model layers-09 --prompt \"The sea was\"
  boomerang generate --model Qwen/Qwen3-0.6B-Base --prompt \"The sea was\" --temperature 0.8 --seed 1"
);

pub(crate) const SAMPLE: &str = with_hub!(
    "\
Examples:
  boomerang sample --model HuggingFaceTB/SmolLM2-135M-Instruct --prompts topics.txt --chat --out texts
  boomerang sample --model teacher --prompts beginnings.txt --per-prompt 8 --temperature 0.9 --out texts
  boomerang distill --teacher teacher --data texts/samples.jsonl --out run"
);

pub(crate) const INSPECT: &str = with_hub!(
    "\
Examples:
  boomerang inspect Qwen/Qwen3-0.6B-Base
  boomerang inspect layers-09.gguf --json"
);

pub(crate) const VERIFY: &str = with_hub!(
    "\
Examples:
  boomerang verify layers-09
  boomerang verify layers-09 --against transformers
  boomerang verify layers-09.gguf --teacher teacher --student run/student"
);

pub(crate) const TRACE: &str = with_hub!(
    "\
Examples:
  boomerang trace --model layers-09 --ids 1,17,4 --out trace.safetensors"
);

pub(crate) const HUB: &str = with_hub!(
    "\
Examples:
  boomerang hub get Qwen/Qwen3-0.6B-Base
  boomerang hub list"
);

pub(crate) const HUB_GET: &str = with_hub!(
    "\
Examples:
  boomerang hub get Qwen/Qwen3-0.6B-Base
  boomerang hub get EleutherAI/pythia-160m@step1000 --update"
);

pub(crate) const HUB_LIST: &str = with_hub!(
    "\
Examples:
  boomerang hub list"
);

pub(crate) const LESSONS: &str = "\
Examples:
  boomerang lessons collect sheets";

pub(crate) const LESSONS_COLLECT: &str = "\
Examples:
  boomerang lessons collect sheets --out class
  boomerang lessons collect sheets/*.json --lesson own.md --bundle runs/demo/bundle --out class --force";

pub(crate) const DOCTOR: &str = "\
Examples:
  boomerang doctor
  boomerang doctor --json";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use crate::Cli;

    /// Commands in `text` that begin a line, with continued lines joined.
    fn examples(text: &str) -> Vec<String> {
        let joined = text.replace("\\\n", " ");
        let lines = joined.lines().map(str::trim).filter(|line| line.starts_with("boomerang "));
        lines.map(str::to_owned).collect()
    }

    /// The words of a command line, of which quotes keep some together.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('"').enumerate().map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        parts.collect::<Vec<Vec<String>>>().concat()
    }

    fn check(command: &clap::Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = examples(&help);
        assert!((1..=3).contains(&examples.len()), "{}: {help}", command.get_name());
        for example in examples.iter().filter(|line| !line.contains("--order order.json")) {
            if let Err(error) = Cli::try_parse_from(words(example)) {
                panic!("{example}: {error}");
            }
        }
        command.get_subcommands().for_each(check);
    }

    #[test]
    fn every_help_ends_with_examples_that_can_be_typed() {
        check(&Cli::command());
    }
}
