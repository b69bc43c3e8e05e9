//! Tiny families, for tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its family fails")]

use std::collections::BTreeMap;

use boomerang_core::bundle::{BundleContents, ChatFormat, bundle_files};
use boomerang_core::checkpoint::{Precision, StoredAs};
use boomerang_core::config::ModelConfig;
use boomerang_core::curve::SizeCurve;
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::{LayerPlan, PatchOrder};
use boomerang_core::prune::{Family, Teacher};
use burn::tensor::{Device, TensorData};

use crate::family::FamilyCard;

const TOKENIZER: &str = r#"{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;

/// Six layers pruned to four; all weights of the teacher are zero, and those of the student one.
pub fn family(tied: bool) -> Family {
    family_of(tied, 1.0)
}

/// The same with a student that has the teacher's weights.
pub fn pruned_family(tied: bool) -> Family {
    family_of(tied, 0.0)
}

fn family_of(tied: bool, student_weight: f32) -> Family {
    let [teacher, source] = [0.0, student_weight].map(|weight| Teacher::new(model(tied, weight)));
    let student = source.prune(&LayerPlan::keep(&[0, 2, 4, 5], 6).unwrap()).unwrap();
    Family::new(teacher, student).unwrap()
}

fn model(tied: bool, weight: f32) -> LanguageModel {
    let config = format!(
        r#"{{"model_type": "qwen3", "hidden_size": 8, "intermediate_size": 12,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
            "num_hidden_layers": 6, "vocab_size": 11, "tie_word_embeddings": {tied}}}"#
    );
    let config = ModelConfig::from_json(&config).unwrap();
    let constant = |parameter: &boomerang_core::model::parameters::Parameter| {
        Ok::<_, ()>(TensorData::full::<f32, _>(parameter.shape.clone(), weight))
    };
    LanguageModel::build(&config, &Device::flex(), constant).unwrap()
}

/// What its manifest says.
pub fn card(family: &Family, stored_as: impl Into<StoredAs>) -> FamilyCard {
    card_with(family, stored_as.into(), None)
}

/// A family with a chat template.
pub fn chat_card() -> FamilyCard {
    let template = "{{ messages }}".to_owned();
    let chat = ChatFormat { template, special_tokens: BTreeMap::new() };
    card_with(&family(true), Precision::F32.into(), Some(chat))
}

fn card_with(family: &Family, stored_as: StoredAs, chat: Option<ChatFormat>) -> FamilyCard {
    let contents = BundleContents {
        name: "tiny",
        order: PatchOrder::Last,
        stored_as,
        tokenizer_json: TOKENIZER.as_bytes(),
        tokenizer_gz: None,
        chat,
        curve: SizeCurve::new(Vec::new()),
        similarity: vec![0.5; 4],
        prompts: Vec::new(),
        recordings: None,
        task: None,
        loss: None,
    };
    let files = bundle_files(family, contents).unwrap();
    let (_, manifest) = files.last().unwrap();
    FamilyCard::from_json(std::str::from_utf8(manifest).unwrap()).unwrap()
}
