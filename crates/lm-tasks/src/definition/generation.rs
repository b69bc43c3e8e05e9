//! Generation settings of open questions (`generation_kwargs`).

use crate::error::{Result, bail, ensure};
use crate::python::{self, Value};

/// Stop sequences and the maximum length; decoding is always greedy.
#[derive(Clone, Debug, PartialEq)]
pub struct Generating {
    pub until: Vec<String>,
    pub max_tokens: usize,
    /// The keys as lm-evaluation-harness records them.
    pub recorded: Value,
}

/// The default of lm-evaluation-harness.
const MAX_TOKENS: usize = 256;

/// The first of these keys that is present counts.
const LIMITS: [&str; 4] = ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"];

impl Generating {
    /// # Errors
    /// Names a key that is not implemented, or that asks for sampling.
    pub(super) fn read(source: Option<&Value>, shot_delimiter: &str) -> Result<Self> {
        let Some(Value::Map(entries)) = source.filter(|source| !source.is_none()) else {
            let until = vec![shot_delimiter.to_owned()];
            let recorded = Value::map([
                ("temperature", Value::Float(0.0)),
                ("do_sample", Value::Bool(false)),
                ("max_gen_toks", MAX_TOKENS.into()),
                ("until", vec![shot_delimiter].into()),
            ]);
            return Ok(Self { until, max_tokens: MAX_TOKENS, recorded });
        };
        let mut recorded = Value::Map(entries.clone());
        let (mut until, mut is_random, mut temperature) = (None, None, 0.0);
        for (key, value) in entries {
            match (&**key, value) {
                (_, Value::None) => {}
                ("until", Value::List(stops)) => {
                    until = Some(stops.iter().map(python::text).collect());
                }
                ("until", stop) => until = Some(vec![python::text(stop)]),
                ("do_sample", Value::Bool(flag)) => is_random = Some(*flag),
                ("temperature", value) => {
                    temperature = value.as_f64().unwrap_or(f64::NAN);
                    recorded.set("temperature", Value::Float(temperature));
                }
                // Without sampling they have no effect.
                ("top_p" | "top_k", _) => {}
                (key, _) if LIMITS.contains(&key) => {}
                (key, value) => bail!(
                    "generation_kwargs.{key} is {}, which is not implemented; supported keys: until, \
                     do_sample (false), temperature (0), {}",
                    python::repr(value),
                    LIMITS.join(", ")
                ),
            }
        }
        ensure!(
            !is_random.unwrap_or(temperature != 0.0),
            "generation_kwargs asks for sampling (do_sample or temperature), which is not implemented; \
             expected do_sample: false (greedy decoding)"
        );
        let limit = LIMITS.iter().find_map(|key| source?.get(key).filter(|value| !value.is_none()));
        let max_tokens = match limit.map(Value::as_int) {
            None => MAX_TOKENS,
            Some(Some(limit @ 1..=0xff_ffff)) => limit as usize,
            Some(_) => bail!(
                "generation_kwargs asks for {} tokens; expected a whole number from 1",
                limit.map(python::repr).unwrap_or_default()
            ),
        };
        let until = match until {
            Some(until) => until,
            None => {
                recorded.set("until", vec![shot_delimiter].into());
                vec![shot_delimiter.to_owned()]
            }
        };
        Ok(Self { until, max_tokens, recorded })
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(yaml: &str) -> Result<Generating> {
        Generating::read(Some(&parse(yaml)?), "\n\n")
    }

    #[test]
    fn the_first_limit_that_is_there_counts() {
        let generating =
            read("max_tokens: 3\nmax_gen_toks: 5\nuntil: X\ntemperature: 0\n").unwrap();
        assert_eq!((generating.max_tokens, generating.until), (5, vec!["X".to_owned()]));
        assert_eq!(read("do_sample: false\n").unwrap().max_tokens, 256);
    }

    #[test]
    fn chance_is_refused() {
        assert!(read("do_sample: true\n").is_err());
        assert!(read("temperature: 0.7\n").is_err());
        assert!(read("temperature: 0.7\ndo_sample: false\n").is_ok());
        assert!(read("num_beams: 4\n").unwrap_err().to_string().contains("num_beams"));
        assert!(read("max_gen_toks: -1\n").is_err());
    }
}
