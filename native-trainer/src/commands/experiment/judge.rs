//! The claims tested on the measurements: a number and a verdict for each.

use boomerang_core::estimate::{Estimate, mean, stderr};
use serde::Serialize;

use super::design::{Check, Design, Test};
use super::sample::{Measure, Sample};

/// A claim, with the result by each measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) claim: &'static str,
    /// What is compared.
    pub(super) what: String,
    pub(super) accuracy: Judged,
    pub(super) loss: Judged,
}

/// By one measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Judged {
    pub(super) found: String,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// By more than two standard errors.
    Confirmed,
    /// Within two standard errors, where no difference was claimed.
    Level,
    /// Within two standard errors, where a difference was claimed.
    Open,
    /// The opposite, by more than two standard errors.
    Contradicted,
    /// There is nothing to compare.
    Unmeasured,
}

/// Differences of more standard errors than this are significant.
pub(super) const ERRORS: f64 = 2.0;

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Level => "no significant difference",
            Self::Open => "not significant",
            Self::Contradicted => "contradicted",
            Self::Unmeasured => "nothing to compare",
        }
    }

    /// That something is above 0.
    fn above(estimate: Estimate) -> Self {
        match estimate.z() {
            z if z > ERRORS => Self::Confirmed,
            z if z < -ERRORS => Self::Contradicted,
            _ => Self::Open,
        }
    }

    /// That something is not below 0.
    fn not_below(estimate: Estimate) -> Self {
        match Self::above(estimate) {
            Self::Open => Self::Level,
            verdict => verdict,
        }
    }
}

/// Every claim of the design.
pub(super) fn judge(design: &Design, sample: &Sample) -> Vec<Finding> {
    design.checks.iter().map(|check| finding(check, design, sample)).collect()
}

fn finding(check: &Check, design: &Design, sample: &Sample) -> Finding {
    let line = |name: &str| {
        let index = design.lines.iter().position(|line| line.name == name);
        index.expect("a check names lines of its design")
    };
    let judged = |measure: Measure| match &check.test {
        Test::Better(one, other, sizes) => {
            judged_by(sample.lead(line(one), line(other), *sizes, measure), Verdict::above)
        }
        Test::AsGood(one, other, sizes) => {
            judged_by(sample.lead(line(one), line(other), *sizes, measure), Verdict::not_below)
        }
        Test::LeadGrows(one, other) => {
            judged_by(sample.growth_of_lead(line(one), line(other), measure), Verdict::above)
        }
        Test::Climbs(one) => climb(&sample.steps(line(one), measure)),
        Test::Smoother(one, other) => {
            let [one, other] = [one, other].map(|name| sample.roughness(line(name), measure));
            let less: Vec<f64> =
                one.iter().zip(&other).map(|(one, other)| mean(other) - mean(one)).collect();
            let less = Estimate { mean: mean(&less), stderr: stderr(&less) };
            judged_by((!one.is_empty()).then_some(less), Verdict::above)
        }
    };
    let what = match &check.test {
        Test::Better(one, other, _) | Test::AsGood(one, other, _) => format!("{one} − {other}"),
        Test::LeadGrows(one, other) => format!("{one} − {other}, smallest − largest size"),
        Test::Climbs(one) => format!("{one}, steps"),
        Test::Smoother(one, other) => format!("roughness of {other} − roughness of {one}"),
    };
    Finding {
        claim: check.claim,
        what,
        accuracy: judged(Measure::Accuracy),
        loss: judged(Measure::Nats),
    }
}

fn judged_by(estimate: Option<Estimate>, verdict: impl Fn(Estimate) -> Verdict) -> Judged {
    match estimate {
        None => Judged { found: String::new(), verdict: Verdict::Unmeasured },
        Some(estimate) => Judged { found: signed(estimate), verdict: verdict(estimate) },
    }
}

/// More is better, whatever the measure.
fn signed(estimate: Estimate) -> String {
    // Adding 0 turns -0 into +0.
    let mean = format!("{:+.3}", estimate.mean + 0.0);
    if estimate.stderr.is_finite() { format!("{mean} ± {:.3}", estimate.stderr) } else { mean }
}

/// Quality climbs when it is higher at the end and no step goes down.
fn climb(steps: &[Estimate]) -> Judged {
    let count =
        |wanted: Verdict| steps.iter().filter(|&&step| Verdict::above(step) == wanted).count();
    let (n_up, n_down) = (count(Verdict::Confirmed), count(Verdict::Contradicted));
    let total: f64 = steps.iter().map(|step| step.mean).sum();
    let worst = steps.iter().map(|step| step.mean).fold(f64::INFINITY, f64::min);
    let found = format!(
        "{n_up} of {} steps up, {n_down} down; smallest {worst:+.3}, total {total:+.3}",
        steps.len()
    );
    let verdict = match (steps.is_empty(), n_down, n_up) {
        (true, ..) => Verdict::Unmeasured,
        (_, 0, 1..) if total > 0.0 => Verdict::Confirmed,
        (_, 0, _) => Verdict::Open,
        _ => Verdict::Contradicted,
    };
    Judged { found, verdict }
}

#[cfg(test)]
mod tests {
    use super::super::design::{Kind, Line, Sizes};
    use super::super::sample::tests::point;
    use super::*;

    fn design(test: Test) -> Design {
        let line = |name: &str| Line::new(name, Kind::Collapsed);
        let check = Check { claim: "It is so.", test };
        Design { title: "", paper: "", lines: vec![line("a"), line("b")], checks: vec![check] }
    }

    fn verdict(test: Test, a: [[f64; 2]; 3], b: [[f64; 2]; 3]) -> Verdict {
        let line = |line: usize, values: [[f64; 2]; 3]| {
            (0..3).map(move |index| point(line, 0, 4 + index, values[index])).collect::<Vec<_>>()
        };
        let sample = Sample { points: [line(0, a), line(1, b)].concat() };
        judge(&design(test), &sample)[0].accuracy.verdict
    }

    const FLAT: [[f64; 2]; 3] = [[0.5, 0.5]; 3];

    #[test]
    fn better_means_by_more_than_two_standard_errors() {
        let test = || Test::Better("a".to_owned(), "b".to_owned(), Sizes::All);
        let with_middle = |middle: [f64; 2]| [[0.5, 0.5], middle, [0.5, 0.5]];
        assert_eq!(verdict(test(), with_middle([0.6, 0.61]), FLAT), Verdict::Confirmed);
        assert_eq!(verdict(test(), with_middle([0.4, 0.39]), FLAT), Verdict::Contradicted);
        assert_eq!(verdict(test(), with_middle([0.4, 0.61]), FLAT), Verdict::Open);
    }

    #[test]
    fn a_curve_that_falls_in_the_middle_does_not_climb() {
        let rising = [[0.4, 0.4], [0.5, 0.5], [0.6, 0.6]];
        let falling = [[0.4, 0.4], [0.3, 0.3], [0.6, 0.6]];
        assert_eq!(verdict(Test::Climbs("a".to_owned()), rising, FLAT), Verdict::Confirmed);
        assert_eq!(verdict(Test::Climbs("a".to_owned()), falling, FLAT), Verdict::Contradicted);
        assert_eq!(verdict(Test::Climbs("a".to_owned()), FLAT, FLAT), Verdict::Open);
    }
}
