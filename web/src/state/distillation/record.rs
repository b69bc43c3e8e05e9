//! The record of a distillation run: its steps, in words, as a chart and as a file.

use boomerang_core::chart::{Axis, Chart, Format, Point, Series, SeriesStyle};
use boomerang_core::distill::loss::LossTerm;
use boomerang_engine::distillation::messages::{DistillSettings, DistillStep, TextsRead};

use crate::text::format;
use crate::text::tokens::quoted;

/// Points of a line; more would be a band.
const MOST_POINTS: usize = 30;
/// Lines of the table.
const MOST_LINES: usize = 10;
/// Steps at either end that are averaged; single batches vary.
const N_AT_THE_ENDS: usize = 5;

/// A run and its steps so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub settings: DistillSettings,
    pub steps: Vec<DistillStep>,
    /// The user's texts; `None` for the generated corpus.
    pub texts: Option<TextsRead>,
    /// The held-out loss, after so many steps.
    pub held_out: Vec<(usize, f64)>,
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
    pub fn new(settings: DistillSettings) -> Self {
        Self { settings, steps: Vec::new(), texts: None, held_out: Vec::new() }
    }

    /// How the loss changed, in a sentence or two; `None` before there are two steps.
    pub fn finding(&self) -> Option<String> {
        let n_steps = self.steps.len();
        if n_steps < 2 {
            return None;
        }
        let n_averaged = N_AT_THE_ENDS.min(n_steps / 2);
        let (first, last) =
            (stretch(&self.steps[..n_averaged])?, stretch(&self.steps[n_steps - n_averaged..])?);
        let done = match self.settings.n_steps {
            all if all > n_steps => format!("{n_steps} of {all} steps"),
            _ => format::count(n_steps, "step"),
        };
        let fall = first.total - last.total;
        let change = if fall > 0.0 { "fell" } else { "did not fall; it changed" };
        let loss =
            format!("Over {done} the loss {change} from {:.2} to {:.2}", first.total, last.total);
        let falls = LossTerm::ALL.into_iter().zip(first.terms.iter().zip(&last.terms));
        let falls = falls.filter_map(|(term, (first, last))| {
            Some((term, (first.as_ref()? - last.as_ref()?) * term.weight(&self.settings.loss)))
        });
        let largest = falls.max_by(|one, other| one.1.total_cmp(&other.1));
        Some(match largest {
            Some((term, part)) if fall > 0.0 && part > 0.0 => {
                let share = (part / fall * 100.0).min(100.0);
                format!("{loss}; {} accounts for {share:.0} % of the drop.", term.short_name())
            }
            _ => format!("{loss}."),
        })
    }

    /// The training data, and the held-out loss.
    pub fn trained_on(&self) -> String {
        let source = match &self.texts {
            None => "Trained on the generated corpus".to_owned(),
            Some(texts) => {
                let unknown = match texts.n_unknown {
                    0 => String::new(),
                    n => format!(", {n} of them unknown words"),
                };
                format!(
                    "Trained on {}: {}{unknown}; {} are held out",
                    texts.names.join(", "),
                    format::count(texts.n_tokens, "token"),
                    texts.n_held_out,
                )
            }
        };
        let loss = match self.held_out[..] {
            [] => String::new(),
            [(_, loss)] => {
                format!(" Held-out loss: {loss:.2} at first.")
            }
            [(_, first), .., (_, last)] => {
                format!(" Held-out loss: from {first:.2} to {last:.2}.")
            }
        };
        format!("{source}.{loss}")
    }

    /// Each weighted loss term by step; `None` before there are two.
    pub fn chart(&self) -> Option<Chart> {
        let title = self.finding()?;
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
                "The loss terms, each times its weight, by step. {}",
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
        let mut csv = format!("step,loss,{keys},grad_norm,lr,tokens,tokens_per_second,taught_on\n");
        let taught_on = match &self.texts {
            None => "generated corpus".to_owned(),
            Some(texts) => quoted(&texts.names.join(", ")),
        };
        for it in &self.steps {
            let number = |value: Option<f64>| value.map_or_else(String::new, |it| it.to_string());
            let terms = LossTerm::ALL.map(|term| number(term.value(&it.terms))).join(",");
            csv.push_str(&format!(
                "{},{},{terms},{},{},{},{:.0},{taught_on}\n",
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
mod tests {
    use boomerang_core::distill::LossTerms;
    use boomerang_core::distill::loss::LossWeights;
    use boomerang_core::plan::LayerPlan;

    use super::*;

    /// A run of 12 steps, of which some are done; the loss is cross-entropy and alignment.
    fn record(cross_entropies: &[f64]) -> Record {
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
        Record { steps: steps.collect(), ..Record::new(settings) }
    }

    #[test]
    fn the_finding_has_the_change_of_the_loss_and_its_cause() {
        let falls = record(&[3.0, 2.0]).finding().unwrap();
        assert_eq!(
            falls,
            "Over 2 of 12 steps the loss fell from 3.50 to 2.50; cross-entropy accounts for 100 % of the \
             drop."
        );
        let rises = record(&[2.0; 12]).finding().unwrap();
        assert_eq!(rises, "Over 12 steps the loss did not fall; it changed from 2.50 to 2.50.");
        assert_eq!(record(&[1.0]).finding(), None);
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
        record.held_out = vec![(0, 3.0), (12, 2.5)];
        let text = record.trained_on();
        assert!(text.starts_with("Trained on a,b.txt, c.txt: 3"), "{text}");
        assert!(text.contains("12 of them unknown") && text.ends_with("3.00 to 2.50."), "{text}");
        assert!(record.csv().ends_with(",\"a,b.txt, c.txt\"\n"), "{}", record.csv());
    }

    #[test]
    fn a_step_is_a_line_of_the_file() {
        assert_eq!(
            record(&[3.0]).csv(),
            "step,loss,ce,kl,cosine,grad_norm,lr,tokens,tokens_per_second,taught_on\n\
             1,3.5,3,,0.25,1,0.5,100,1234,generated corpus\n"
        );
    }
}
