//! The words that users read are those of the field.

use boomerang_native_trainer::Cli;
use boomerang_tests::root;
use clap::CommandFactory as _;

use super::text;

/// Words of our own that the field has others for, each as a whole word or phrase.
const NOT_THE_FIELDS: [&str; 22] = [
    "anew",
    "beginning of a text",
    "by its own account",
    "drawn",
    "goes on",
    "go on with",
    "has come",
    "has room",
    "how alike",
    "is no number",
    "let go of",
    "likeliest",
    "over again",
    "side by side with",
    "stands for",
    "tell",
    "tells",
    "told",
    "whoever",
    "wishes",
    "wish",
    "nats a token",
];

fn found<'a>(text: &str, words: &[&'a str]) -> Vec<&'a str> {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|char| if char.is_alphanumeric() { char } else { ' ' })
        .collect();
    let plain = format!(" {} ", plain.split_whitespace().collect::<Vec<_>>().join(" "));
    words.iter().copied().filter(|word| plain.contains(&format!(" {word} "))).collect()
}

#[test]
fn a_word_is_found_as_a_whole_word() {
    assert_eq!(found("What was **told**, twice.", &["told"]), ["told"]);
    assert!(found("untold", &["told"]).is_empty());
    assert_eq!(found("written\nover again", &["over again"]), ["over again"]);
}

#[test]
fn help_texts_have_the_fields_words() {
    let mut command = Cli::command();
    command.build();
    let mut open = vec![command];
    let mut wrong = Vec::new();
    while let Some(mut command) = open.pop() {
        let help = command.render_long_help().to_string();
        let words = found(&help, &NOT_THE_FIELDS);
        if !words.is_empty() {
            wrong.push(format!("{}: {words:?}", command.get_name()));
        }
        open.extend(command.get_subcommands().cloned());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_command_ends_its_help_with_examples() {
    let mut command = Cli::command();
    command.build();
    for command in command.get_subcommands_mut() {
        let is_group = command.has_subcommands() || command.get_name() == "help";
        let help = command.render_long_help().to_string();
        assert!(is_group || help.contains("\nExamples:\n"), "{} has none", command.get_name());
    }
}

#[test]
fn readme_and_docs_have_the_fields_words() {
    let mut files = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        files.push(entry.unwrap().path());
    }
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "md")) {
        let words = found(&text(file), &NOT_THE_FIELDS);
        assert!(words.is_empty(), "{} has {words:?}", file.display());
    }
}

#[test]
fn the_page_has_the_fields_words() {
    // The English ones; other languages are in folders.
    let lessons = std::fs::read_dir(root().join("web/lessons")).unwrap();
    let lessons =
        lessons.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).map(text);
    let components = super::sources(&root().join("web/src")).into_iter().map(|file| {
        // What stands in quotes is what visitors read.
        let source = text(&file);
        let code: String = super::without_tests(&source)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        // Names of elements have no spaces.
        let texts = code.split('"').skip(1).step_by(2).filter(|text| text.contains(' '));
        texts.collect::<Vec<_>>().join("\n")
    });
    for read in lessons.chain(components) {
        let words = found(&read, &NOT_THE_FIELDS);
        assert!(words.is_empty(), "{words:?} in {read}");
    }
}
