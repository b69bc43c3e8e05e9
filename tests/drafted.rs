use std::process::Command;

use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{failure, write_model};
use boomerang_tests::{tiny_config, tiny_model};

/// The embedded teacher.
const TEACHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/teacher");

/// Standard output and standard error of `generate` with these flags.
fn generated(flags: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(["generate", "--model", TEACHER, "--device", "cpu", "--timings", "--tokens", "24"])
        .args(flags)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{}", text(output.stderr));
    (text(output.stdout), text(output.stderr))
}

#[test]
fn a_draft_in_8_bits_changes_no_token() {
    let prompt = ["--prompt", "say ka lo mi backwards"];
    let (alone, _) = generated(&prompt);
    let (drafted, timings) = generated(&[&prompt[..], &["--draft", TEACHER]].concat());
    assert_eq!(alone, drafted);
    assert!(timings.contains("tokens accepted"), "{timings}");
}

#[test]
fn a_draft_with_other_tokens_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_model(&tiny_model(&tiny_config(), 0, &cpu()), dir.path());
    let line = format!("generate --model {TEACHER} --prompt say --draft {{dir}} --device cpu");
    let (message, code) = failure(&line, &[("dir", dir.path())]);
    assert!(message.contains("has another tokenizer"), "{message}");
    assert_eq!(code, 3);
}
