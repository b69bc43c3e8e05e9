//! Logit lens (nostalgebraist, 2020): the next token that a member would predict if each layer were
//! its last, and the similarity of each layer's output to the teacher's.
//!
//! The final norm and the head are trained on the last layer's output; on earlier layers their
//! predictions are only an interpretation, plausible where layers share a residual stream.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

use crate::distill::loss::alignment_loss;
use crate::evaluate::{ReadBackError, read_finite};
use crate::generate::{GenerateError, POSITIONS_AT_ONCE, whole_text};
use crate::model::{AttentionMask, LanguageModel};
use crate::plan::Alignment;

/// The logit lens at one hidden state.
#[derive(Clone, Debug, PartialEq)]
pub struct Depth {
    /// The prediction at each requested position.
    pub guesses: Vec<LensGuess>,
    /// Mean cosine similarity with the teacher's corresponding state over the whole text, from -1
    /// to 1. The last states are compared after each model's final norm, as in the alignment loss.
    pub similarity: f64,
}

/// The most likely next token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LensGuess {
    pub token: u32,
    /// Its probability, in `0..=1`.
    pub probability: f64,
}

/// Applies `member`'s final norm and head to the embedding and to the output of each of its layers,
/// at position `from` of the text and all later ones.
///
/// `alignment` pairs each of the member's states with one of the teacher's
/// ([`LayerPlan::alignment_of`](crate::plan::LayerPlan::alignment_of)). All states of both models
/// are in memory at once, but logits only for a few positions of one state.
///
/// # Errors
/// [`GenerateError`] if the text is not valid for the model, or the device is lost.
///
/// # Panics
/// If the alignment does not have one pair per state of the member.
pub async fn look_inside(
    teacher: &LanguageModel,
    member: &LanguageModel,
    alignment: &Alignment,
    text: &[u32],
    from: usize,
) -> Result<Vec<Depth>, GenerateError> {
    assert_eq!(alignment.len(), member.n_layers() + 1, "a pair for each state of the member");
    let tokens = whole_text(member, text)?;
    let seq = text.len();
    let from = from.min(seq - 1);
    let mask = AttentionMask::causal(seq, 0, &member.device());
    let of_member = member.hidden_states(tokens.clone(), &mask);
    let of_teacher = teacher.hidden_states(tokens, &mask);

    let every_token = Tensor::<1>::ones([seq], &member.device());
    let distances = alignment.iter().map(|&(own, other)| {
        let pair = (of_member[own].clone(), of_teacher[other].clone());
        alignment_loss(pair.0, pair.1, every_token.clone(), seq)
    });
    let distances = Tensor::cat(distances.collect(), 0);

    let last = member.n_layers();
    let (mut most_likely, mut log_probs) = (Vec::new(), Vec::new());
    for (depth, state) in of_member.into_iter().enumerate() {
        let state = state.narrow(1, from, seq - from);
        // The last one is already normalized.
        let state = if depth == last { state } else { member.normalize(state) };
        let (tokens, logs) = guesses(member, state.squeeze_dim::<2>(0));
        most_likely.push(tokens);
        log_probs.push(logs);
    }
    let most_likely =
        Tensor::cat(most_likely, 0).into_data_async().await.map_err(ReadBackError::new)?;
    let numbers = Tensor::cat(vec![Tensor::cat(log_probs, 0).squeeze_dim::<1>(1), distances], 0);
    let numbers = read_finite(numbers, "the log-probabilities of the logit lens").await?;
    let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
    let (log_probs, distances) = numbers.split_at(numbers.len() - alignment.len());
    let most_likely: Vec<u32> = most_likely.iter::<u32>().collect();
    let guess = |(&token, &log_prob): (&u32, &f64)| LensGuess {
        token,
        // Rounding may make it slightly larger than 1.
        probability: log_prob.exp().min(1.0),
    };
    let n_positions = seq - from;
    let depths = most_likely.chunks(n_positions).zip(log_probs.chunks(n_positions)).zip(distances);
    let depth = |((tokens, log_probs), distance): ((&[u32], &[f64]), &f64)| Depth {
        guesses: tokens.iter().zip(log_probs).map(guess).collect(),
        similarity: (1.0 - distance).clamp(-1.0, 1.0),
    };
    Ok(depths.map(depth).collect())
}

/// The most likely token at each position and its log-probability, computed a few positions at a
/// time.
///
/// Shapes: `states` is `[positions, d_model]`, both results are `[positions, 1]`.
fn guesses(member: &LanguageModel, states: Tensor<2>) -> (Tensor<2, Int>, Tensor<2>) {
    let [n_positions, _] = states.dims();
    let (mut tokens, mut log_probs) = (Vec::new(), Vec::new());
    for start in (0..n_positions).step_by(POSITIONS_AT_ONCE) {
        let n_here = POSITIONS_AT_ONCE.min(n_positions - start);
        // [n_here, vocab]
        let found = log_softmax(member.logits(states.clone().narrow(0, start, n_here)), 1);
        let most_likely = found.clone().argmax(1);
        log_probs.push(found.gather(1, most_likely.clone()));
        tokens.push(most_likely);
    }
    (Tensor::cat(tokens, 0), Tensor::cat(log_probs, 0))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use futures_lite::future::block_on;

    use super::*;
    use crate::config::ModelConfig;
    use crate::distill::Initialization;
    use crate::generate::{Guess, TextComparison};
    use crate::model::parameters::Parameter;
    use crate::plan::{LayerPlan, Patch};
    use crate::prune::{Family, Student, Teacher};

    fn config(n_layers: usize) -> ModelConfig {
        let config = format!(
            r#"{{"model_type": "qwen3", "vocab_size": 31, "hidden_size": 16,
                "intermediate_size": 24, "num_hidden_layers": {n_layers},
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
                "max_position_embeddings": 64, "tie_word_embeddings": true}}"#
        );
        ModelConfig::from_json(&config).unwrap()
    }

    fn family() -> Family {
        let random = |n_layers, seed| {
            let device = Device::flex();
            LanguageModel::random(&config(n_layers), Initialization::Scaled, seed, &device)
        };
        let plan = LayerPlan::keep(&[0, 2, 5], 6).unwrap();
        let student = Student::new(random(3, 2), plan).unwrap();
        Family::new(Teacher::new(random(6, 1)), student).unwrap()
    }

    /// Longer than the positions whose logits are in memory at a time.
    fn text() -> Vec<u32> {
        (0..45_u32).map(|position| (position * position + 3) % 31).collect()
    }

    fn look(family: &Family, patched: &[usize], from: usize) -> Vec<Depth> {
        let patch = Patch::of(patched, family.plan()).unwrap();
        let member = family.member(&patch);
        let alignment = family.plan().alignment_of(&patch);
        let teacher = family.teacher().model();
        block_on(look_inside(teacher, &member, &alignment, &text(), from)).unwrap()
    }

    #[test]
    fn the_last_layer_predicts_what_the_member_predicts() {
        let family = family();
        let member = family.member(&Patch::of(&[1], family.plan()).unwrap());
        let depths = look(&family, &[1], 10);
        assert_eq!(depths.len(), 6);
        let comparison = TextComparison::new(family.teacher().model(), &text(), 10).unwrap();
        let expected: Vec<Guess> = block_on(comparison.guesses(&member)).unwrap();
        let found = &depths.last().unwrap().guesses;
        assert_eq!(found.len(), 35);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.token, expected.token);
            assert!((found.probability - expected.probability).abs() < 1e-6);
        }
    }

    #[test]
    fn the_teacher_equals_itself_at_every_depth() {
        let depths = look(&family(), &[0, 1, 2], 0);
        assert_eq!(depths.len(), 7);
        assert!(depths.iter().all(|depth| (depth.similarity - 1.0).abs() < 1e-5), "{depths:?}");
    }

    #[test]
    fn a_member_equals_its_teacher_up_to_the_first_student_layer() {
        // T0, T1, then student layers.
        let similarity: Vec<f64> =
            look(&family(), &[0], 0).iter().map(|depth| depth.similarity).collect();
        assert!(similarity[..3].iter().all(|cosine| (cosine - 1.0).abs() < 1e-5));
        assert!(similarity[3..].iter().all(|cosine| *cosine < 0.99), "{similarity:?}");
    }

    /// One-hot embeddings and layers that add nothing: by hand, every depth predicts its input
    /// token with probability `e^4 / (e^4 + 15)`.
    #[test]
    fn without_active_layers_every_depth_predicts_its_input() {
        let config = r#"{"model_type": "qwen3", "vocab_size": 16, "hidden_size": 16,
            "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-9, "tie_word_embeddings": true}"#;
        let config = ModelConfig::from_json(config).unwrap();
        let one_hot = |parameter: &Parameter| {
            let n_values: usize = parameter.shape.iter().product();
            let mut values = vec![0.0_f32; n_values];
            if parameter.path.starts_with("embedding.") {
                (0..16).for_each(|token| values[token * 17] = 1.0);
            } else if parameter.path.ends_with(".gamma") {
                values.fill(1.0);
            }
            Ok::<_, ()>(TensorData::new(values, parameter.shape.clone()))
        };
        let model = LanguageModel::build(&config, &Device::flex(), one_hot).unwrap();
        let text = [3, 1, 4, 1, 5];
        let alignment = (0..3).map(|state| (state, state)).collect();
        let depths = block_on(look_inside(&model, &model, &alignment, &text, 0)).unwrap();
        // A unit vector of 16 dimensions has root mean square 1/4; normalized, it has length 4.
        let expected = 4.0_f64.exp() / (4.0_f64.exp() + 15.0);
        for depth in &depths {
            let tokens: Vec<u32> = depth.guesses.iter().map(|guess| guess.token).collect();
            assert_eq!(tokens, text);
            for guess in &depth.guesses {
                assert!((guess.probability - expected).abs() < 1e-5, "{guess:?}");
            }
        }
    }
}
