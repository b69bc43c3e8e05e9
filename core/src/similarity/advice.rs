//! Advice on which layers to keep and which to patch first, derived from hidden-state similarity.

use serde::{Deserialize, Serialize};

use super::keep::{keep_advice, turned};
use crate::plan::{KeepRule, LayerPlan};

/// Advice from an analysis; based on proxies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    pub keep: KeepAdvice,
    /// Student layers, the one least similar to its block first; `None` without a student.
    pub order: Option<Vec<usize>>,
    /// The advice as sentences with numbers.
    pub sentences: Vec<String>,
}

/// Advice on which teacher layers to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeepAdvice {
    pub kept: Vec<usize>,
    /// Sum over blocks of the angular distance across the dropped layers, from the output of the
    /// kept layer to the end of the block.
    pub turned: f64,
    /// The kept layers of the plan to compare with: the student's, otherwise the paper's rule.
    pub compared: Vec<usize>,
    pub compared_turned: f64,
}

impl Advice {
    pub(super) fn new(
        influence: &[f64],
        angular_distance: &[Vec<f64>],
        student: Option<(&LayerPlan, &[f64])>,
        n_layers: usize,
    ) -> Self {
        let n_teacher_layers = influence.len();
        let by_rule = LayerPlan::by_rule(KeepRule::default(), n_teacher_layers);
        let compared = student.map(|(plan, _)| plan.kept());
        let compared = compared.or(by_rule.ok().map(|plan| plan.kept())).unwrap_or_default();
        let kept = keep_advice(angular_distance, n_layers);
        let keep = KeepAdvice {
            turned: turned(angular_distance, &kept),
            compared_turned: turned(angular_distance, &compared),
            kept,
            compared,
        };
        let mut sentences = influence_sentences(influence);
        sentences.extend(keep_sentence(&keep, n_teacher_layers, student.is_some()));
        sentences.extend(one_piece_sentence(angular_distance, n_teacher_layers - keep.kept.len()));
        if let Some((plan, similarity)) = student {
            sentences.push(order_sentence(plan, similarity));
        }
        sentences.push(
            "These are proxies that only use directions of hidden states; `boomerang search` \
             measures the KL divergence from the teacher on the same texts."
                .to_owned(),
        );
        Self { keep, order: student.map(|(_, similarity)| similarity_order(similarity)), sentences }
    }
}

/// Layers by ascending similarity; ties by index.
pub fn similarity_order(similarity: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..similarity.len()).collect();
    order.sort_by(|&a, &b| similarity[a].total_cmp(&similarity[b]));
    order
}

fn influence_sentences(influence: &[f64]) -> Vec<String> {
    let mut order = similarity_order(influence);
    let n_named = (influence.len() / 4).clamp(1, 4);
    let list = |layers: &mut Vec<usize>| {
        layers.sort_unstable();
        let values = layers.iter().map(|&layer| format!("{:.3}", influence[layer]));
        (names(layers), join(&values.collect::<Vec<_>>()))
    };
    let mut most = order.split_off(order.len() - n_named);
    let last = most.contains(&(influence.len() - 1)) && influence.len() > 1;
    let (layers, values) = list(&mut most);
    let last = if last { ", the last one among them" } else { "" };
    let keep = format!(
        "Teacher {layers} {change} their input most (block influence {values}){last}: keep {them}.",
        change = if most.len() == 1 { "changes" } else { "change" },
        them = if most.len() == 1 { "it" } else { "them" },
    );
    let keep = if most.len() == 1 { keep.replace("their input", "its input") } else { keep };
    order.truncate(n_named);
    if order.is_empty() {
        return vec![keep];
    }
    let (layers, values) = list(&mut order);
    let (change, whose, them) =
        if order.len() == 1 { ("changes", "its", "it") } else { ("change", "their", "them") };
    let drop = format!(
        "Teacher {layers} {change} {whose} input least (block influence {values}): removing {them} \
         costs least."
    );
    vec![drop, keep]
}

fn keep_sentence(keep: &KeepAdvice, n_teacher_layers: usize, has_student: bool) -> Option<String> {
    let KeepAdvice { kept, turned, compared, compared_turned } = keep;
    if kept.len() == n_teacher_layers {
        return None;
    }
    let list = |layers: &[usize]| {
        let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
        layers.join(",")
    };
    let whose = if has_student { "this student" } else { "the paper's rule" };
    let n_blocks = |kept: &[usize]| {
        let ends = kept.iter().skip(1).copied().chain([n_teacher_layers]);
        kept.iter().zip(ends).filter(|(start, end)| end - *start > 1).count()
    };
    let mut sentence = format!(
        "Of all ways to keep {} of {n_teacher_layers} layers in blocks of similar length, --keep \
         {} changes the hidden states least: total angular distance {turned:.3} over {} blocks",
        kept.len(),
        list(kept),
        n_blocks(kept),
    );
    if kept == compared {
        sentence.push_str(&format!("; {whose} keeps the same layers."));
    } else {
        sentence.push_str(&format!(
            "; {whose} keeps {}, with {compared_turned:.3} over {} blocks.",
            list(compared),
            n_blocks(compared)
        ));
    }
    Some(sentence)
}

/// The `n` consecutive layers with the smallest angular distance, which "The Unreasonable
/// Ineffectiveness of the Deeper Layers" (arXiv:2403.17887) removes.
fn one_piece_sentence(angular_distance: &[Vec<f64>], n: usize) -> Option<String> {
    let row = angular_distance.get(n.checked_sub(1)?)?;
    let first = similarity_order(row)[0];
    // A single layer is already covered by the block influence.
    (n > 1).then(|| {
        format!(
            "The best single block of {n} layers to remove is teacher layers {first} to {} \
             (angular distance {:.3}).",
            first + n - 1,
            row[first]
        )
    })
}

fn order_sentence(plan: &LayerPlan, similarity: &[f64]) -> String {
    let order = similarity_order(similarity);
    let block = |layer: usize| names(&plan.block(layer).collect::<Vec<_>>());
    let first = order[0];
    let then = order
        .iter()
        .skip(1)
        .take(2)
        .map(|&layer| format!("student layer {layer} ({:.3})", similarity[layer]));
    let then = join(&then.collect::<Vec<_>>());
    let then = if then.is_empty() { then } else { format!(", then {then}") };
    let list: Vec<String> = order.iter().map(ToString::to_string).collect();
    format!(
        "Student layer {first} is least similar to its block, teacher {} (cosine {:.3}){then}; the \
         patch order by similarity is --order {}.",
        block(first),
        similarity[first],
        list.join(",")
    )
}

/// `layer 3`, `layers 3 and 4`, `layers 3, 4 and 7`
fn names(layers: &[usize]) -> String {
    let word = if layers.len() == 1 { "layer" } else { "layers" };
    let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
    format!("{word} {}", join(&layers))
}

fn join(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [start @ .., last] => format!("{} and {last}", start.join(", ")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::StateSimilarity;
    use super::*;

    /// A teacher whose four layers change their input by angular distances of 0.3, 0.1, 0.2 and
    /// 0.4, in different directions; cosines are made up to match.
    pub(in crate::similarity) fn four_layers() -> StateSimilarity {
        let steps: [f64; 4] = [0.3, 0.1, 0.2, 0.4];
        let table = |unit: f64, sign: f64| -> Vec<Vec<f64>> {
            let between = |a: usize, b: usize| -> f64 { steps[a.min(b)..a.max(b)].iter().sum() };
            let cell = |a, b| unit + sign * between(a, b);
            (0..5).map(|a| (0..5).map(|b| cell(a, b)).collect()).collect()
        };
        StateSimilarity {
            n_tokens: 10,
            across: None,
            within: table(1.0, -1.0),
            angles: table(0.0, 1.0),
        }
    }

    pub(in crate::similarity) fn distances() -> Vec<Vec<f64>> {
        super::super::Analysis::new(four_layers(), None, 3).angular_distance
    }

    #[test]
    fn sentences_contain_their_numbers() {
        let advice = Advice::new(&[0.3, 0.1, 0.2, 0.4], &distances(), None, 3);
        assert_eq!(
            advice.sentences[0],
            "Teacher layer 1 changes its input least (block influence 0.100): removing it costs \
             least."
        );
        assert_eq!(
            advice.sentences[1],
            "Teacher layer 3 changes its input most (block influence 0.400), the last one among them: \
             keep it."
        );
        assert!(advice.sentences.last().unwrap().contains("`boomerang search`"));
    }

    #[test]
    fn the_layer_least_similar_to_its_block_is_patched_first() {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        let advice =
            Advice::new(&[0.3, 0.1, 0.2, 0.4], &distances(), Some((&plan, &[0.9, 0.81])), 2);
        assert_eq!(advice.order.as_deref(), Some(&[1, 0][..]));
        let expected = "Student layer 1 is least similar to its block, teacher layers 2 and 3 \
                        (cosine 0.810), then student layer 0 (0.900); the patch order by \
                        similarity is --order 1,0.";
        assert!(advice.sentences.iter().any(|sentence| sentence == expected), "{advice:#?}");
    }

    #[test]
    fn a_teacher_of_one_layer_keeps_it() {
        let advice = Advice::new(&[0.3], &[vec![0.2]], None, 1);
        assert_eq!(advice.keep.kept, [0]);
    }
}
