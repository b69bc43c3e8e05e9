use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::Family;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::commands::boomerang;
use boomerang_tests::{block_on, read, root};
use tempfile::TempDir;

const PROMPT: &str = "sort 7 2 9 4 :";

/// The embedded teacher, and a student cut out of it, which writes other texts than it.
fn folders() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let teacher = dir.path().join("teacher");
    fs::create_dir(&teacher).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::write(teacher.join(name), read(root().join("assets/teacher").join(name))).unwrap();
    }
    boomerang("prune --teacher {dir}/teacher --out {dir}/student", &[("dir", dir.path())]).unwrap();
    dir
}

fn generate(dir: &Path, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(["generate", "--prompt", PROMPT, "--device", "cpu"])
        .arg("--teacher")
        .arg(dir.join("teacher"))
        .arg("--student")
        .arg(dir.join("student"))
        .args(flags)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a family of these folders adds to the prompt, each span from scratch, as it is printed; and
/// how many layers each change shares with the size before.
fn expected(dir: &Path, spans: &[(usize, usize)]) -> (String, Vec<(usize, usize)>) {
    let open = |name: &str| ModelFolder::open(&dir.join(name)).unwrap();
    let teacher = open("teacher");
    let tokenizer = teacher.tokenizer().unwrap().unwrap();
    let student = open("student").student(&cpu()).unwrap();
    let family = Family::new(teacher.teacher(&cpu()).unwrap(), student).unwrap();
    let path = PatchOrder::Last.path(family.plan()).unwrap();
    let mut tokens = tokenizer.encode(PROMPT, true).unwrap();
    let (mut lines, mut shared) = (Vec::new(), Vec::new());
    let mut before = None;
    // A text that has ended is not continued.
    let config = fs::read_to_string(dir.join("teacher/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let end = config["eos_token_id"].as_u64().map(|token| token as usize);
    for &(n_layers, n_tokens) in spans {
        let n_of = |patch| family.plan().recipe(patch).layers.len();
        let patch = path.iter().find(|patch| n_of(patch) == n_layers).unwrap();
        let member = family.member(patch);
        let mut generation = Generation::new(&member, &tokens, n_tokens, Sampling::Greedy).unwrap();
        let mut line = format!("[{n_layers} layers] ");
        while let Some(token) = block_on(generation.next()).unwrap() {
            line += &format!("{token} ");
            tokens.push(token);
            if Some(token as usize) == end {
                break;
            }
        }
        lines.push(line);
        if let Some(before) = before.replace(patch) {
            shared.push((family.plan().n_shared_layers(before, patch), n_layers));
        }
        if tokens.last().map(|&token| token as usize) == end {
            break;
        }
    }
    (lines.join("\n") + "\n", shared)
}

#[test]
fn sizes_write_one_text_in_turn_as_if_each_had_read_it() {
    let dir = folders();
    let sizes: Vec<usize> = {
        let plan = ModelFolder::open(&dir.path().join("student")).unwrap().plan().unwrap().unwrap();
        let path = PatchOrder::Last.path(&plan).unwrap();
        path.iter().map(|patch| plan.recipe(patch).layers.len()).collect()
    };
    let (small, middle, large) = (sizes[0], sizes[1], sizes[sizes.len() - 1]);
    let spans = [(small, 1), (middle, 1), (large, 1), (small, 2)];
    let list = spans.map(|(n_layers, n_tokens)| format!("{n_layers}:{n_tokens}")).join(",");
    let output = generate(dir.path(), &["--ids", "--order", "last", "--sizes", &list]);
    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    let (expected, shared) = expected(dir.path(), &spans);
    assert_eq!(text(&output.stdout), expected);
    assert!(shared.iter().any(|(n_shared, _)| *n_shared > 0), "{shared:?}");
    for (n_shared, n_layers) in shared {
        let note = format!("keys and values of {n_shared} of {n_layers} layers kept at");
        assert!(notes.contains(&note), "{note}: {notes}");
    }
}

#[test]
fn sizes_that_cannot_write_are_refused_by_name() {
    let dir = folders();
    for (flags, why) in [
        (&["--sizes", "99:5"][..], "no size of this order has 99 layers; there are ["),
        (&["--sizes", "4"], "expected LAYERS:TOKENS"),
        (&["--sizes", "4:0"], "tokens: expected a whole number of at least 1"),
        (&["--sizes", "4:5,"], "expected LAYERS:TOKENS"),
        (&[], "--sizes"),
        (&["--sizes", "4:5", "--model", "m"], "cannot be used with"),
        (&["--sizes", "4:5", "--tokens", "3"], "cannot be used with"),
        (&["--sizes", "4:5", "--draft", "m"], "cannot be used with"),
        (&["--sizes", "4:5", "--order", "auto"], "order.json"),
    ] {
        let output = generate(dir.path(), flags);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {message}");
        assert!(message.contains(why), "{flags:?}: {message}");
    }
}
