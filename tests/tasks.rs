use std::collections::BTreeSet;

use boomerang_core::evaluate::{
    Answer, Encoder, Likelihood, Markers, PrefixTree, Question, Request, Stack, answer,
};
use boomerang_core::generate::answer_open;
use boomerang_core::model::LanguageModel;
use boomerang_core::tokenizer::Tokenizer;
use boomerang_lm_tasks::{self as tasks, Limit, Options, Tasks, output};
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::markers;
use boomerang_native_trainer::files::{ModelFolder, OutputFolder};
use boomerang_tests::{block_on, fixtures, read, read_json};
use serde_json::Value;

/// How far a number may be off: by so much, or by such a part of itself.
#[derive(Clone, Copy)]
struct Tolerance {
    absolute: f64,
    relative: f64,
}

/// Of log-likelihoods, which lm-evaluation-harness adds up in f32.
const OF_SAMPLES: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-6 };
const OF_MEASURES: Tolerance = Tolerance { absolute: 1e-6, relative: 1e-6 };
/// Exponentials of these sums.
const OF_PERPLEXITIES: Tolerance = Tolerance { absolute: 1e-6, relative: 1e-5 };

/// A tiny model that answers one question after the other.
struct Model {
    model: LanguageModel,
    tokenizer: Tokenizer,
    markers: Markers,
}

impl Model {
    fn open(name: &str) -> Self {
        let folder = ModelFolder::open(&fixtures().join("lm_eval/models").join(name)).unwrap();
        let tokenizer = folder.tokenizer().unwrap().unwrap();
        let markers = markers(&folder, &tokenizer).unwrap();
        Self { model: folder.model(&cpu()).unwrap(), tokenizer, markers }
    }

    fn answer(&self, question: &Question) -> Answer {
        let max_seq = self.model.config().max_seq;
        let encoder = Encoder::new(&self.tokenizer, self.markers.clone(), max_seq);
        let requests = encoder.requests(question).unwrap();
        match question {
            Question::Continuations(_) => Answer::Continuations(self.likelihoods(&requests)),
            Question::Text(_) => {
                let windows = self.likelihoods(&requests);
                Answer::Text(Likelihood {
                    log_likelihood: windows.iter().map(|window| window.log_likelihood).sum(),
                    n_tokens: windows.iter().map(|window| window.n_tokens).sum(),
                    is_greedy: windows.iter().all(|window| window.is_greedy),
                })
            }
            Question::Open(open) => {
                let prompt = encoder.open(open).unwrap();
                Answer::Open(self.write(&prompt, open.max_tokens, &encoder.stops(open)))
            }
        }
    }

    fn likelihoods(&self, requests: &[Request]) -> Vec<Likelihood> {
        let tree = PrefixTree::new(&[Stack::whole(0, &self.model)]);
        block_on(answer(&[&self.model], &tree, requests)).unwrap().remove(0)
    }

    fn write(&self, prompt: &[u32], max_tokens: usize, stops: &[String]) -> String {
        let answer = answer_open(&self.model, &self.tokenizer, prompt, stops, max_tokens);
        block_on(answer).unwrap()
    }
}

/// The tasks of a recorded case, prepared as lm-evaluation-harness was told to.
fn load(case: &Value) -> Tasks {
    let folder = fixtures().join("lm_eval");
    let number = |key: &str| case.get(key).and_then(Value::as_u64).map(|number| number as usize);
    let names: Vec<String> = serde_json::from_value(case["tasks"].clone()).unwrap();
    let options = Options {
        tasks: names,
        include_paths: vec![folder.join("tasks")],
        data_folders: vec![folder.join("data")],
        n_shots: number("num_fewshot"),
        limit: number("limit").map(Limit::Count),
        ..Options::default()
    };
    tasks::load(&options).unwrap()
}

/// Numbers may differ in their last digits; everything else is equal.
fn assert_close(found: &Value, expected: &Value, tolerance: Tolerance, place: &str) {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        // In a record of answers numbers are texts.
        Value::String(text) if text.contains('.') => text.parse().ok(),
        _ => None,
    };
    match (number(found), number(expected), found, expected) {
        (Some(found), Some(expected), ..) => {
            let allowed = tolerance.absolute.max(tolerance.relative * expected.abs());
            assert!((found - expected).abs() <= allowed, "{place}: {found}, not {expected}");
        }
        (_, _, Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place}");
            for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_close(found, expected, tolerance, &format!("{place}[{number}]"));
            }
        }
        (_, _, Value::Object(found), Value::Object(expected)) => {
            let keys = |map: &serde_json::Map<String, Value>| -> BTreeSet<String> {
                map.keys().cloned().collect()
            };
            assert_eq!(keys(found), keys(expected), "{place}");
            for (key, found) in found {
                // With a filter behind it; of a document it is a log-likelihood.
                let is_perplexity = key.contains("perplexity") && key.contains(',');
                let tolerance = if is_perplexity { OF_PERPLEXITIES } else { tolerance };
                assert_close(found, &expected[key], tolerance, &format!("{place}.{key}"));
            }
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

/// Runs a case and compares the files that are written with those of lm-evaluation-harness.
fn agrees_with_lm_evaluation_harness(name: &str) {
    let case = read_json(fixtures().join("lm_eval/cases").join(format!("{name}.json")));
    let tasks = load(&case);
    let model = Model::open(case["model"].as_str().unwrap());
    let scores: Vec<_> = (&tasks)
        .into_iter()
        .map(|task| {
            let answers: Vec<Answer> =
                task.questions().iter().map(|question| model.answer(question)).collect();
            (task, task.score(&answers).unwrap())
        })
        .collect();

    let folder = tempfile::tempdir().unwrap();
    let out = OutputFolder::create(&folder.path().join("out"), false).unwrap();
    let scored: Vec<_> = scores.iter().map(|(task, score)| (*task, score)).collect();
    let context = output::RunContext {
        model: "tiny",
        time: "2026-11-27T08-00-00.000000",
        date: 0.0,
        seconds: 1.0,
        device: "cpu",
        limit: None,
        max_length: model.model.config().max_seq,
        seed: 1234,
    };
    output::write(&out, "members/tiny", &scored, &tasks.groups, &context).unwrap();
    let out = out.commit().unwrap().join("members/tiny");

    let samples = case["samples"].as_object().unwrap();
    assert_eq!(scored.len(), samples.len(), "{name}: number of tasks");
    for (task, expected) in samples {
        let file = out.join(format!("samples_{task}_{}.jsonl", context.time));
        let text = String::from_utf8(read(file)).unwrap();
        let found: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = expected.as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}, {task}: number of records");
        for (mut found, expected) in found.into_iter().zip(expected) {
            let place =
                format!("{name}, {task}, document {} ({})", expected["doc_id"], expected["filter"]);
            assert!(found.as_object_mut().unwrap().remove("doc").is_some(), "{place}");
            assert_eq!(found["arguments"], expected["arguments"], "{place}: what is asked");
            assert_close(&found, expected, OF_SAMPLES, &place);
        }
    }
    let results = read_json(out.join(format!("results_{}.json", context.time)));
    for (key, expected) in case["results"].as_object().unwrap() {
        assert_close(&results[key], expected, OF_MEASURES, &format!("{name}: {key}"));
    }
}

#[test]
fn tasks_of_every_kind_agree_with_lm_evaluation_harness() {
    agrees_with_lm_evaluation_harness("own-plain");
}

#[test]
fn tasks_agree_where_the_tokenizer_puts_a_token_before_texts() {
    agrees_with_lm_evaluation_harness("own-bos");
}

#[test]
fn examples_agree_with_lm_evaluation_harness() {
    agrees_with_lm_evaluation_harness("own-shots");
}

#[test]
fn groups_agree_with_lm_evaluation_harness() {
    agrees_with_lm_evaluation_harness("groups");
}

#[test]
fn built_in_tasks_agree_with_lm_evaluation_harness() {
    agrees_with_lm_evaluation_harness("builtin");
}

#[test]
fn built_in_tasks_with_examples_agree_with_lm_evaluation_harness() {
    agrees_with_lm_evaluation_harness("builtin-shots");
}
