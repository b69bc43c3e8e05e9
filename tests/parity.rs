use boomerang_core::distill::{Batch, Layout, Row};
use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::plan::{LayerSource, Owner, PatchOrder, Recipe};
use boomerang_core::prune::{Family, Student, Teacher};
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::{
    block_on, fixture_tensor, fixtures, ids, read, read_json, relative_difference, values,
};
use serde_json::Value;

/// f32 against f32, other order of summation.
const TOLERANCE: f32 = 1e-4;

/// `name` is a folder of the fixtures: `models/llama-tied`. Masked language models continue no text.
fn agrees_with_transformers(name: &str) {
    let folder = fixtures().join(name);
    let model = ModelFolder::open(&folder).unwrap().model(&cpu()).unwrap();
    let reference = read(folder.join("reference.safetensors"));
    let (shape, tokens) = fixture_tensor(&reference, "input_ids");
    let (_, valid) = fixture_tensor(&reference, "attention_mask");
    let seq = shape[1];
    let rows = tokens.chunks(seq).zip(valid.chunks(seq)).map(|(tokens, valid)| {
        Row::new(
            tokens.iter().map(|&token| token as u32).collect(),
            valid.iter().map(|&valid| valid as u32).collect(),
        )
    });
    let batch =
        Batch::new(rows.collect(), Layout::of_single_texts(model.config())).to_device(&cpu());
    let trace = model.trace(batch.tokens, &batch.mask);

    let (shape, expected) = fixture_tensor(&reference, "hidden_states");
    assert_eq!(trace.hidden_states.len(), shape[0], "{name}: number of states");
    let n_values = expected.len() / shape[0];
    for (number, (state, expected)) in
        trace.hidden_states.into_iter().zip(expected.chunks(n_values)).enumerate()
    {
        let difference = relative_difference(&values(state), expected);
        assert!(difference <= TOLERANCE, "{name}: state {number} differs by {difference}");
    }
    let (_, expected) = fixture_tensor(&reference, "logits");
    let difference = relative_difference(&values(trace.logits), &expected);
    assert!(difference <= TOLERANCE, "{name}: logits differ by {difference}");

    if model.config().is_masked() {
        return;
    }
    let (_, prompt) = fixture_tensor(&reference, "prompt_ids");
    let (_, expected) = fixture_tensor(&reference, "generated_ids");
    let prompt: Vec<u32> = prompt.iter().map(|&token| token as u32).collect();
    let mut generation =
        Generation::new(&model, &prompt, expected.len(), Sampling::Greedy).unwrap();
    let mut generated = Vec::new();
    while let Some(token) = block_on(generation.next()).unwrap() {
        generated.push(token as f32);
    }
    assert_eq!(generated, expected, "{name}: greedy generation");
}

#[test]
fn qwen3_tied_agrees_with_transformers() {
    agrees_with_transformers("models/qwen3-tied");
}

#[test]
fn qwen3_in_shards_with_the_keys_of_transformers_5_agrees() {
    agrees_with_transformers("models/qwen3-untied");
}

#[test]
fn llama_in_bf16_agrees_with_transformers() {
    agrees_with_transformers("models/llama-untied");
}

#[test]
fn llama_tied_in_f16_agrees_with_transformers() {
    agrees_with_transformers("models/llama-tied");
}

#[test]
fn qwen2_with_biases_agrees_with_transformers() {
    agrees_with_transformers("models/qwen2-bias");
}

macro_rules! architectures {
    ($($test:ident: $folder:literal;)*) => {
        $(
            #[test]
            fn $test() {
                agrees_with_transformers(concat!("architectures/", $folder));
            }
        )*
    };
}

architectures! {
    llama_with_the_rope_of_llama_3_agrees_with_transformers: "llama3-rope";
    mistral_with_a_window_agrees_with_transformers: "mistral";
    qwen2_with_windows_in_some_layers_agrees_with_transformers: "qwen2-windows";
    smollm3_with_layers_that_are_not_rotated_agrees_with_transformers: "smollm3";
    olmo2_agrees_with_transformers: "olmo2";
    olmo3_with_yarn_outside_of_windows_agrees_with_transformers: "olmo3";
    phi3_agrees_with_transformers: "phi3";
    phi3_in_texts_beyond_its_first_window_agrees_with_transformers: "phi3-long";
    gemma2_agrees_with_transformers: "gemma2";
    gemma3_agrees_with_transformers: "gemma3";
    gpt_neox_agrees_with_transformers: "gpt-neox";
    gpt_neox_with_sequential_residuals_agrees_with_transformers: "gpt-neox-sequential";
    gpt2_agrees_with_transformers: "gpt2";
    bert_agrees_with_transformers: "bert";
    distilbert_agrees_with_transformers: "distilbert";
    internlm2_agrees_with_the_same_llama_in_transformers: "internlm2";
    internlm3_agrees_with_the_same_llama_in_transformers: "internlm3";
    internlm3_with_biases_as_transformers_5_writes_it_agrees: "internlm3-biases";
    mistral_with_windows_in_the_layers_it_lists_agrees_with_transformers: "mistral-listed";
    a_llama_rotates_whole_heads_whatever_its_config_says_as_in_transformers: "llama-partial";
}

fn owner(value: &Value) -> Owner {
    serde_json::from_value(value.clone()).unwrap()
}

fn patched_models_agree_with_the_reference(name: &str) {
    let folder = fixtures().join("patch");
    let described = read_json(folder.join(format!("{name}.json")));
    let tensors = read(folder.join(format!("{name}.safetensors")));
    let path = |key: &str| fixtures().join(described[key].as_str().unwrap());
    let teacher = ModelFolder::open(&path("teacher")).unwrap().model(&cpu()).unwrap();
    let plan = boomerang_core::plan::LayerPlan::keep(
        &serde_json::from_value::<Vec<usize>>(described["kept"].clone()).unwrap(),
        teacher.n_layers(),
    )
    .unwrap();
    let config = teacher.config().keeping(&plan.kept());
    let weights = read(path("student").join("student_final.safetensors"));
    let weights = boomerang_core::checkpoint::Checkpoint::parse([(name.to_owned(), &*weights)]);
    let student = weights.unwrap().read_model(&config, &cpu()).unwrap();
    let student = Student::new(student, plan).unwrap();
    let family = Family::new(Teacher::new(teacher), student).unwrap();
    let (_, tokens) = fixture_tensor(&tensors, "input_ids");
    let tokens: Vec<u32> = tokens.iter().map(|&token| token as u32).collect();

    let order: PatchOrder = serde_json::from_value(described["order"].clone()).unwrap();
    let sizes = order.path(family.plan()).unwrap();
    for member in described["members"].as_array().unwrap() {
        let layers = member["layers"].as_array().unwrap().iter().map(|layer| {
            let number = layer[1].as_u64().unwrap() as usize;
            match owner(&layer[0]) {
                Owner::Student => LayerSource::Student(number),
                Owner::Teacher => LayerSource::Teacher(number),
            }
        });
        let expected = Recipe {
            embedding: owner(&member["embedding"]),
            layers: layers.collect(),
            head: owner(&member["norm_and_head"]),
        };
        let name = member["name"].as_str().unwrap();
        let recipe = match member["k"].as_u64() {
            Some(0) => family.plan().reference_k0(&order).unwrap(),
            Some(k) => family.plan().recipe(&sizes[k as usize]),
            None => {
                let patched: Vec<usize> =
                    serde_json::from_value(member["patched"].clone()).unwrap();
                let patch = boomerang_core::plan::Patch::of(&patched, family.plan()).unwrap();
                family.plan().recipe(&patch)
            }
        };
        assert_eq!(recipe, expected, "{name}");
        let model = family.assemble(&recipe);
        let mask = boomerang_core::model::AttentionMask::causal(tokens.len(), 0, &cpu());
        let logits = values(model.trace(ids(&tokens, &cpu()), &mask).logits);
        let (_, expected) = fixture_tensor(&tensors, &format!("logits.{name}"));
        let difference = relative_difference(&logits, &expected);
        assert!(difference <= TOLERANCE, "{name}: logits differ by {difference}");
    }
}

#[test]
fn tied_qwen3_patched_from_the_last_layer_agrees_with_the_reference() {
    patched_models_agree_with_the_reference("qwen3-tied-8");
}

#[test]
fn untied_llama_patched_from_the_first_layer_agrees_with_the_reference() {
    patched_models_agree_with_the_reference("llama-untied-7");
}
