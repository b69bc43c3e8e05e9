use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::config::{ModelConfig, RopeScaling};
use boomerang_core::gguf::{
    Conversion, Encoding, Gguf, GgufArray, GgufError, GgufValue, Metadata, check,
    embedding_fingerprint, import, import_tokenizer, widen,
};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::{fixtures, read_json};

use crate::gguf::{checkpoint, config, file_of, weights};

/// A fixture model's file with other metadata.
fn file_with(name: &str, change: impl Fn(&mut Metadata<'_>)) -> Vec<u8> {
    let model = &read_json(fixtures().join("gguf/tensors.json"))[name];
    let folder = fixtures().join(name);
    let files = weights(&folder);
    let checkpoint = checkpoint(&files);
    let config = config(&folder, &model["config"]);
    let mut written = Conversion::new(&checkpoint, &config, Some(Encoding::F32)).unwrap();
    change(&mut written.metadata);
    file_of(&written)
}

fn changed(name: &str, change: impl Fn(&mut Metadata<'_>)) -> Result<ModelConfig, GgufError> {
    check(&Gguf::parse(&file_with(name, change)).unwrap())
}

fn set(name: &str, key: &str, value: GgufValue<'static>) -> Result<ModelConfig, GgufError> {
    changed(name, |metadata| metadata.set(key, value.clone()))
}

fn without(name: &str, lost: &str) -> Result<ModelConfig, GgufError> {
    changed(name, |metadata| metadata.retain(|key| !key.ends_with(lost)))
}

#[track_caller]
fn assert_refused(found: Result<ModelConfig, GgufError>, expected: &str) {
    let message = found.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains(expected), "{message:?}; expected {expected:?}");
}

const LLAMA: &str = "models/llama-tied";
const GEMMA2: &str = "architectures/gemma2";
const NEOX: &str = "architectures/gpt-neox";
const LONG: &str = "architectures/phi3-long";

#[test]
fn a_factor_without_a_type_stretches_positions() {
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        let config = set(LLAMA, key, GgufValue::F32(4.0)).unwrap();
        assert!(matches!(config.rotary[0].scaling, RopeScaling::Linear { factor: 4.0 }), "{key}");
    }
    let config = set(NEOX, "gptneox.rope.scaling.factor", GgufValue::F32(4.0)).unwrap();
    assert!(matches!(config.rotary[0].scaling, RopeScaling::Linear { factor: 4.0 }));
}

#[test]
fn stretched_positions_that_are_not_understood_are_refused() {
    let kind = "llama.rope.scaling.type";
    assert_refused(set(LLAMA, kind, GgufValue::text("yarn")), r#""yarn"; expected none or linear"#);
    assert_refused(set(LLAMA, kind, GgufValue::U32(1)), "1; expected a text");
    let factor = "llama.rope.scaling.attn_factor";
    assert_refused(set(LLAMA, factor, GgufValue::F32(2.0)), "attn_factor is 2; expected 1");
    let factor = "llama.rope.scaling.factor";
    let both = set("architectures/llama3-rope", factor, GgufValue::F32(2.0));
    assert_refused(both, "none beside the tensor rope_freqs.weight");
}

#[test]
fn the_magnitude_of_longrope_is_that_of_the_file() {
    let config = set(LONG, "phi3.rope.scaling.attn_factor", GgufValue::F32(3.0)).unwrap();
    let RopeScaling::LongRope { magnitude, .. } = config.rotary[0].scaling else { panic!() };
    assert!((magnitude - 3.0).abs() < 1e-9, "{magnitude}");
    let config = without(LONG, "attn_factor").unwrap();
    let RopeScaling::LongRope { magnitude, .. } = config.rotary[0].scaling else { panic!() };
    assert!((magnitude - 1.0).abs() < 1e-9, "{magnitude}");
    for kind in ["linear", "longrope"] {
        let found = changed(LONG, |metadata| {
            metadata.set("phi3.rope.scaling.type", GgufValue::text(kind));
            metadata.set("phi3.rope.scaling.factor", GgufValue::F32(2.0));
        });
        assert_refused(found, "expected none, or longrope without a factor");
    }
}

#[test]
fn numbers_that_json_does_not_have_are_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let found = set(LLAMA, "llama.rope.freq_base", GgufValue::F32(value));
        assert_refused(found, "expected a finite float");
    }
}

#[test]
fn gemma_2_has_its_caps_unless_told_otherwise() {
    let config = without(GEMMA2, "softcapping").unwrap();
    assert_eq!((config.attention_softcap, config.logit_softcap), (Some(50.0), Some(30.0)));
}

#[test]
fn gemma_2_has_a_window_of_4096_unless_told_otherwise() {
    let config = changed(GEMMA2, |metadata| {
        metadata.retain(|key| !key.ends_with("sliding_window"));
        metadata.set("gemma2.context_length", GgufValue::U32(8192));
    });
    assert_eq!(config.unwrap().layers[0].window, Some(4096));
    let none = set(GEMMA2, "gemma2.attention.sliding_window", GgufValue::U32(0));
    assert_refused(none, "sliding_window is 0; expected at least 1");
}

#[test]
fn whether_residuals_are_parallel_is_not_guessed() {
    assert_refused(without(NEOX, "use_parallel_residual"), "gptneox.use_parallel_residual");
    let number = set(NEOX, "gptneox.use_parallel_residual", GgufValue::U8(1));
    assert_refused(number, "is 1; expected true or false");
}

#[test]
fn a_part_of_a_split_model_is_refused() {
    let part = changed(LLAMA, |metadata| {
        metadata.set("split.no", GgufValue::U16(1));
        metadata.set("split.count", GgufValue::U16(3));
    });
    assert_refused(part, "part 2 of a model in 3 files");
}

#[test]
fn what_an_error_shows_of_a_file_is_short() {
    let long = set(LLAMA, "general.architecture", GgufValue::text("x".repeat(1 << 20)));
    assert!(long.unwrap_err().to_string().len() < 1000);
}

#[test]
fn widened_weights_are_those_of_the_model() {
    let models = read_json(fixtures().join("gguf/tensors.json"));
    for name in models.as_object().unwrap().keys() {
        let bytes = file_with(name, |_| {});
        let file = Gguf::parse(&bytes).unwrap();
        let mut widened = Vec::new();
        widen(&file, &mut widened, |_| {}).unwrap();
        let model = import(&file, &cpu()).unwrap();
        assert!(widened == model_to_bytes(&model, Precision::F32).unwrap(), "{name}");
        let widened = [("model.safetensors".to_owned(), widened)];
        let expected = checkpoint(&widened).embedding_fingerprint(model.config(), |_| {}).unwrap();
        assert_eq!(embedding_fingerprint(&file).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_value_that_is_not_finite_is_not_widened() {
    let mut bytes = file_with(LLAMA, |_| {});
    let n_bytes = bytes.len();
    bytes[n_bytes - 64..].fill(0xff);
    let file = Gguf::parse(&bytes).unwrap();
    let found = widen(&file, &mut Vec::new(), |_| {}).unwrap_err();
    assert!(matches!(found, GgufError::NotFiniteValue { .. }), "{found}");
}

/// A SentencePiece vocabulary with these tokens after the usual three.
fn pieces(tokens: impl Iterator<Item = String>) -> Metadata<'static> {
    let special = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let tokens: Vec<String> = special.into_iter().chain(tokens).collect();
    let kinds = [2, 3, 3].into_iter().chain(tokens.iter().skip(3).map(|_| 1));
    let kinds: Vec<GgufValue<'_>> = kinds.map(GgufValue::I32).collect();
    let scores: Vec<GgufValue<'_>> =
        (0..tokens.len()).map(|rank| GgufValue::F32(-(rank as f32))).collect();
    let mut metadata = Metadata::default();
    metadata.set("tokenizer.ggml.model", GgufValue::text("llama"));
    let arrays = [
        ("tokens", GgufArray::of_texts(tokens.iter())),
        ("token_type", GgufArray::of(&kinds).unwrap()),
        ("scores", GgufArray::of(&scores).unwrap()),
    ];
    for (key, array) in arrays {
        metadata.set(format!("tokenizer.ggml.{key}"), GgufValue::Array(array));
    }
    metadata
}

/// A byte-level vocabulary split as this pre-tokenizer does.
fn bytes_split_as(pre: &str) -> Metadata<'static> {
    let mut metadata = Metadata::default();
    metadata.set("tokenizer.ggml.model", GgufValue::text("gpt2"));
    metadata.set("tokenizer.ggml.pre", GgufValue::text(pre));
    let texts = |texts: &[&str]| GgufValue::Array(GgufArray::of_texts(texts.iter()));
    metadata.set("tokenizer.ggml.tokens", texts(&["a", "b", "ab"]));
    metadata.set("tokenizer.ggml.merges", texts(&["a b"]));
    metadata
}

fn tokenizer_of(metadata: &Metadata<'_>) -> serde_json::Value {
    let found = import_tokenizer(metadata, 1 << 20).unwrap().unwrap();
    serde_json::from_str(&found.tokenizer).unwrap()
}

fn tokenizer_refusal(metadata: &Metadata<'_>, n_rows: usize) -> String {
    import_tokenizer(metadata, n_rows).unwrap_err().to_string()
}

#[test]
fn llama_3_starts_texts_with_bos_unless_told_otherwise() {
    for (pre, starts) in [("llama-bpe", true), ("llama3", true), ("gpt-2", false)] {
        let mut metadata = bytes_split_as(pre);
        metadata.set("tokenizer.ggml.bos_token_id", GgufValue::U32(1));
        let found = &tokenizer_of(&metadata)["post_processor"]["single"][0]["SpecialToken"]["id"];
        assert_eq!(found.as_str(), starts.then_some("b"), "{pre}");
    }
}

#[test]
fn a_bos_token_that_is_added_has_to_be_named() {
    let mut metadata = bytes_split_as("llama-bpe");
    assert!(tokenizer_refusal(&metadata, 8).contains("bos_token_id names none"));
    metadata.set("tokenizer.ggml.bos_token_id", GgufValue::U32(99));
    assert!(tokenizer_refusal(&metadata, 8).contains("bos_token_id names none"));
    metadata.set("tokenizer.ggml.add_bos_token", GgufValue::U8(1));
    assert!(tokenizer_refusal(&metadata, 8).contains("add_bos_token is 1; expected true or false"));
}

#[test]
fn sentence_piece_has_its_own_bos() {
    let tokenizer = tokenizer_of(&pieces(["a".to_owned()].into_iter()));
    assert_eq!(tokenizer["post_processor"]["single"][0]["SpecialToken"]["id"], "<s>");
}

#[test]
fn a_vocabulary_out_of_proportion_is_refused() {
    let refusal = tokenizer_refusal(&pieces(["h".repeat(200_000)].into_iter()), 8);
    assert!(refusal.contains("token 3 has 200000 bytes"), "{refusal}");
    let refusal = tokenizer_refusal(&pieces((1..=1000).map(|n| "h".repeat(n))), 1 << 20);
    assert!(refusal.contains("can be put together in"), "{refusal}");
    let refusal = tokenizer_refusal(&bytes_split_as("gpt-2"), 2);
    assert!(refusal.contains("3 tokens for 2 rows"), "{refusal}");
}
