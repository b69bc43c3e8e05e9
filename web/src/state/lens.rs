//! What the layers of a member would write next, in words and as a file.

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{LensLayer, LensReport};
use leptos::prelude::RwSignal;

use crate::state::readings::Readings;
use crate::state::request_status::Asked;
use crate::text::format;
use crate::text::tokens::quoted;

/// One look inside a member.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    pub patch: Patch,
    pub n_layers: usize,
    pub report: LensReport,
}

/// What the view has found; it outlives the view, so that a reader who comes back finds it again.
#[derive(Clone, Copy)]
pub struct LensState {
    pub look: RwSignal<Option<Look>>,
    pub asked: RwSignal<Asked>,
    /// The paragraph as the reader has changed it.
    pub paragraph: RwSignal<Option<String>>,
    pub readings: RwSignal<Readings>,
}

impl LensState {
    pub fn new() -> Self {
        Self {
            look: RwSignal::new(None),
            asked: RwSignal::new(Asked::NotYet),
            paragraph: RwSignal::new(None),
            readings: RwSignal::new(Readings::default()),
        }
    }
}

impl Default for LensState {
    fn default() -> Self {
        Self::new()
    }
}

/// Layers at the end that a word is said to be settled before, where there are as many.
const LAST_LAYERS: usize = 2;

/// From which depth on every layer says what the last one says, place by place.
pub fn settled(report: &LensReport) -> Vec<usize> {
    let n_places = report.layers.iter().map(|layer| layer.guesses.len()).min().unwrap_or(0);
    let token = |layer: &LensLayer, place: usize| layer.guesses[place].token;
    let settled_at = |place: usize| {
        let layers = report.layers.iter().rev();
        let last = report.layers.last().map(|layer| token(layer, place));
        let n_same = layers.take_while(|layer| Some(token(layer, place)) == last).count();
        report.layers.len() - n_same
    };
    (0..n_places).map(settled_at).collect()
}

/// What the table shows, in one or two sentences.
pub fn finding(report: &LensReport) -> String {
    let settled = settled(report);
    let n_layers = report.layers.len().saturating_sub(1);
    let n_last = if n_layers > LAST_LAYERS { LAST_LAYERS } else { 1 };
    let n_early = settled.iter().filter(|&&depth| depth + n_last <= n_layers).count();
    let before = match n_last {
        1 => "before the last layer".to_owned(),
        n_last => format!("before the last {} layers", words(n_last)),
    };
    let at = match (n_early, settled.len()) {
        (n, all) if n == all => format!("At all {}", format::count(all, "place")),
        (n, all) => format!("At {n} of {}", format::count(all, "place")),
    };
    format!("{at} the next word is settled {before}. {}", likeness(report))
}

fn words(n: usize) -> String {
    match n {
        2 => "two".to_owned(),
        n => n.to_string(),
    }
}

/// Where the member is least like its teacher.
fn likeness(report: &LensReport) -> String {
    let layers = report.layers.iter().skip(1);
    let least = layers.min_by(|one, other| one.similarity.total_cmp(&other.similarity));
    match least {
        Some(layer) if layer.similarity < SAME => format!(
            "The output least like the teacher's at the same depth is that of {} ({:.2}).",
            layer.name, layer.similarity
        ),
        _ => "Every layer's output is the teacher's.".to_owned(),
    }
}

/// A cosine above it is 1 but for rounding.
const SAME: f64 = 0.9999;

/// A line for each layer and place, for a spreadsheet.
pub fn csv(report: &LensReport) -> String {
    let mut csv =
        "depth,layer,similarity,place,read,token,text,probability,is_settled\n".to_owned();
    let settled = settled(report);
    for (depth, layer) in report.layers.iter().enumerate() {
        for (place, guess) in layer.guesses.iter().enumerate() {
            let read = report.places.get(place).map(String::as_str).unwrap_or_default();
            csv.push_str(&format!(
                "{depth},{},{:.6},{},{},{},{},{:.6},{}\n",
                layer.name,
                layer.similarity,
                report.n_before + place,
                quoted(read),
                guess.token,
                quoted(&guess.text),
                guess.probability,
                settled.get(place).is_some_and(|&at| at <= depth),
            ));
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use boomerang_engine::messages::LensGuess;

    use super::*;

    /// Layers with these tokens, and the similarity of each.
    fn report(layers: &[([u32; 3], f64)]) -> LensReport {
        let layer = |(depth, (tokens, similarity)): (usize, &([u32; 3], f64))| LensLayer {
            name: if depth == 0 { "text".to_owned() } else { format!("S{}", depth - 1) },
            guesses: tokens
                .map(|token| LensGuess { token, text: format!("\"{token}"), probability: 0.5 })
                .into(),
            similarity: *similarity,
        };
        LensReport {
            n_before: 4,
            places: ["a", "b", "c"].map(str::to_owned).into(),
            layers: layers.iter().enumerate().map(layer).collect(),
        }
    }

    #[test]
    fn a_word_is_settled_when_it_no_longer_changes() {
        let layers = [([1, 2, 9], 1.0), ([1, 7, 9], 0.9), ([1, 2, 8], 0.7), ([1, 2, 9], 0.8)];
        assert_eq!(settled(&report(&layers)), [0, 2, 3]);
    }

    #[test]
    fn the_finding_counts_places_and_names_the_weakest_layer() {
        let layers = [([1, 2, 9], 1.0), ([1, 2, 9], 0.9), ([1, 7, 8], 0.7), ([1, 2, 9], 0.8)];
        assert_eq!(
            finding(&report(&layers)),
            "At 1 of 3 places the next word is settled before the last two layers. The output \
             least like the teacher's at the same depth is that of S1 (0.70)."
        );
        let same = [([1, 2, 9], 1.0), ([1, 2, 9], 1.0)];
        assert_eq!(
            finding(&report(&same)),
            "At all 3 places the next word is settled before the last layer. Every layer's output \
             is the teacher's."
        );
    }

    #[test]
    fn the_file_has_a_line_for_each_layer_and_place() {
        let layers = [([1, 2, 9], 1.0), ([1, 2, 8], 0.7)];
        let csv = csv(&report(&layers));
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[3], "0,text,1.000000,6,\"c\",9,\"\"\"9\",0.500000,false");
    }
}
