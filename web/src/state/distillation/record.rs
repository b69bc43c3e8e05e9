//! The record of a distillation run: its steps, in words, as a chart and as a file.

use boomerang_core::chart::{Axis, Chart, Format, Point, Series, SeriesStyle};
use boomerang_core::distill::loss::LossTerm;
use boomerang_engine::distillation::messages::{
    DistillSettings, DistillStep, Glimpse, HeldOutLoss, SizeLoss, TextsRead,
};
use serde::{Deserialize, Serialize};

use crate::browser::backend::Backend;
use crate::text::format;
use crate::text::tokens::quoted;

/// Points of a line; more would be a band.
const MOST_POINTS: usize = 30;
/// Lines of the table.
const MOST_LINES: usize = 10;

/// A run and its steps so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub settings: DistillSettings,
    /// What computes the steps.
    pub backend: Backend,
    /// The number of the run whose settings were copied.
    pub based_on: Option<usize>,
    /// Of the user's texts; none for the generated corpus.
    pub names: Vec<String>,
    pub steps: Vec<DistillStep>,
    /// The user's texts, once they are read.
    pub texts: Option<TextsRead>,
    pub held_out: Vec<HeldOutLoss>,
    pub glimpses: Vec<Glimpse>,
    /// Of the student's family and of the bundle's, once all are measured.
    pub sizes: Option<Vec<SizeLoss>>,
}

/// Mean of some consecutive steps.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRange {
    /// The last of them, from 1.
    pub step: usize,
    pub total: f64,
    /// In the order of [`LossTerm::ALL`], before their weights; `None` for a term that is off.
    pub terms: [Option<f64>; LossTerm::ALL.len()],
}

impl Record {
    /// A record without steps, of a run on the CPU.
    pub fn new(settings: DistillSettings, names: Vec<String>, based_on: Option<usize>) -> Self {
        Self {
            settings,
            backend: Backend::Cpu,
            based_on,
            names,
            steps: Vec::new(),
            texts: None,
            held_out: Vec::new(),
            glimpses: Vec::new(),
            sizes: None,
        }
    }

    /// Files of the user's texts; none for the generated corpus.
    pub fn text_names(&self) -> &[String] {
        &self.names
    }

    /// The record as it was after so many steps.
    pub fn truncate(&mut self, n_steps: usize) {
        if self.steps.len() > n_steps {
            self.sizes = None;
        }
        self.steps.truncate(n_steps);
        self.held_out.retain(|it| it.step <= n_steps);
        self.glimpses.retain(|it| it.step <= n_steps);
    }

    /// Adds a step; what was measured of the student before is not true of it any more.
    pub fn add_step(&mut self, step: DistillStep) {
        self.sizes = None;
        self.steps.push(step);
    }

    /// Adds a held-out loss, unless it is known.
    pub fn add_held_out(&mut self, loss: HeldOutLoss) {
        if self.held_out.last().is_none_or(|last| last.step < loss.step) {
            self.held_out.push(loss);
        }
    }

    /// Adds a glimpse, unless it is known.
    pub fn add_glimpse(&mut self, glimpse: Glimpse) {
        if self.glimpses.last().is_none_or(|last| last.step < glimpse.step) {
            self.glimpses.push(glimpse);
        }
    }

    /// Tokens of all steps, without padding.
    pub fn n_tokens(&self) -> usize {
        self.steps.iter().map(|step| step.n_tokens).sum()
    }

    /// How the held-out loss changed, in a sentence or two; `None` before it was measured twice.
    ///
    /// Always from before the first step to the last measurement: the loss of training batches varies
    /// from one to the next, and a mean of the first ones would change while the run continues.
    pub fn finding(&self) -> Option<String> {
        let [first, .., last] = &self.held_out[..] else { return None };
        let done = match self.settings.n_steps {
            all if all > last.step => format!("{} of {all} steps", last.step),
            _ => format::count(last.step, "step"),
        };
        let change = if last.nats < first.nats { "fell" } else { "did not fall; it changed" };
        let loss = format!(
            "Over {done} the held-out loss {change} from {:.2} to {:.2} nats/token",
            first.nats, last.nats
        );
        let fall = first.terms.total - last.terms.total;
        let falls = LossTerm::ALL.into_iter().filter_map(|term| {
            let fall = term.value(&first.terms)? - term.value(&last.terms)?;
            Some((term, fall * term.weight(&self.settings.loss)))
        });
        let largest = falls.max_by(|one, other| one.1.total_cmp(&other.1));
        Some(match largest {
            Some((term, part)) if fall > 0.0 && part > 0.0 => {
                let share = (part / fall * 100.0).min(100.0);
                let term = term.short_name();
                format!(
                    "{loss}; {term} accounts for {share:.0} % of the drop in the weighted loss there."
                )
            }
            _ => format!("{loss}."),
        })
    }

    /// The training data, and the held-out sequences.
    pub fn trained_on(&self) -> String {
        match &self.texts {
            None => "Trained on the generated corpus.".to_owned(),
            Some(texts) => {
                let unknown = match texts.n_unknown {
                    0 => String::new(),
                    n => format!(", {n} of them unknown words"),
                };
                format!(
                    "Trained on {}: {}{unknown}; {} are held out.",
                    texts.names.join(", "),
                    format::count(texts.n_tokens, "token"),
                    texts.n_held_out,
                )
            }
        }
    }

    /// Each weighted loss term by step; `None` before there are two.
    pub fn chart(&self) -> Option<Chart> {
        if self.steps.len() < 2 {
            return None;
        }
        let title = self.finding().unwrap_or_else(|| "Training loss by step".to_owned());
        let stretches = self.stretches(MOST_POINTS);
        let series = LossTerm::ALL.into_iter().enumerate().filter_map(|(index, term)| {
            let weight = term.weight(&self.settings.loss);
            let points: Vec<Point> = stretches
                .iter()
                .filter_map(|it| {
                    let y = it.terms[index]? * weight;
                    Some(Point { x: it.step as f64, y, stderr: None, note: None })
                })
                .collect();
            let style = SeriesStyle::at(index);
            let series = Series { name: format::capitalized(term.short_name()), style, points };
            (!series.points.is_empty()).then_some(series)
        });
        Some(Chart {
            title,
            description: format!(
                "The terms of the training loss, each times its weight, on the batch of each step. {}",
                self.trained_on()
            ),
            x: Axis { label: "step".to_owned(), format: Format::Count },
            y: Axis { label: "term × weight".to_owned(), format: Format::Plain },
            series: series.collect(),
            reference: None,
            here: None,
        })
    }

    /// The run in a few lines, for a table.
    pub fn lines(&self) -> Vec<StepRange> {
        self.stretches(MOST_LINES)
    }

    fn stretches(&self, most: usize) -> Vec<StepRange> {
        let n_together = self.steps.len().div_ceil(most).max(1);
        self.steps.chunks(n_together).filter_map(stretch).collect()
    }

    /// A line for each step, with the names of the native trainer's log.
    pub fn csv(&self) -> String {
        let keys = LossTerm::ALL.map(LossTerm::key).join(",");
        let mut csv =
            format!("step,loss,{keys},grad_norm,lr,tokens,tokens_per_second,device,taught_on\n");
        let taught_on = match &self.texts {
            None => "generated corpus".to_owned(),
            Some(texts) => quoted(&texts.names.join(", ")),
        };
        let device = self.backend.name();
        for it in &self.steps {
            let number = |value: Option<f64>| value.map_or_else(String::new, |it| it.to_string());
            let terms = LossTerm::ALL.map(|term| number(term.value(&it.terms))).join(",");
            csv.push_str(&format!(
                "{},{},{terms},{},{},{},{:.0},{device},{taught_on}\n",
                it.step,
                it.terms.total,
                it.grad_norm,
                it.learning_rate,
                it.n_tokens,
                it.tokens_per_second,
            ));
        }
        csv
    }
}

/// `None` without steps.
fn stretch(steps: &[DistillStep]) -> Option<StepRange> {
    let last = steps.last()?;
    let n_steps = steps.len() as f64;
    let mean = |term: LossTerm| {
        let sum: Option<f64> = steps.iter().map(|it| term.value(&it.terms)).sum();
        sum.map(|sum| sum / n_steps)
    };
    let total = steps.iter().map(|it| it.terms.total).sum::<f64>() / n_steps;
    Some(StepRange { step: last.step, total, terms: LossTerm::ALL.map(mean) })
}

#[cfg(test)]
pub(super) mod tests {
    use boomerang_core::distill::LossTerms;
    use boomerang_core::distill::loss::LossWeights;
    use boomerang_core::plan::LayerPlan;

    use super::*;

    /// A run of 12 steps, of which some are done; the loss is cross-entropy and alignment.
    pub(in crate::state::distillation) fn record(cross_entropies: &[f64]) -> Record {
        let loss = LossWeights { kl: 0.0, alignment: 2.0, ..LossWeights::default() };
        let plan = LayerPlan::keep(&[0], 2).unwrap();
        let steps = cross_entropies.iter().enumerate().map(|(index, &cross_entropy)| DistillStep {
            step: index + 1,
            terms: LossTerms {
                total: cross_entropy + 2.0 * 0.25,
                cross_entropy: Some(cross_entropy),
                kl: None,
                alignment: vec![0.0, 0.5],
            },
            grad_norm: 1.0,
            learning_rate: 0.5,
            n_tokens: 100,
            tokens_per_second: 1234.2,
        });
        let settings = DistillSettings { plan, n_steps: 12, learning_rate: 0.5, loss, seed: 0 };
        Record { steps: steps.collect(), ..Record::new(settings, Vec::new(), None) }
    }

    /// Held-out losses after every sixth step.
    fn held_out(cross_entropies: &[f64]) -> Vec<HeldOutLoss> {
        let losses = record(cross_entropies).steps.into_iter().enumerate();
        let loss = |(index, step): (usize, DistillStep)| HeldOutLoss {
            step: 6 * index,
            nats: step.terms.cross_entropy.unwrap(),
            terms: step.terms,
        };
        losses.map(loss).collect()
    }

    #[test]
    fn the_finding_has_the_change_of_the_held_out_loss_and_its_cause() {
        let of = |losses: &[f64]| Record { held_out: held_out(losses), ..record(&[9.0]) };
        assert_eq!(
            of(&[3.0, 2.0]).finding().unwrap(),
            "Over 6 of 12 steps the held-out loss fell from 3.00 to 2.00 nats/token; cross-entropy \
             accounts for 100 % of the drop in the weighted loss there."
        );
        let rises = of(&[2.0, 2.5, 2.0]).finding().unwrap();
        assert_eq!(
            rises,
            "Over 12 steps the held-out loss did not fall; it changed from 2.00 to 2.00 nats/token."
        );
        assert_eq!(of(&[1.0]).finding(), None);
    }

    #[test]
    fn the_loss_at_the_start_stays_while_the_run_continues() {
        let start = |n: usize| {
            let losses: Vec<f64> = (0..n).map(|index| 3.0 - 0.1 * index as f64).collect();
            let record = Record { held_out: held_out(&losses), ..record(&losses) };
            record.finding().unwrap().contains("from 3.00 to")
        };
        assert!((2..10).all(start));
    }

    #[test]
    fn sizes_are_forgotten_when_the_student_changes() {
        let mut record = record(&[3.0, 2.0]);
        record.sizes = Some(Vec::new());
        let step = record.steps[0].clone();
        record.add_step(step);
        assert_eq!(record.sizes, None);
    }

    #[test]
    fn what_is_known_of_a_step_is_not_added_again() {
        let mut record = record(&[3.0]);
        for loss in held_out(&[3.0, 2.0]).into_iter().chain(held_out(&[3.0, 2.0])) {
            record.add_held_out(loss);
        }
        assert_eq!(record.held_out.len(), 2);
        record.truncate(0);
        assert_eq!((record.held_out.len(), record.steps.len()), (1, 0));
    }

    #[test]
    fn the_chart_shows_weighted_terms_without_those_that_are_off() {
        let chart = record(&[3.0, 2.0]).chart().unwrap();
        let names: Vec<&str> = chart.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["Cross-entropy", "Alignment"]);
        assert_eq!(chart.series[1].points[0].y, 0.5);
    }

    #[test]
    fn a_long_run_is_drawn_with_few_points() {
        let record = record(&[2.0; 499]);
        let chart = record.chart().unwrap();
        let points = &chart.series[0].points;
        assert!(points.len() <= MOST_POINTS && points.last().unwrap().x == 499.0);
        assert!(record.lines().len() <= MOST_LINES);
    }

    #[test]
    fn a_record_names_the_training_data() {
        let mut record = record(&[3.0]);
        assert_eq!(record.trained_on(), "Trained on the generated corpus.");
        let names = vec!["a,b.txt".to_owned(), "c.txt".to_owned()];
        let (n_tokens, n_unknown, n_held_out) = (3000, 12, 300);
        record.texts = Some(TextsRead { names, n_tokens, n_unknown, n_held_out });
        let text = record.trained_on();
        assert!(text.starts_with("Trained on a,b.txt, c.txt: 3"), "{text}");
        assert!(
            text.contains("12 of them unknown") && text.ends_with("300 are held out."),
            "{text}"
        );
        assert!(record.csv().ends_with(",\"a,b.txt, c.txt\"\n"), "{}", record.csv());
    }

    #[test]
    fn a_step_is_a_line_of_the_file() {
        assert_eq!(
            record(&[3.0]).csv(),
            "step,loss,ce,kl,cosine,grad_norm,lr,tokens,tokens_per_second,device,taught_on\n\
             1,3.5,3,,0.25,1,0.5,100,1234,cpu,generated corpus\n"
        );
    }
}
