//! The predictions of the layers of a member, in words and as a file.

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{LensLayer, LensReport};
use leptos::prelude::RwSignal;

use crate::state::paragraph_scores::ParagraphScores;
use crate::state::request_status::RequestStatus;
use crate::text::format;
use crate::text::tokens::quoted;

/// The lens on one member.
#[derive(Clone, Debug, PartialEq)]
pub struct LensResult {
    pub patch: Patch,
    pub n_layers: usize,
    pub report: LensReport,
}

/// The results of the view; they outlive it, so that they are still there when the user returns.
#[derive(Clone, Copy)]
pub struct LensState {
    pub result: RwSignal<Option<LensResult>>,
    pub status: RwSignal<RequestStatus>,
    /// The paragraph that the user has typed.
    pub paragraph: RwSignal<Option<String>>,
    pub scores: RwSignal<ParagraphScores>,
}

impl LensState {
    pub fn new() -> Self {
        Self {
            result: RwSignal::new(None),
            status: RwSignal::new(RequestStatus::NotStarted),
            paragraph: RwSignal::new(None),
            scores: RwSignal::new(ParagraphScores::default()),
        }
    }
}

impl Default for LensState {
    fn default() -> Self {
        Self::new()
    }
}

/// The last layers in which predictions are counted that no longer change, if there are as many.
const LAST_LAYERS: usize = 2;

/// For each token, the depth from which every layer predicts what the last one predicts.
pub fn settled(report: &LensReport) -> Vec<usize> {
    let n_tokens = report.layers.iter().map(|layer| layer.guesses.len()).min().unwrap_or(0);
    let token = |layer: &LensLayer, index: usize| layer.guesses[index].token;
    let settled_at = |index: usize| {
        let layers = report.layers.iter().rev();
        let last = report.layers.last().map(|layer| token(layer, index));
        let n_same = layers.take_while(|layer| Some(token(layer, index)) == last).count();
        report.layers.len() - n_same
    };
    (0..n_tokens).map(settled_at).collect()
}

/// A summary of the table in two sentences.
pub fn finding(report: &LensReport) -> String {
    let settled = settled(report);
    let n_layers = report.layers.len().saturating_sub(1);
    let n_last = if n_layers > LAST_LAYERS { LAST_LAYERS } else { 1 };
    let n_early = settled.iter().filter(|&&depth| depth + n_last <= n_layers).count();
    let last = match n_last {
        1 => "in the last layer".to_owned(),
        n_last => format!("in the last {} layers", words(n_last)),
    };
    let tokens = match (n_early, settled.len()) {
        (n, all) if n == all => format!("For all {}", format::count(all, "token")),
        (n, all) => format!("For {n} of {}", format::count(all, "token")),
    };
    format!("{tokens}, the prediction no longer changes {last}. {}", least_similar(report))
}

fn words(n: usize) -> String {
    match n {
        2 => "two".to_owned(),
        n => n.to_string(),
    }
}

/// The layer that is least similar to the teacher.
fn least_similar(report: &LensReport) -> String {
    let layers = report.layers.iter().skip(1);
    let least = layers.min_by(|one, other| one.similarity.total_cmp(&other.similarity));
    match least {
        Some(layer) if layer.similarity < SAME => format!(
            "The output of {} is least similar to the teacher's at the same depth ({:.2}).",
            layer.name, layer.similarity
        ),
        _ => "Every layer's output equals the teacher's.".to_owned(),
    }
}

/// A cosine above it is 1 up to rounding.
const SAME: f64 = 0.9999;

/// A line for each layer and token, for a spreadsheet.
pub fn csv(report: &LensReport) -> String {
    let mut csv =
        "depth,layer,similarity,position,read,token,text,probability,is_settled\n".to_owned();
    let settled = settled(report);
    for (depth, layer) in report.layers.iter().enumerate() {
        for (index, guess) in layer.guesses.iter().enumerate() {
            let read = report.tokens.get(index).map(String::as_str).unwrap_or_default();
            csv.push_str(&format!(
                "{depth},{},{:.6},{},{},{},{},{:.6},{}\n",
                layer.name,
                layer.similarity,
                report.n_before + index,
                quoted(read),
                guess.token,
                quoted(&guess.text),
                guess.probability,
                settled.get(index).is_some_and(|&at| at <= depth),
            ));
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use boomerang_engine::messages::LikelyToken;

    use super::*;

    /// Layers with these tokens, and the similarity of each.
    fn report(layers: &[([u32; 3], f64)]) -> LensReport {
        let layer = |(depth, (tokens, similarity)): (usize, &([u32; 3], f64))| LensLayer {
            name: if depth == 0 { "text".to_owned() } else { format!("S{}", depth - 1) },
            guesses: tokens
                .map(|token| LikelyToken { token, text: format!("\"{token}"), probability: 0.5 })
                .into(),
            similarity: *similarity,
        };
        LensReport {
            n_before: 4,
            tokens: ["a", "b", "c"].map(str::to_owned).into(),
            layers: layers.iter().enumerate().map(layer).collect(),
        }
    }

    #[test]
    fn a_prediction_is_settled_when_it_no_longer_changes() {
        let layers = [([1, 2, 9], 1.0), ([1, 7, 9], 0.9), ([1, 2, 8], 0.7), ([1, 2, 9], 0.8)];
        assert_eq!(settled(&report(&layers)), [0, 2, 3]);
    }

    #[test]
    fn the_finding_counts_tokens_and_names_the_least_similar_layer() {
        let layers = [([1, 2, 9], 1.0), ([1, 2, 9], 0.9), ([1, 7, 8], 0.7), ([1, 2, 9], 0.8)];
        assert_eq!(
            finding(&report(&layers)),
            "For 1 of 3 tokens, the prediction no longer changes in the last two layers. The output of \
             S1 is least similar to the teacher's at the same depth (0.70)."
        );
        let same = [([1, 2, 9], 1.0), ([1, 2, 9], 1.0)];
        assert_eq!(
            finding(&report(&same)),
            "For all 3 tokens, the prediction no longer changes in the last layer. Every layer's output \
             equals the teacher's."
        );
    }

    #[test]
    fn the_file_has_a_line_for_each_layer_and_token() {
        let layers = [([1, 2, 9], 1.0), ([1, 2, 8], 0.7)];
        let csv = csv(&report(&layers));
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[3], "0,text,1.000000,6,\"c\",9,\"\"\"9\",0.500000,false");
    }
}
