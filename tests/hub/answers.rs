use std::fs;

use boomerang_native_trainer::exit::{Exit, code_of, describe};
use boomerang_tests::hub::REPO;

use super::{Bench, CONFIG, WEIGHTS};

#[test]
fn a_model_that_does_not_exist_is_named() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    let (sentence, code) = bench.refusal("owner/other");
    assert!(sentence.starts_with("owner/other is not found on the Hub"), "{sentence}");
    assert!(sentence.contains("or is private"), "{sentence}");
    assert_eq!(code, 7);
    let (sentence, _) = bench.refusal("owner/tiny@v9");
    assert!(sentence.starts_with("owner/tiny has no revision \"v9\" on the Hub"), "{sentence}");
}

#[test]
fn a_repository_without_weights_that_are_read_is_no_model() {
    let bench = Bench::new(&[(CONFIG, b"{}"), ("pytorch_model.bin", b"w")]);
    let (sentence, code) = bench.refusal(REPO);
    assert!(sentence.starts_with("owner/tiny has no model.safetensors on the Hub"), "{sentence}");
    assert!(sentence.contains("pytorch_model.bin is not supported"), "{sentence}");
    assert_eq!(code, 3);
}

#[test]
fn a_private_model_asks_for_a_token() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    bench.server.change(|model| model.token = Some("hf_right".to_owned()));
    let (sentence, code) = bench.refusal(REPO);
    let start =
        "owner/tiny needs a token: set HF_TOKEN, and accept the license on the model's page";
    assert!(sentence.starts_with(start), "{sentence}");
    assert_eq!(code, 7);
}

#[test]
fn a_token_that_does_not_help_is_not_shown() {
    let mut bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    bench.server.change(|model| model.token = Some("hf_right".to_owned()));
    bench.set_token("hf_wrong");
    let error = bench.fetch(REPO).unwrap_err();
    assert!(describe(&error).starts_with("the token from HF_TOKEN has no access to owner/tiny"));
    assert_eq!(code_of(&error), Exit::Network);
    assert!(!format!("{error:?} {:?}", bench.settings).contains("hf_wrong"));
}

#[test]
fn a_hub_that_is_not_there_is_answered_with_the_folder_for_the_files() {
    let mut bench = Bench::new(&[]);
    // The first port of all is nobody's.
    bench.settings.endpoint = Some("http://127.0.0.1:1".to_owned());
    let (sentence, code) = bench.refusal("owner/tiny@v1");
    assert!(sentence.contains("cannot be reached"), "{sentence}");
    assert!(sentence.contains("use that folder instead of owner/tiny@v1"), "{sentence}");
    let folder = bench.repo().join("snapshots/v1");
    assert!(sentence.ends_with(&folder.display().to_string()), "{sentence}");
    assert_eq!(code, 7);

    fs::create_dir_all(&folder).unwrap();
    for name in [CONFIG, WEIGHTS] {
        fs::write(folder.join(name), "{}").unwrap();
    }
    assert_eq!(bench.fetch("owner/tiny@v1").unwrap(), folder);
}

#[test]
fn offline_nothing_is_asked() {
    let mut bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    bench.settings.offline = true;
    let (sentence, code) = bench.refusal(REPO);
    assert!(sentence.contains("HF_HUB_OFFLINE is set"), "{sentence}");
    assert!(sentence.ends_with("models--owner--tiny/snapshots/main"), "{sentence}");
    assert_eq!(code, 7);
    assert!(bench.server.asked().is_empty());

    bench.settings.offline = false;
    let folder = bench.folder();
    bench.settings.offline = true;
    assert_eq!(bench.folder(), folder);
}
