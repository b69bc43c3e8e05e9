//! Sets of defaults. What each of them sets is in one table, from which the defaults of the flags,
//! their help and the JSON Schema follow.

use clap::builder::{ArgPredicate, OsStr, PossibleValue, Resettable};
use clap::{Arg, ValueEnum};

/// A set of defaults. A flag on the command line or in a file comes before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    Default,
    Paper,
    Adapt,
    Smoke,
    Quick,
    Desk,
}

/// The length of a run, which a preset or a user states in one of two ways: flags and their ids.
const LENGTHS: [(&str, &str); 2] = [("train-tokens", "train_tokens"), ("steps", "steps")];

impl Preset {
    /// Flags of `distill` with their values.
    pub fn flags(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Default => &[],
            Self::Paper => &[
                ("packing", "padded"),
                ("eos-labels", "ignored"),
                ("reduce", "sum"),
                ("kl-positions", "all"),
            ],
            Self::Adapt => &[("cosine-weight", "10"), ("second-from", "0.5")],
            Self::Smoke => {
                &[("steps", "5"), ("seq-len", "64"), ("batch-size", "2"), ("save-every", "5")]
            }
            Self::Quick => &[("train-tokens", "10M")],
            Self::Desk => &[("train-tokens", "100M")],
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Default => "Correct layer alignment, averaged gradients, packed documents",
            Self::Paper => "The reference implementation in every detail, its alignment included",
            Self::Adapt => {
                "For post-trained teachers (ADAPT, arXiv:2608.22854), with responses as --second-data"
            }
            Self::Smoke => {
                "Test whether a run works at all, in under a minute with a small teacher"
            }
            Self::Quick => "A first student",
            Self::Desk => "What a desktop GPU takes hours for",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Paper => "paper",
            Self::Adapt => "adapt",
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Desk => "desk",
        }
    }
}

impl ValueEnum for Preset {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Default, Self::Paper, Self::Adapt, Self::Smoke, Self::Quick, Self::Desk]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let flags: Vec<String> =
            self.flags().iter().map(|(flag, value)| format!("--{flag} {value}")).collect();
        let help = match flags.is_empty() {
            true => self.purpose().to_owned(),
            false => format!("{}; sets {}", self.purpose(), flags.join(" ")),
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// Gives a flag the defaults of `--preset`.
pub fn with_presets(arg: Arg) -> Arg {
    let conditions = conditions(&arg);
    match conditions.is_empty() {
        true => arg,
        false => arg.default_value_ifs(conditions),
    }
}

type Condition = (&'static str, ArgPredicate, Resettable<OsStr>);

/// When a flag has another default than its own; the first condition that is met counts.
fn conditions(arg: &Arg) -> Vec<Condition> {
    let Some(name) = arg.get_long() else { return Vec::new() };
    let mut conditions = Vec::new();
    // A length that is given leaves the other without a default. clap sets defaults in the order of
    // the flags, so that one of --train-tokens is seen when it comes to --steps.
    if LENGTHS.iter().any(|(flag, _)| *flag == name) {
        let others = LENGTHS.iter().filter(|(flag, _)| *flag != name);
        conditions.extend(others.map(|(_, id)| (*id, ArgPredicate::IsPresent, Resettable::Reset)));
    }
    for preset in Preset::value_variants() {
        for (_, value) in preset.flags().iter().filter(|(flag, _)| *flag == name) {
            let is_chosen = ArgPredicate::Equals(preset.name().into());
            conditions.push(("preset", is_chosen, Resettable::Value((*value).into())));
        }
    }
    conditions
}

#[cfg(test)]
mod tests {
    use clap::{Args, CommandFactory as _, Parser};

    use super::*;
    use crate::cli::Cli;

    #[derive(Args, Debug)]
    #[command(mut_args(with_presets))]
    struct Some {
        #[arg(long, value_enum, default_value_t = Preset::Default)]
        preset: Preset,
        #[arg(long)]
        train_tokens: Option<String>,
        #[arg(long, default_value = "500")]
        steps: Option<usize>,
        #[arg(long)]
        seq_len: Option<usize>,
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        some: Some,
    }

    fn parsed(line: &str) -> (Option<String>, Option<usize>, Option<usize>) {
        let Line { some } = Line::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(Preset::from_str(some.preset.name(), false), Ok(some.preset));
        (some.train_tokens, some.steps, some.seq_len)
    }

    #[test]
    fn a_flag_that_is_given_comes_before_that_of_the_preset() {
        assert_eq!(parsed("x"), (None, Some(500), None));
        assert_eq!(parsed("x --preset smoke"), (None, Some(5), Some(64)));
        assert_eq!(parsed("x --seq-len 32 --preset smoke"), (None, Some(5), Some(32)));
    }

    #[test]
    fn a_run_has_a_length_in_tokens_or_in_steps() {
        let tokens = |number: &str| Some(number.to_owned());
        assert_eq!(parsed("x --preset quick"), (tokens("10M"), None, None));
        assert_eq!(parsed("x --preset quick --steps 7"), (None, Some(7), None));
        assert_eq!(parsed("x --train-tokens 3"), (tokens("3"), None, None));
        assert_eq!(parsed("x --preset smoke --train-tokens 3"), (tokens("3"), None, Some(64)));
    }

    #[test]
    fn every_flag_of_a_preset_is_one_of_distill_that_takes_its_value() {
        for preset in Preset::value_variants() {
            let line = format!(
                "boomerang distill --teacher t --data d --out o --preset {}",
                preset.name()
            );
            Cli::try_parse_from(line.split(' ')).unwrap();
            let command = Cli::command();
            let distill = command.find_subcommand("distill").unwrap();
            for (flag, _) in preset.flags() {
                let found = distill.get_arguments().any(|arg| arg.get_long() == Some(flag));
                assert!(found, "{} sets --{flag}", preset.name());
            }
        }
    }
}
