//! Conversations as text: equal to transformers, by templates that are written as published ones are.

use boomerang_chat::{ChatError, ChatTemplate, Options};
use boomerang_core::documents::records;
use boomerang_native_trainer::files::chat::value as template_value;
use boomerang_tests::{fixtures, read, read_json};
use minijinja::Value as Jinja;

#[test]
fn templates_render_as_transformers_renders_them() {
    let folder = fixtures().join("chat");
    let path = folder.join("expected.json");
    let expected = read_json(&path);
    let (_, json) = records("expected.json", &read(&path)).unwrap().remove(0);
    let given = template_value(&json);
    let special: Vec<(String, String)> = expected["special"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, token)| (name.clone(), token.as_str().unwrap().to_owned()))
        .collect();
    let mut templates = std::collections::BTreeSet::new();
    for case in expected["cases"].as_array().unwrap() {
        let [file, name] = ["template", "conversation"].map(|key| case[key].as_str().unwrap());
        templates.insert(file);
        let source = String::from_utf8(read(folder.join(file))).unwrap();
        let template = ChatTemplate::new(&source, special.clone()).unwrap();
        let messages: Vec<Jinja> = given
            .get_attr("conversations")
            .unwrap()
            .get_attr(name)
            .unwrap()
            .try_iter()
            .unwrap()
            .collect();
        let options = Options {
            add_generation_prompt: case["prompt"].as_bool().unwrap(),
            tools: (name == "tools").then(|| given.get_attr("tools").unwrap()),
        };
        let found = template.render(&messages, &options);
        let what = format!("{file}, {name}, {options:?}");
        match (found, case["error"].as_str()) {
            (Ok(found), None) => {
                assert_eq!(found.text, case["text"].as_str().unwrap(), "{what}");
                let n_chars = |end: usize| found.text[..end].chars().count();
                let spans: Vec<[usize; 2]> = found
                    .marked()
                    .iter()
                    .map(|span| [n_chars(span.start), n_chars(span.end)])
                    .collect();
                assert_eq!(serde_json::json!(spans), case["spans"], "{what}");
            }
            (Err(ChatError::Refused(found)), Some(expected)) => {
                assert_eq!(found, expected, "{what}");
            }
            // The words of Python about a type.
            (Err(ChatError::Failed(_)), Some(_)) => {}
            (found, expected) => panic!("{what}: {found:?} instead of {expected:?}"),
        }
    }
    assert_eq!(templates.len(), 6);
}
