//! How much memory a step of training takes on a device that computes in f32, and how much arithmetic.
//!
//! Counted from sizes alone, buffer by buffer, so that what cannot fit is refused before anything is
//! allocated, and [`Levers`] can be chosen.

use super::{Levers, MixedPrecision, Part};
use crate::architecture::{MlpKind, QueryKeyNorm};
use crate::config::ModelConfig;

/// The models and batches of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepShape<'a> {
    pub student: &'a ModelConfig,
    /// `None`: text alone.
    pub teacher: Option<&'a ModelConfig>,
    /// Parts that are not trained.
    pub frozen: &'a [Part],
    /// Sequences of a micro-batch.
    pub n_sequences: usize,
    /// Positions of each.
    pub seq: usize,
    /// Whether burn's operations compose the losses, as on a GPU: one after another, each with numbers of
    /// its own. On the CPU they change logits and gradients in place.
    pub composes: bool,
    /// Of [`StochasticPatching`](super::StochasticPatching); 0: only the student is trained.
    pub patch_probability: f64,
}

impl StepShape<'_> {
    /// Layers that the trained model can have: the deepest member with teacher layers in it has at most
    /// one fewer of them than the teacher, and a layer of the student.
    fn most_layers(&self) -> u64 {
        let of_student = self.student.n_layers() as u64;
        match self.teacher.filter(|_| self.patch_probability > 0.0) {
            Some(teacher) => of_student.max(teacher.n_layers() as u64),
            None => of_student,
        }
    }
}

/// The buffers of a step, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepMemory {
    pub weights: u64,
    pub gradients: u64,
    /// First and second moments of the gradients.
    pub optimizer: u64,
    /// Whether those are in the memory of the host.
    pub optimizer_on_host: bool,
    /// The teacher's weights: all, or its ends and two layers, one in use and one being read.
    pub teacher: u64,
    /// Between layers: the student's, and the teacher's that they are aligned with.
    pub states: u64,
    /// What layers keep for the backward pass, and the one whose turn it is needs.
    pub activations: u64,
    /// Scores of a block of queries, and masks.
    pub attention: u64,
    /// Of a chunk of positions, both models', and what the losses make of them.
    pub logits: u64,
}

/// One kind of buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    pub name: &'static str,
    pub n_bytes: u64,
    /// In the memory of the host, not of the device.
    pub on_host: bool,
}

/// Logits of both models, their logarithms and probabilities, and the gradient in parts.
const COMPOSED_LOGITS: u64 = 8;

impl StepMemory {
    /// Of a step of this shape with these levers.
    pub fn of(shape: &StepShape<'_>, levers: &Levers) -> Self {
        let student = shape.student;
        let n_sequences = levers.sequences_per_part.clamp(1, shape.n_sequences.max(1));
        let n_tokens = (n_sequences as u64).saturating_mul(shape.seq as u64);
        let of_student = Sizes::of(student);
        let trained = of_student.params.saturating_sub(frozen_params(student, shape.frozen));
        let n_layers = shape.most_layers();
        let n_kept = if levers.recomputes { 1 } else { n_layers };
        let kept = of_student.kept.saturating_mul(n_kept).saturating_add(of_student.passing);
        // Inputs of layers, the last output, its norm and gradient.
        let mut states = (n_layers + 4) * of_student.width;
        if let Some(teacher) = shape.teacher {
            let n_together = levers.parts_per_pass as u64;
            // One aligned state for each of the student, and the input of the next teacher layer.
            let n_aligned = student.n_layers() as u64 + 2;
            states += n_aligned.saturating_mul(n_together) * teacher.d_model as u64;
        }
        // One for each window, as large as the scores of one head.
        let n_masks = |config: &ModelConfig| config.windows().len() as u64;
        let n_masks = n_masks(student) + shape.teacher.map_or(0, n_masks);
        let n_queries = (levers.query_block as u64).min(shape.seq as u64);
        let masks = n_masks.saturating_mul(shape.seq as u64);
        let scores = of_student.n_scores.saturating_mul(n_queries).saturating_add(masks);
        let n_rows = (levers.head_chunk as u64).min(n_tokens);
        let n_logits = match (shape.composes, shape.teacher.is_some()) {
            (true, true) => COMPOSED_LOGITS,
            (true, false) => COMPOSED_LOGITS / 2,
            (false, has_teacher) => 1 + u64::from(has_teacher),
        };
        // The gradient of the head by one chunk, beside the sum so far.
        let of_chunk = (student.vocab * student.d_model) as u64 * u64::from(shape.composes);
        // Both operands of the largest product and its result, rounded to half as many bytes.
        let is_half = u64::from(levers.mixed_precision != MixedPrecision::Off);
        let inner = student.d_ff as u64;
        let of_layer = is_half
            * (n_tokens
                .saturating_mul(2 * inner + of_student.width)
                .saturating_add(inner * of_student.width))
            / 2;
        let vocab = student.vocab as u64;
        let of_head = is_half * (vocab.saturating_mul(n_rows + of_student.width)) / 2;
        let bytes = |n_numbers: u64| n_numbers.saturating_mul(size_of::<f32>() as u64);
        Self {
            weights: bytes(of_student.params),
            gradients: bytes(trained),
            optimizer: bytes(trained.saturating_mul(2)),
            optimizer_on_host: levers.optimizer_on_host,
            teacher: bytes(shape.teacher.map_or(0, |teacher| resident_params(teacher, levers))),
            states: bytes(n_tokens.saturating_mul(states)),
            activations: bytes(n_tokens.saturating_mul(kept).saturating_add(of_layer)),
            attention: bytes(n_tokens.saturating_mul(scores)),
            logits: bytes(
                n_rows.saturating_mul(n_logits * vocab).saturating_add(of_chunk + of_head),
            ),
        }
    }

    /// Each kind of buffer.
    pub fn buffers(&self) -> [Buffer; 8] {
        let on_device = |name, n_bytes| Buffer { name, n_bytes, on_host: false };
        [
            on_device("weights", self.weights),
            on_device("gradients", self.gradients),
            Buffer { on_host: self.optimizer_on_host, ..on_device("optimizer", self.optimizer) },
            on_device("teacher", self.teacher),
            on_device("states between layers", self.states),
            on_device("activations", self.activations),
            on_device("attention", self.attention),
            on_device("logits", self.logits),
        ]
    }

    /// All buffers on the device together, the peak.
    pub fn total(&self) -> u64 {
        let on_device = self.buffers().into_iter().filter(|buffer| !buffer.on_host);
        on_device.fold(0, |sum, buffer| sum.saturating_add(buffer.n_bytes))
    }
}

/// Floating-point operations of a step for each token: products of matrices, forwards and backwards. With
/// stochastic patching it is the mean over its draws; patched layers get no gradient of their weights.
pub fn step_flops(shape: &StepShape<'_>, levers: &Levers) -> u64 {
    let forward = |config: &ModelConfig| {
        let matrices = config.n_layer_params();
        // Scores and their products with the values; a causal query sees half of the keys.
        let attention = (config.n_heads * config.d_head * shape.seq) as u64;
        let layers = config.n_layers() as u64 * (matrices + attention);
        [2 * layers, 2 * (config.vocab * config.d_model) as u64]
    };
    let [layers, head] = forward(shape.student);
    let n_passes = if levers.recomputes { 4 } else { 3 };
    let teacher: u64 = shape.teacher.map_or(0, |teacher| forward(teacher).iter().sum());
    let own = n_passes * layers;
    let of_layers = match shape.teacher.filter(|_| shape.patch_probability > 0.0) {
        None => own,
        Some(teacher) => {
            let patched = (n_passes - 1) * forward(teacher)[0];
            let share = shape.patch_probability;
            ((1.0 - share) * own as f64 + share * patched as f64) as u64
        }
    };
    of_layers + 3 * head + teacher
}

/// Numbers per token, unless said otherwise.
struct Sizes {
    /// Of the whole model.
    params: u64,
    /// Of a state.
    width: u64,
    /// That a layer keeps besides its input.
    kept: u64,
    /// That exist only while a layer's turn in the backward pass lasts.
    passing: u64,
    /// Scores by query and key, their weights and the gradient of these.
    n_scores: u64,
}

impl Sizes {
    fn of(config: &ModelConfig) -> Self {
        let traits = config.traits();
        let [width, inner] = [config.d_model, config.d_ff].map(|size| size as u64);
        let [query, key] = [config.n_heads, config.n_kv_heads].map(|n| (n * config.d_head) as u64);
        let before_norm = match traits.query_key_norm {
            QueryKeyNorm::None => 0,
            QueryKeyNorm::Head | QueryKeyNorm::All => query + key,
        };
        let n_inner = match traits.mlp {
            MlpKind::Gated => 2,
            MlpKind::Plain => 1,
        };
        let norms = traits.norm;
        let n_after = 2 * (u64::from(norms.after) + u64::from(norms.after_sum));
        // Normalized inputs of both parts, the sum between them; queries, keys, values, what they give.
        let kept = (3 + n_after) * width + before_norm + 2 * query + 2 * key + n_inner * inner;
        // The larger of the gradients of both parts.
        let passing = (3 * inner + 3 * width).max(4 * query + 4 * key + 3 * width);
        Self {
            params: config.n_params(),
            width,
            kept,
            passing,
            n_scores: 2 * config.n_heads as u64,
        }
    }
}

fn frozen_params(config: &ModelConfig, frozen: &[Part]) -> u64 {
    let matrix = (config.vocab * config.d_model) as u64;
    // A tied head is the embedding.
    let n_matrices = frozen.iter().filter(|part| **part == Part::Embedding || !config.tied).count();
    matrix * n_matrices as u64
}

fn resident_params(teacher: &ModelConfig, levers: &Levers) -> u64 {
    match levers.streams_teacher {
        true => teacher.n_params_of(2.min(teacher.n_layers()), teacher.tied),
        false => teacher.n_params(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of SmolLM2-135M.
    fn config(n_layers: usize) -> ModelConfig {
        let config = serde_json::json!({
            "model_type": "llama", "vocab_size": 49152, "hidden_size": 576,
            "intermediate_size": 1536, "num_hidden_layers": n_layers, "num_attention_heads": 9,
            "num_key_value_heads": 3, "tie_word_embeddings": true,
        });
        ModelConfig::from_json(&config.to_string()).unwrap()
    }

    fn memory(levers: Levers) -> StepMemory {
        let (student, teacher) = (config(16), config(30));
        let shape = StepShape {
            student: &student,
            teacher: Some(&teacher),
            frozen: &[],
            n_sequences: 4,
            seq: 1024,
            composes: false,
            patch_probability: 0.0,
        };
        StepMemory::of(&shape, &levers)
    }

    const ALL: Levers = Levers {
        recomputes: false,
        head_chunk: 1024,
        query_block: 1024,
        streams_teacher: false,
        optimizer_on_host: false,
        sequences_per_part: 4,
        parts_per_pass: 4,
        mixed_precision: MixedPrecision::Off,
    };

    #[test]
    fn each_lever_takes_less() {
        let all = memory(ALL);
        for less in [
            Levers { recomputes: true, ..ALL },
            Levers { head_chunk: 128, ..ALL },
            Levers { query_block: 128, ..ALL },
            Levers { streams_teacher: true, ..ALL },
            Levers { parts_per_pass: 1, ..ALL },
            Levers { sequences_per_part: 1, ..ALL },
            Levers { optimizer_on_host: true, ..ALL },
        ] {
            assert!(memory(less).total() < all.total(), "{less:?}");
        }
    }

    #[test]
    fn frozen_parts_have_neither_gradient_nor_moments() {
        let (student, matrix) = (config(16), 49152 * 576 * 4);
        let shape = |frozen| StepShape {
            student: &student,
            teacher: None,
            frozen,
            n_sequences: 1,
            seq: 64,
            composes: false,
            patch_probability: 0.0,
        };
        let [all, frozen, head] = [&[][..], &[Part::Embedding], &[Part::Head]]
            .map(|frozen| StepMemory::of(&shape(frozen), &Levers::default()));
        assert_eq!(all.gradients - frozen.gradients, matrix);
        assert_eq!(all.optimizer - frozen.optimizer, 2 * matrix);
        // A tied head is the embedding, which is trained.
        assert_eq!(head, all);
    }

    #[test]
    fn the_arithmetic_of_a_step_is_that_of_its_matrices() {
        let (student, teacher) = (config(16), config(30));
        let shape = |teacher| StepShape {
            student: &student,
            teacher,
            frozen: &[],
            n_sequences: 1,
            seq: 1,
            composes: false,
            patch_probability: 0.0,
        };
        // A query and a key of 576 numbers, without attention to speak of.
        let layer = student.n_layer_params() + 576;
        let (head, levers) = (49152 * 576, Levers::default());
        let alone = step_flops(&shape(None), &levers);
        assert_eq!(alone, 6 * (16 * layer + head));
        let both = step_flops(&shape(Some(&teacher)), &levers);
        assert_eq!(both - alone, 2 * (30 * layer + head));
    }

    #[test]
    fn stochastic_patching_takes_the_memory_of_the_deepest_member_and_the_mean_arithmetic() {
        let (student, teacher) = (config(16), config(30));
        let shape = |student, patch_probability| StepShape {
            student,
            teacher: Some(&teacher),
            frozen: &[],
            n_sequences: 1,
            seq: 64,
            composes: false,
            patch_probability,
        };
        let memory = |shape: StepShape<'_>| StepMemory::of(&shape, &Levers::default());
        let (alone, patched) = (memory(shape(&student, 0.0)), memory(shape(&student, 0.1)));
        assert_eq!(patched.gradients, alone.gradients);
        assert_eq!(patched.activations, memory(shape(&teacher, 0.0)).activations);
        let flops = |student, share| step_flops(&shape(student, share), &Levers::default());
        // All layers patched: forward and the gradient of the input, two of three passes.
        let no_layer = student.keeping(&[]);
        let of_layers = |all: u64| all - flops(&no_layer, 0.0);
        let (own, whole) = (of_layers(flops(&student, 0.0)), of_layers(flops(&teacher, 0.0)));
        assert_eq!(of_layers(flops(&student, 0.5)), (own + whole * 2 / 3) / 2);
    }

    #[test]
    fn no_size_overflows() {
        let student = config(17);
        let shape = StepShape {
            student: &student,
            teacher: None,
            frozen: &[],
            n_sequences: usize::MAX,
            seq: usize::MAX,
            composes: true,
            patch_probability: 0.0,
        };
        assert_eq!(StepMemory::of(&shape, &Levers::default()).total(), u64::MAX);
    }
}
