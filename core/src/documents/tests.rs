//! Tests of reading and rejecting files.

use super::*;

fn documents(file: &str, bytes: &[u8]) -> Result<Vec<Document>, DocumentError> {
    Ok(read(file, Format::of(file)?, bytes, TextUnit::File)?.documents)
}

/// The texts of a file with their locations.
fn texts(file: &str, bytes: &[u8]) -> Vec<(String, String)> {
    let text = |document: Document| match document.content {
        Content::Text(text) => (text, document.from.to_string()),
        _ => panic!("a text"),
    };
    documents(file, bytes).unwrap().into_iter().map(text).collect()
}

fn pair(text: &str, from: &str) -> (String, String) {
    (text.to_owned(), from.to_owned())
}

fn refusal(file: &str, text: &str) -> String {
    documents(file, text.as_bytes()).unwrap_err().to_string()
}

fn row(line: &str) -> TokenRow {
    match documents("a.jsonl", line.as_bytes()).unwrap().remove(0).content {
        Content::Tokens(row) => row,
        _ => panic!("ids"),
    }
}

#[test]
fn extensions_are_read_in_upper_and_lower_case() {
    for file in ["A.TXT", "a.text", "README.Md", "folder.d/a.txt"] {
        assert_eq!(Format::of(file), Ok(Format::Text), "{file}");
    }
    for file in ["UPPER.JSONL", "a.NdJson"] {
        assert_eq!(Format::of(file), Ok(Format::JsonLines), "{file}");
    }
    assert_eq!(Format::of("a.JSON"), Ok(Format::Json));
}

#[test]
fn other_extensions_are_refused_with_the_supported_ones() {
    for (file, found) in [("a.csv", "found .csv"), ("b.d/a", "found none")] {
        let error = Format::of(file).unwrap_err().to_string();
        assert!(error.starts_with(file) && error.ends_with(found), "{error}");
        assert!(error.contains(".jsonl or .ndjson"), "{error}");
    }
}

#[test]
fn a_text_file_is_one_document_or_one_for_each_line() {
    let text = "\u{feff}a\r\n\r\nb\n".as_bytes();
    assert_eq!(texts("a.txt", text), [pair("a\r\n\r\nb\n", "a.txt")]);
    let lines = read("a.txt", Format::Text, text, TextUnit::Line).unwrap().documents;
    let from = lines.iter().map(|line| line.from.to_string());
    assert_eq!(from.collect::<Vec<_>>(), ["a.txt, line 1", "a.txt, line 3"]);
    assert_eq!(lines[0].content, Content::Text("a".to_owned()));
}

#[test]
fn what_python_writes_in_json_lines_is_read() {
    let lines = "\u{feff}{\"text\": \"a\", \"score\": NaN, \"max\": -Infinity}\r\n\r\n  \n\
                 {\"meta\": {\"text\": \"\\ud800\"}, \"text\": \"b\\ndc\"}\n{\"text\": \"\"}";
    let expected = [pair("a", "a.jsonl, line 1"), pair("b\ndc", "a.jsonl, line 4")];
    assert_eq!(texts("a.jsonl", lines.as_bytes()), expected);
}

#[test]
fn a_json_file_is_a_list_or_one_document_after_another() {
    let expected = [pair("a", "a.json, line 2"), pair("b", "a.json, line 4")];
    assert_eq!(texts("a.json", b"[\n {\"text\": \"a\"},\n\n {\"text\": \"b\"}]\n"), expected);
    assert_eq!(texts("a.json", b"\n{\"text\":\n \"a\"}\n{\"text\": \"b\"}"), expected);
}

#[test]
fn unpaired_surrogates_are_replaced_and_counted() {
    let bytes = br#"{"text": "a\ud83d \ud83d\ude42"}"#;
    let found = read("a.jsonl", Format::JsonLines, bytes, TextUnit::File).unwrap();
    assert_eq!(found.documents[0].content, Content::Text("a\u{fffd} 🙂".to_owned()));
    assert_eq!(found.n_replaced, 1);
}

#[test]
fn what_is_not_json_is_refused_with_file_line_and_column_once() {
    let cases = [
        ("{\"text\": \"é\" 1}", "a.jsonl, line 2, column 14: ", "found '1'"),
        ("{\"text\": \"a", "a.jsonl, line 2, column 12: ", "found the end of the line"),
        ("{\"text\": \"a\"} {}", "a.jsonl, line 2, column 15: ", "found '{'"),
        ("[1]", "a.jsonl, line 2, column 1: ", "found a list"),
        ("{\"text\": 3}", "a.jsonl, line 2, column 10: ", "text is 3; expected a string"),
        ("{\"a\": 1, \"b\": null}", "a.jsonl, line 2, column 1: ", "found \"a\", \"b\": null"),
        ("{\"text\": \"\", \"text\": \"\"}", "a.jsonl, line 2, column 22: ", "occurs twice"),
        (
            "{\"input_ids\": [1], \"text\": \"a\"}",
            "a.jsonl, line 2, column 28: ",
            "remove one of them",
        ),
    ];
    for (line, location, reason) in cases {
        let error = refusal("a.jsonl", &format!("{{\"text\": \"a\"}}\n{line}\n{{}}"));
        assert!(error.starts_with(location) && error.contains(reason), "{error}");
        assert_eq!(error.matches("column").count(), 1, "{error}");
        assert_eq!(error.matches(", line").count(), 1, "{error}");
    }
    let list = refusal("a.json", "[{\"text\": \"a\"},\n]");
    assert!(list.starts_with("a.json, line 2, column 1: not JSON: expected a value"), "{list}");
}

#[test]
fn files_without_any_document_are_refused() {
    for (file, text) in [("a.txt", ""), ("a.jsonl", "\u{feff} \r\n"), ("a.json", "\n")] {
        assert_eq!(refusal(file, text), format!("{file}: the file is empty"));
    }
    for (file, text) in [
        ("a.json", "[]"),
        ("a.jsonl", "{\"text\": \"\"}\n{\"text\": \" \"}"),
        ("a.jsonl", "{\"input_ids\": []}"),
        ("a.jsonl", "{\"input_ids\": [5], \"attention_mask\": [0]}"),
    ] {
        assert!(refusal(file, text).ends_with("all documents are empty"), "{text}");
    }
}

#[test]
fn left_padding_is_moved_to_the_right() {
    let left =
        r#"{"input_ids": [0, 5, 6], "attention_mask": [0, 1, 1], "labels": [-100, -100, 6]}"#;
    let expected =
        TokenRow { ids: vec![5, 6, 0], n_tokens: 2, is_label: Some(vec![false, true, false]) };
    assert_eq!(row(left), expected);
    let right = r#"{"attention_mask": [1, true, 0], "input_ids": [5, 6, 0], "labels": [5, 6, 9]}"#;
    assert_eq!(row(right), TokenRow { is_label: None, ..expected });
}

#[test]
fn ids_masks_and_labels_that_do_not_fit_are_named() {
    let cases = [
        ("\"input_ids\": 5", "input_ids is 5; expected a list"),
        ("\"input_ids\": [5, -1]", "input_ids[1] is -1; expected a token id"),
        ("\"input_ids\": [5.0]", "input_ids[0] is 5.0; expected a token id"),
        ("\"input_ids\": [4294967296]", "input_ids[0] is 4294967296"),
        ("\"input_ids\": [[5]]", "input_ids[0] is a list"),
        ("\"input_ids\": [5, NaN]", "input_ids[1] is NaN"),
        ("\"input_ids\": [5], \"attention_mask\": [1, 1]", "attention_mask has 2 values"),
        ("\"input_ids\": [5], \"attention_mask\": [2]", "attention_mask[0] is 2; expected 0 or 1"),
        ("\"input_ids\": [5, 6, 7], \"attention_mask\": [1, 0, 1]", "0 at index 1"),
        ("\"input_ids\": [5, 6], \"labels\": [6]", "labels has 1 values"),
        ("\"input_ids\": [5, 6], \"labels\": [6, -100]", "labels[0] is 6; expected 5"),
        ("\"input_ids\": [5, 6], \"labels\": [5, -1]", "labels[1] is -1; expected 6"),
        (
            "\"input_ids\": [5, 6], \"completion_mask\": [0, 1]",
            "\"completion_mask\" is not supported",
        ),
    ];
    for (inside, reason) in cases {
        let error = refusal("a.jsonl", &format!("{{{inside}}}"));
        assert!(error.starts_with("a.jsonl, line 1, column "), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_null_counts_as_a_missing_key() {
    let line = r#"{"text": null, "input_ids": [5], "attention_mask": null, "labels": null}"#;
    assert_eq!(row(line), TokenRow { ids: vec![5], n_tokens: 1, is_label: None });
}
