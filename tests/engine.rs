use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use boomerang_core::evaluate::{
    Batching, Layerwise, Loaded, Part, PrefixTree, ReadBackError, Request, Stack, answers,
};
use boomerang_core::model::LanguageModel;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::commands::{boomerang, write_ids, write_model, write_planned_family};
use boomerang_tests::{
    block_on, fixtures, patches_of_both_orders, read, read_json, stacks, tiny_family,
};

/// Questions with a long text and a few choices each, and some that share nothing.
fn questions(vocab: u32) -> Vec<Request> {
    let mut requests = Vec::new();
    for question in 0..5_u32 {
        let context: Vec<u32> =
            (0..12).map(|place| (question * 5 + place * place) % vocab).collect();
        for choice in 0..4_u32 {
            let own = (0..=choice).map(|place| (choice * 3 + place * 7 + question) % vocab);
            let tokens: Vec<u32> = context.iter().copied().chain(own).collect();
            requests.push(Request::new(tokens, 12..13 + choice as usize).unwrap());
        }
    }
    requests.push(Request::new(vec![1, 2, 3], 1..3).unwrap());
    requests
}

fn log_likelihoods(model: &LanguageModel, batching: Batching) -> (Vec<f64>, usize) {
    let tree = PrefixTree::new(&[Stack::whole(0, model)]);
    let requests = questions(model.config().vocab.min(30) as u32);
    let answers = block_on(answers(&[model], &tree, &requests, batching, &mut |_| {})).unwrap();
    let found = answers.likelihoods[0].iter().map(|answer| answer.log_likelihood);
    (found.collect(), answers.n_tokens)
}

#[test]
fn every_architecture_answers_the_same_when_choices_share_their_text() {
    let folders = fs::read_dir(fixtures().join("architectures")).unwrap();
    let mut n_compared = 0;
    for folder in folders {
        let folder = folder.unwrap().path();
        let model = ModelFolder::open(&folder).unwrap().model(&cpu()).unwrap();
        if model.config().is_masked() {
            continue;
        }
        let apart = Batching { tokens_per_batch: 64, shares_beginnings: false };
        let (apart, n_apart) = log_likelihoods(&model, apart);
        let (shared, n_shared) = log_likelihoods(&model, Batching::of(1 << 12));
        assert!(n_shared < n_apart, "{}: {n_shared} of {n_apart}", folder.display());
        for (shared, apart) in shared.iter().zip(&apart) {
            assert!((shared - apart).abs() < 1e-5, "{}: {shared} {apart}", folder.display());
        }
        n_compared += 1;
    }
    assert!(n_compared >= 12);
}

#[test]
fn a_family_walked_layer_by_layer_answers_the_same_to_the_last_bit() {
    let family = tiny_family(&cpu());
    let patches = patches_of_both_orders(&family);
    let models = [family.teacher().model(), family.student().model()];
    let tree = PrefixTree::new(&stacks(&family, &patches));
    let (requests, batching) = (questions(30), Batching::of(40));
    let resident = block_on(answers(&models, &tree, &requests, batching, &mut |_| {})).unwrap();

    let walk = Layerwise::new(&tree);
    let run = |tokens_per_pass| {
        let mut asked = Vec::new();
        let mut load = |part: Part| -> Result<Loaded, ReadBackError> {
            asked.push(part);
            Ok(match part {
                // Layers in them are not looked at.
                Part::Ends(model) => Loaded::Ends(Box::new(models[model].clone())),
                Part::Layer(model, layer) => {
                    Loaded::Layer(Box::new(models[model].layers()[layer].clone()))
                }
            })
        };
        let (model, mut heard) = ((models[0].config(), &cpu()), |_| {});
        let answers =
            walk.answers(&requests, model, batching, tokens_per_pass, &mut load, &mut heard);
        (block_on(answers).unwrap().likelihoods, asked)
    };
    let (likelihoods, asked) = run(usize::MAX);
    assert_eq!(likelihoods, resident.likelihoods);
    assert_eq!(asked, walk.parts());
    let (likelihoods, asked) = run(100);
    assert_eq!(likelihoods, resident.likelihoods);
    assert!(asked.len() > walk.parts().len() && asked.len() % walk.parts().len() == 0);
}

/// A tiny family and a few texts on disk.
fn write_family_and_texts(folder: &Path, n_texts: usize) {
    write_planned_family(folder);
    write_ids(&folder.join("texts.jsonl"), n_texts, 20);
}

const EVAL: &str =
    "eval --teacher {d}/teacher --student {d}/student --data {d}/texts.jsonl --device cpu";

#[test]
fn weights_on_disk_give_the_same_curve() {
    let dir = tempfile::tempdir().unwrap();
    write_family_and_texts(dir.path(), 6);
    let run = |rest: &str| boomerang(&format!("{EVAL} {rest}"), &[("d", dir.path())]).unwrap();
    run("--memory resident --out {d}/resident");
    run("--memory stream --state-memory 20KB --out {d}/stream");
    let curve = |name: &str| read(dir.path().join(name).join("curve.csv"));
    assert_eq!(curve("resident"), curve("stream"));
}

#[test]
fn shards_and_a_cache_give_the_same_curve_and_run_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    write_family_and_texts(dir.path(), 7);
    let run = |rest: &str| boomerang(&format!("{EVAL} {rest}"), &[("d", dir.path())]).unwrap();
    run("--out {d}/whole");
    for number in 1..=3 {
        run(&format!("--use-cache {{d}}/cache --shard {number}/3"));
    }
    run("--use-cache {d}/cache --out {d}/merged");
    let curve = |name: &str| read(dir.path().join(name).join("curve.csv"));
    assert_eq!(curve("whole"), curve("merged"));
    let engine = &read_json(dir.path().join("merged/family.json"))["engine"];
    assert_eq!(engine["token_layers"], 0, "everything was in the cache");

    // Another student has answers of its own; the sizes that are the teacher's layers alone, naive
    // pruning and the teacher, are the same as before.
    let other =
        boomerang_tests::tiny_model(tiny_family(&cpu()).student().model().config(), 77, &cpu());
    write_model(&other, &dir.path().join("student"));
    run("--use-cache {d}/cache --out {d}/other");
    let file = read_json(dir.path().join("other/family.json"));
    let n_members = file["members"].as_array().unwrap().len() as u64;
    let n_cached = file["engine"]["n_cached"].as_u64().unwrap();
    let n_naive = file["members"].as_array().unwrap().iter();
    let n_naive = n_naive.filter(|member| member["series"] == "naive").count() as u64;
    assert_eq!(n_cached, 7 * (n_naive + 1), "of {n_members} members");
}

#[test]
fn a_run_that_was_killed_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    write_family_and_texts(dir.path(), 400);
    let line = format!("{EVAL} --batch-tokens 40 --use-cache {{d}}/cache --out {{d}}/out");
    let words = line.replace("{d}", &dir.path().to_string_lossy());
    let mut child = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(words.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let has_answers = || {
        let members = fs::read_dir(dir.path().join("cache")).into_iter().flatten();
        let files = members.flat_map(|member| fs::read_dir(member.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>() > 10_000
    };
    while !has_answers() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    boomerang(&format!("{line} --force"), &[("d", dir.path())]).unwrap();
    boomerang(&format!("{EVAL} --batch-tokens 40 --out {{d}}/whole"), &[("d", dir.path())])
        .unwrap();
    let n_cached = read_json(dir.path().join("out/family.json"))["engine"]["n_cached"].clone();
    assert!(n_cached.as_u64().unwrap() > 0);
    let curve = |name: &str| read(dir.path().join(name).join("curve.csv"));
    assert_eq!(curve("out"), curve("whole"));
}
