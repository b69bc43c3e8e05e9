//! What is known of a family: the numbers and texts that placeholders are replaced by.

use std::collections::BTreeMap;

use boomerang_core::bundle::{Manifest, RecordedText, Recordings};
use boomerang_core::chart::Format;
use boomerang_core::curve::{CurveStop, Series, SizeCurve};
use boomerang_core::plan::Patch;

/// Facts by their names; those that were not measured or recorded are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, String>);

/// Every name; docs/explorer.md explains them.
pub(crate) const NAMES: [&str; 35] = [
    "family",
    "student layers",
    "teacher layers",
    "dropped layers",
    "sizes",
    "sizes between",
    "combinations",
    "blocks",
    "middle stop",
    "teacher stop",
    "first block only",
    "last block only",
    "stops with last block only",
    "least similar block",
    "student parameters",
    "teacher parameters",
    "student accuracy",
    "teacher accuracy",
    "pruned accuracy",
    "steepest accuracy layers",
    "half accuracy layers",
    "student loss",
    "teacher loss",
    "pruned loss",
    "pruned loss ratio",
    "loss difference",
    "steepest loss layers",
    "half loss layers",
    "pruned half loss layers",
    "prompt",
    "prompt stop",
    "prompt layers",
    "student text",
    "teacher text",
    "agreeing prompt",
];

impl Facts {
    /// The facts of a bundle, with what its members wrote when it was made.
    pub fn of_bundle(manifest: &Manifest, recordings: Option<&Recordings>) -> Self {
        let mut facts = Self::default();
        let plan = &manifest.plan;
        let n_blocks = plan.n_student_layers();
        facts.set("family", &manifest.name);
        facts.set_layers(n_blocks, plan.n_teacher_layers());
        facts.set("blocks", n_blocks);
        let block_only = |only: usize| -> String {
            (0..n_blocks).map(|block| if block == only { '1' } else { '0' }).collect()
        };
        facts.set("first block only", block_only(0));
        facts.set("last block only", block_only(n_blocks.saturating_sub(1)));
        if let Some(combinations) = u32::try_from(n_blocks).ok().and_then(|n| 2_u64.checked_pow(n))
        {
            facts.set("combinations", combinations);
        }
        let similarity = manifest.similarity.iter().enumerate();
        if let Some((block, _)) = similarity.min_by(|one, other| one.1.total_cmp(other.1)) {
            facts.set("least similar block", block);
        }
        if let Ok(path) = manifest.order.path(plan) {
            facts.set_sizes(path.len());
            let last_only = |patch: &&Patch| {
                (0..n_blocks).all(|block| patch.contains(block) == (block + 1 == n_blocks))
            };
            facts.set("stops with last block only", path.iter().filter(last_only).count());
        }
        facts.set_curve(&manifest.curve);
        if let Some(recordings) = recordings {
            facts.set_recordings(recordings);
        }
        facts
    }

    /// The facts of a family whose weights are not loaded.
    pub fn of_results(family: &str, curve: &SizeCurve, recordings: &Recordings) -> Self {
        let mut facts = Self::default();
        facts.set("family", family);
        let stops = curve.stops(Series::Boomerang);
        if let (Some(first), Some(last)) = (stops.first(), stops.last()) {
            facts.set_layers(first.n_layers, last.n_layers);
            facts.set_sizes(stops.len());
        }
        facts.set_curve(curve);
        facts.set_recordings(recordings);
        facts
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn set(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    fn set_layers(&mut self, student: usize, teacher: usize) {
        self.set("student layers", student);
        self.set("teacher layers", teacher);
        self.set("dropped layers", teacher.saturating_sub(student));
    }

    /// Of the dial, both ends included.
    fn set_sizes(&mut self, n_sizes: usize) {
        let last = n_sizes.saturating_sub(1);
        self.set("sizes", n_sizes);
        self.set("sizes between", n_sizes.saturating_sub(2));
        self.set("middle stop", last.div_ceil(2));
        self.set("teacher stop", last);
    }

    fn set_curve(&mut self, curve: &SizeCurve) {
        let stops = curve.stops(Series::Boomerang);
        let pruned = curve.stops(Series::Naive);
        let (Some(student), Some(teacher)) = (stops.first(), stops.last()) else { return };
        self.set("student parameters", Format::Count.value(student.n_params as f64));
        self.set("teacher parameters", Format::Count.value(teacher.n_params as f64));
        let pruned_student = pruned.first().filter(|stop| stop.n_layers == student.n_layers);
        let named =
            [("student", Some(student)), ("teacher", Some(teacher)), ("pruned", pruned_student)];
        for (name, stop) in named {
            if let Some(accuracy) = stop.and_then(accuracy) {
                self.set(&format!("{name} accuracy"), format!("{:.1}", accuracy * 100.0));
            }
            if let Some(loss) = stop.and_then(loss) {
                self.set(&format!("{name} loss"), format!("{loss:.3}"));
            }
        }
        // Quality is higher when the loss is lower.
        let quality = |stop: &CurveStop| loss(stop).map(|loss| -loss);
        self.set_steps("accuracy", &stops, accuracy);
        self.set_steps("loss", &stops, quality);
        if let (Some(student), Some(teacher)) = (loss(student), loss(teacher)) {
            self.set("loss difference", format!("{:.3}", student - teacher));
        }
        if let (Some(pruned), Some(student)) = (pruned_student.and_then(loss), loss(student)) {
            self.set("pruned loss ratio", format!("{:.1}", pruned / student));
        }
        let ends = quality(student).zip(quality(teacher));
        if let Some(layers) = ends.and_then(|ends| halfway(&pruned, ends, quality)) {
            self.set("pruned half loss layers", layers);
        }
    }

    /// The larger size of the largest improvement, and the smallest size with half of the whole
    /// improvement; nothing unless the teacher is better than the student.
    fn set_steps(
        &mut self,
        name: &str,
        stops: &[CurveStop],
        quality: impl Fn(&CurveStop) -> Option<f64> + Copy,
    ) {
        let values: Option<Vec<f64>> = stops.iter().map(quality).collect();
        let Some(values) = values else { return };
        let (Some(&first), Some(&last)) = (values.first(), values.last()) else { return };
        if last <= first {
            return;
        }
        let steps = values.windows(2).zip(&stops[1..]);
        let steepest =
            steps.max_by(|one, other| (one.0[1] - one.0[0]).total_cmp(&(other.0[1] - other.0[0])));
        if let Some((_, stop)) = steepest {
            self.set(&format!("steepest {name} layers"), stop.n_layers);
        }
        if let Some(layers) = halfway(stops, (first, last), quality) {
            self.set(&format!("half {name} layers"), layers);
        }
    }

    fn set_recordings(&mut self, recordings: &Recordings) {
        let same = recordings.texts.iter().find(|text| text.n_other_members() == 0);
        if let Some(text) = same {
            self.set("agreeing prompt", &text.prompt);
        }
        let improving = recordings.texts.iter().find_map(|text| Some((text, text.improves_at()?)));
        let Some((text, stop)) = improving else { return };
        let written = |text: &RecordedText, stop: usize| {
            text.members.get(stop).map(|member| member.pieces.concat().trim().to_owned())
        };
        self.set("prompt", &text.prompt);
        self.set("prompt stop", stop);
        let layers = text.members.get(stop).map_or(0, |member| member.n_layers);
        self.set("prompt layers", layers);
        if let Some(student) = written(text, 0) {
            self.set("student text", student);
        }
        if let Some(teacher) = written(text, text.members.len().saturating_sub(1)) {
            self.set("teacher text", teacher);
        }
    }
}

impl FromIterator<(String, String)> for Facts {
    fn from_iter<Pairs: IntoIterator<Item = (String, String)>>(pairs: Pairs) -> Self {
        Self(pairs.into_iter().collect())
    }
}

fn accuracy(stop: &CurveStop) -> Option<f64> {
    stop.accuracy.map(|accuracy| accuracy.mean)
}

fn loss(stop: &CurveStop) -> Option<f64> {
    stop.nats.map(|nats| nats.mean)
}

/// Layers of the smallest size whose quality is at least half-way between the two.
fn halfway(
    stops: &[CurveStop],
    (first, last): (f64, f64),
    quality: impl Fn(&CurveStop) -> Option<f64>,
) -> Option<usize> {
    let half = (first + last) / 2.0;
    let reached = |stop: &&CurveStop| quality(stop).is_some_and(|quality| quality >= half);
    stops.iter().find(reached).map(|stop| stop.n_layers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use boomerang_core::bundle::RecordedMember;
    use boomerang_core::curve::CurvePoint;
    use boomerang_core::evaluate::{Perplexity, Score};

    use super::*;

    fn point(series: Series, n_layers: usize, nats_per_token: f64) -> CurvePoint {
        let perplexity =
            Perplexity { nats_per_token, nats_stderr: 0.0, bits_per_byte: None, n_tokens: 9 };
        CurvePoint {
            series,
            order: "last".to_owned(),
            seed: 0,
            n_patched: 0,
            n_layers,
            n_params: n_layers as u64 * 1000,
            size_bytes: 0,
            score: Score { perplexity: Some(perplexity), tasks: BTreeMap::new() },
        }
    }

    fn text(prompt: &str, tokens: &[u32]) -> RecordedText {
        let member = |(&token, n_layers): (&u32, usize)| RecordedMember {
            n_layers,
            tokens: vec![token],
            pieces: vec![format!(" {token}")],
            log_probs: vec![0.0],
            is_ended: true,
        };
        let members = tokens.iter().zip(4..).map(member).collect();
        RecordedText { prompt: prompt.to_owned(), prompt_tokens: vec![0], members }
    }

    fn facts(losses: [f64; 4]) -> Facts {
        let points = losses.into_iter().zip(4..).map(|(loss, n)| point(Series::Boomerang, n, loss));
        let pruned = [point(Series::Naive, 4, 6.0), point(Series::Naive, 6, 1.4)];
        let curve = SizeCurve::new(points.chain(pruned).collect());
        let texts = vec![text("same", &[3; 4]), text("better", &[1, 2, 3, 3])];
        Facts::of_results("tiny", &curve, &Recordings { texts })
    }

    #[test]
    fn facts_are_those_of_curve_and_recordings() {
        let facts = facts([2.0, 1.9, 1.4, 1.0]);
        let expected = [
            ("student layers", "4"),
            ("teacher layers", "7"),
            ("sizes between", "2"),
            ("middle stop", "2"),
            ("loss difference", "1.000"),
            ("pruned loss ratio", "3.0"),
            ("steepest loss layers", "6"),
            ("half loss layers", "6"),
            ("pruned half loss layers", "6"),
            ("prompt", "better"),
            ("prompt layers", "6"),
            ("student text", "1"),
            ("agreeing prompt", "same"),
        ];
        for (name, value) in expected {
            assert_eq!(facts.get(name), Some(value), "{name}");
        }
        assert_eq!(facts.get("student accuracy"), None);
    }

    #[test]
    fn a_teacher_that_is_not_better_has_no_improvement() {
        let facts = facts([1.0, 1.9, 1.4, 1.0]);
        assert_eq!(facts.get("steepest loss layers"), None);
        assert_eq!(facts.get("half loss layers"), None);
    }

    #[test]
    fn every_fact_has_a_name_that_lessons_can_use() {
        let facts = facts([2.0, 1.9, 1.4, 1.0]);
        assert!(facts.0.keys().all(|name| NAMES.contains(&&**name)), "{facts:?}");
    }
}
