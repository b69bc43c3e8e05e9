//! The results: members of families and imported models, in lines from small to large.

use std::collections::BTreeMap;
use std::path::PathBuf;

use boomerang_core::estimate::Estimate;

/// Models that belong together, such as the sizes of one family in one order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub name: String,
    /// `boomerang`, `naive`, `random`, or what an evaluation called it; `import` for those of other
    /// tools.
    pub series: String,
    pub members: Vec<Member>,
}

/// One model, measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    pub name: String,
    pub seed: u64,
    pub n_layers: Option<u64>,
    pub n_patched: Option<u64>,
    pub n_params: Option<u64>,
    pub size_bytes: Option<u64>,
    pub seconds: Option<f64>,
    /// By task and metric.
    pub results: BTreeMap<String, BTreeMap<String, Measured>>,
    /// The folder of its answers, question by question.
    pub samples: Option<PathBuf>,
}

/// A score with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub value: f64,
    pub stderr: Option<f64>,
}

/// Facts about a task, as far as they are recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Task {
    pub n_questions: Option<u64>,
    /// The score of random guessing.
    pub chance: Option<f64>,
    /// By metric.
    pub higher_is_better: BTreeMap<String, bool>,
}

/// By name.
pub(crate) type Tasks = BTreeMap<String, Task>;

/// One size: the same member of several seeds.
#[derive(Clone, Debug)]
pub struct Stop<'line> {
    pub members: Vec<&'line Member>,
}

/// The quantity on the x-axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SizeAxis {
    /// Parameters held in memory
    Params,
    /// Bytes of the weights as stored
    Bytes,
    /// Layers
    Layers,
    /// Seconds that the evaluation took
    Time,
}

impl SizeAxis {
    pub const ALL: [Self; 4] = [Self::Params, Self::Bytes, Self::Layers, Self::Time];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Bytes => "bytes",
            Self::Layers => "layers",
            Self::Time => "time",
        }
    }

    /// As in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Params => "parameters",
            Self::Bytes => "bytes",
            Self::Layers => "layers",
            Self::Time => "seconds",
        }
    }

    fn of_member(self, member: &Member) -> Option<f64> {
        let count = |count: Option<u64>| count.map(|count| count as f64);
        match self {
            Self::Params => count(member.n_params),
            Self::Bytes => count(member.size_bytes),
            Self::Layers => count(member.n_layers),
            Self::Time => member.seconds,
        }
    }

    /// Mean over the members of a stop; `None` when one of them has no value.
    pub fn of(self, stop: &Stop<'_>) -> Option<f64> {
        let sizes: Option<Vec<f64>> =
            stop.members.iter().map(|member| self.of_member(member)).collect();
        let sizes = sizes?;
        Some(sizes.iter().sum::<f64>() / sizes.len() as f64)
    }
}

impl Line {
    /// The line's sizes from the smallest to the largest, over all seeds.
    pub(crate) fn stops(&self) -> Vec<Stop<'_>> {
        let key = |member: &Member| (member.n_layers, member.n_params, member.n_patched);
        let mut members: Vec<&Member> = self.members.iter().collect();
        members.sort_by_key(|member| (key(member), member.seed));
        let mut stops: Vec<Stop<'_>> = Vec::new();
        for member in members {
            match stops.last_mut() {
                // An imported model is always a stop of its own.
                Some(stop)
                    if self.series != IMPORT
                        && key(stop.members[0]) == key(member)
                        && stop.members[0].seed != member.seed =>
                {
                    stop.members.push(member);
                }
                _ => stops.push(Stop { members: vec![member] }),
            }
        }
        stops
    }

    pub(crate) fn is_import(&self) -> bool {
        self.series == IMPORT
    }
}

/// The series of imported results.
pub(crate) const IMPORT: &str = "import";

impl Stop<'_> {
    /// The mean over seeds of `score`, with its standard error; `None` when one has no score.
    pub fn estimate(&self, score: impl Fn(&Member) -> Option<Measured>) -> Option<Estimate> {
        let scores: Option<Vec<Measured>> =
            self.members.iter().map(|member| score(member)).collect();
        let scores = scores?.into_iter().map(|score| (score.value, score.stderr.unwrap_or(0.0)));
        Estimate::over_seeds(&scores.collect::<Vec<_>>())
    }

    /// `9 layers`, or the model's name if the number is unknown.
    pub fn words(&self) -> String {
        let first = self.members[0];
        match first.n_layers {
            Some(1) => "1 layer".to_owned(),
            Some(n_layers) => format!("{n_layers} layers"),
            None => first.name.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn member(n_layers: u64, seed: u64, acc: f64) -> Member {
        let acc = Measured { value: acc, stderr: Some(0.01) };
        Member {
            name: format!("boomerang-{n_layers:02}"),
            seed,
            n_layers: Some(n_layers),
            n_patched: Some(n_layers),
            n_params: Some(n_layers * 1_000_000),
            size_bytes: Some(n_layers * 2_000_000),
            seconds: None,
            results: BTreeMap::from([(
                "arc".to_owned(),
                BTreeMap::from([("acc".to_owned(), acc)]),
            )]),
            samples: None,
        }
    }

    pub(crate) fn line(series: &str, accs: &[(u64, f64)]) -> Line {
        let members = accs.iter().map(|&(n_layers, acc)| member(n_layers, 0, acc));
        Line { name: series.to_owned(), series: series.to_owned(), members: members.collect() }
    }

    pub(crate) fn tasks() -> Tasks {
        let higher_is_better = BTreeMap::from([("acc".to_owned(), true)]);
        let task = Task { n_questions: Some(100), chance: Some(0.25), higher_is_better };
        BTreeMap::from([("arc".to_owned(), task)])
    }

    #[test]
    fn seeds_of_one_size_are_one_stop() {
        let members = vec![member(4, 1, 0.6), member(3, 0, 0.4), member(4, 0, 0.5)];
        let line = Line { members, ..line("boomerang", &[]) };
        let stops = line.stops();
        assert_eq!(stops.iter().map(|stop| stop.members.len()).collect::<Vec<_>>(), [1, 2]);
        let mean = stops[1].estimate(|member| Some(member.results["arc"]["acc"])).unwrap().mean;
        assert!((mean - 0.55).abs() < 1e-12);
    }

    #[test]
    fn a_size_that_is_not_known_is_on_no_axis() {
        let line = line("boomerang", &[(3, 0.4)]);
        assert_eq!(SizeAxis::Time.of(&line.stops()[0]), None);
        assert_eq!(SizeAxis::Layers.of(&line.stops()[0]), Some(3.0));
    }
}
