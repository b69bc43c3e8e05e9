//! One flag for the weight of each loss term.

use boomerang_core::distill::loss::{LossTerm, LossWeights};
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::numbers::non_negative;

/// `--ce-weight`, `--kl-weight` and so on, made from [`LossTerm::ALL`].
#[derive(Clone, Debug, Default)]
pub struct LossArgs {
    /// Temperature and positions are the default ones; they have flags of their own.
    pub weights: LossWeights,
}

fn flag(term: LossTerm) -> String {
    format!("{}-weight", term.key())
}

impl Args for LossArgs {
    fn augment_args(command: Command) -> Command {
        LossTerm::ALL.into_iter().fold(command, |command, term| {
            let default = term.weight(&LossWeights::default());
            let arg = Arg::new(flag(term))
                .long(flag(term))
                .aliases(term.reference_name())
                .value_name("WEIGHT")
                .value_parser(non_negative)
                .default_value(default.to_string())
                .help(format!("Weight of the {}; 0 disables it", term.name()));
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LossArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for term in LossTerm::ALL {
            if let Some(&weight) = matches.get_one::<f64>(&flag(term)) {
                term.set_weight(&mut self.weights, weight);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        loss: LossArgs,
    }

    #[test]
    fn every_term_has_a_flag_and_the_references_name() {
        let none = Line::try_parse_from(["x"]).unwrap();
        assert_eq!(none.loss.weights, LossWeights::default());
        let line = "x --ce-weight 0 --kl_loss_weight 3 --cosine_loss_weight 4";
        let some = Line::try_parse_from(line.split(' ')).unwrap().loss.weights;
        assert_eq!((some.cross_entropy, some.kl, some.alignment), (0.0, 3.0, 4.0));
        assert!(Line::try_parse_from(["x", "--kl-weight", "nan"]).is_err());
    }
}
