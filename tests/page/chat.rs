use std::fs;
use std::process::Command;

use boomerang_core::generate::Sampling;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_native_trainer::files::chat::question;
use boomerang_tests::browser::Page;
use boomerang_tests::commands::boomerang;
use boomerang_tests::{read, root};
use serde_json::json;
use tempfile::TempDir;

use super::{N_TOKENS, Native, PROMPT, ids, written};

/// Says who speaks, in the words of the embedded tokenizer.
const TEMPLATE: &str = "{% for message in messages %}{% if message.role == 'user' %}say \
                        {{ message.content }}{% else %}{{ message.content }} .{% endif %} \
                        {% endfor %}{% if add_generation_prompt %}:{% endif %}";

/// The embedded teacher with this chat template, a student cut out of it, and the bundle of both.
fn family(eos_token: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let teacher = folder.path().join("teacher");
    fs::create_dir(&teacher).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::write(teacher.join(name), read(root().join("assets/teacher").join(name))).unwrap();
    }
    let config = json!({"chat_template": TEMPLATE, "eos_token": eos_token});
    fs::write(teacher.join("tokenizer_config.json"), config.to_string()).unwrap();
    for line in [
        "prune --teacher {dir}/teacher --out {dir}/student",
        "bundle --teacher {dir}/teacher --student {dir}/student --order last --precision f32 \
         --record 0 --out {dir}/bundle",
    ] {
        boomerang(line, &[("dir", folder.path())]).unwrap();
    }
    folder
}

/// The page at the teacher, with a message to it.
async fn opened(folder: &TempDir) -> Page {
    let last = Native::open_in(&folder.path().join("bundle")).path().len() - 1;
    let query = format!("explore/?k={last}&n={N_TOKENS}&p={}", PROMPT.replace(' ', "+"));
    let page = Page::open_with(&folder.path().join("bundle"), &[], &query).await;
    page.ready().await;
    page
}

async fn wait_for(page: &Page, tokens: &[u32]) {
    page.wait_for("#output", "data-token-ids", &[&ids(tokens)]).await;
    page.wait_for("main", "data-state", &["ready"]).await;
}

/// Tokens that `boomerang generate` prints for a message.
fn generated(folder: &TempDir) -> Vec<u32> {
    let output = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(["generate", "--chat", "--ids", "--device", "cpu", "--prompt", PROMPT, "--tokens"])
        .arg(N_TOKENS.to_string())
        .arg("--model")
        .arg(folder.path().join("teacher"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered_with_the_tokens_of_generate_chat() {
    let folder = family(None);
    let mut expected = generated(&folder);
    let native = Native::open_in(&folder.path().join("bundle"));
    // The command prints the token that ends the text, too.
    let ends = native.family.teacher().model().config().end_tokens();
    expected.pop_if(|token| ends.contains(token));
    let page = opened(&folder).await;
    page.click("#generate").await;
    wait_for(&page, &expected).await;
    assert_ne!(expected, native.tokens(native.path().last().unwrap(), Sampling::Greedy));
    let shown = page.run("return document.querySelector('#rendered-prompt').textContent;", vec![]);
    assert_eq!(shown.await, json!(format!("say {PROMPT} :")));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_becomes_a_turn_of_the_conversation() {
    let folder = family(None);
    let native = Native::open_in(&folder.path().join("bundle"));
    let template = ModelFolder::open(&folder.path().join("teacher")).unwrap();
    let template = template.required_chat_template().unwrap();
    let answer = |text: &str| {
        let prompt = native.tokenizer.encode(text, false).unwrap();
        written(&native.family, &prompt, native.path().last().unwrap(), Sampling::Greedy)
    };
    let page = opened(&folder).await;
    page.click("#generate").await;
    let first = answer(&question(&template, None, PROMPT).unwrap());
    wait_for(&page, &first).await;
    let said = page.run("return document.querySelector('#output').textContent;", vec![]).await;
    let said = said.as_str().unwrap();
    page.set("#prompt", "add 1 2").await;
    page.click("#generate").await;
    let turns = [("user", PROMPT), ("assistant", said), ("user", "add 1 2")];
    wait_for(&page, &answer(&template.prompt(&turns).unwrap())).await;
    let roles = "return [...document.querySelectorAll('.turns li')].map(e => e.dataset.role);";
    assert_eq!(page.run(roles, vec![]).await, json!(["user", "assistant", "user"]));

    page.click("#new-chat").await;
    assert_eq!(page.run(roles, vec![]).await, json!([]));
    page.set("#prompt", PROMPT).await;
    page.click("#generate").await;
    wait_for(&page, &first).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_chat_the_prompt_is_continued_as_it_is() {
    let folder = family(None);
    let native = Native::open_in(&folder.path().join("bundle"));
    let page = opened(&folder).await;
    page.click("#chat").await;
    page.click("#generate").await;
    wait_for(&page, &native.tokens(native.path().last().unwrap(), Sampling::Greedy)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_ends_at_the_token_that_ends_a_turn() {
    let without_end = generated(&family(None));
    let native = Native::open();
    let end = without_end[2];
    let n_before = without_end.iter().position(|&token| token == end).unwrap();
    let folder = family(Some(&native.tokenizer.token(end).unwrap()));
    let page = opened(&folder).await;
    page.click("#generate").await;
    wait_for(&page, &without_end[..n_before]).await;
    let report = page.text(".output-box .run-report").await;
    assert!(report.contains("reached end of text"), "{report}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_without_a_template_has_no_switch() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let switch = "return document.querySelector('#chat');";
    assert_eq!(page.run(switch, vec![]).await, json!(null));
    page.close().await;
}
