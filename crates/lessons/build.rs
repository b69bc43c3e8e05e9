//! Lists the texts of the lessons: English ones in `web/lessons`, others in a folder for each language.
//!
//! A folder is a language if it has a `language.txt` with the language's own name.

#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let folder = PathBuf::from("../../web/lessons");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut languages = vec![("en".to_owned(), "English".to_owned(), folder.clone())];
    let mut folders: Vec<PathBuf> = entries(&folder).filter(|path| path.is_dir()).collect();
    folders.sort();
    for folder in folders {
        println!("cargo::rerun-if-changed={}", folder.display());
        if let Ok(name) = fs::read_to_string(folder.join("language.txt")) {
            languages.push((name_of(&folder), name.trim().to_owned(), folder));
        }
    }
    let mut names = String::from("pub const LANGUAGES: &[(&str, &str)] = &[");
    let mut texts = String::from("static TEXTS: &[(&str, &str, &str)] = &[");
    for (code, name, folder) in languages {
        // Writing to a string cannot fail.
        let _ = write!(names, "({code:?}, {name:?}), ");
        let mut files: Vec<PathBuf> =
            entries(&folder).filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
        files.sort();
        for file in files {
            println!("cargo::rerun-if-changed={}", file.display());
            let lesson = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&file)
                .unwrap_or_else(|error| panic!("{} cannot be read: {error}", file.display()));
            // The text itself: other clones share the target folder, and this one may be gone by then.
            let _ = write!(texts, "({code:?}, {lesson:?}, {text:?}), ");
        }
    }
    let source = format!(
        "/// Codes of the languages and their own names, English first.\n{names}];\n\
         /// Language, name and text of each lesson.\n{texts}];\n"
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("texts.rs");
    if let Err(error) = fs::write(&out, source) {
        panic!("{} cannot be written: {error}", out.display());
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
