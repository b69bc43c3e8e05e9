//! Reads the sheets, sorts out those that do not belong together, and writes what the class answered.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::bundle::{MANIFEST, Manifest, Recordings};
use boomerang_lessons::class::{Class, Collected, KnownLesson};
use boomerang_lessons::{Facts, MOST_SHEET_BYTES, Sheet, SheetError, built_in, parse};

use super::tables::{answers_table, free_answers, questions_table, report, score_sentence};
use crate::args::OverwriteArgs;
use crate::exit::{Exit, OrExit as _};
use crate::files::{self, OutputFolder};
use crate::progress::{note, print};

/// Tabulate a class: right answers before and after, with intervals, and the free answers
#[derive(Clone, Debug, clap::Args)]
pub struct CollectArgs {
    /// Answer sheets that the explorer saved, or folders of them (*.json)
    #[arg(required = true, value_name = "SHEET")]
    pub sheets: Vec<PathBuf>,
    /// Lesson file that the sheets answer, unless it is built in; repeatable
    #[arg(long, value_name = "FILE")]
    pub lesson: Vec<PathBuf>,
    /// Bundle of the family that the class used: sheets with other facts are refused
    #[arg(long, value_name = "BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// Output folder: report.md, questions.csv and answers.csv
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
}

pub(super) fn run(args: &CollectArgs) -> anyhow::Result<()> {
    let lessons = known_lessons(&args.lesson)?;
    let facts = args.bundle.as_deref().map(facts_of).transpose()?;
    let mut refused = Vec::new();
    let mut sheets = Vec::new();
    for path in paths(&args.sheets)? {
        let name = path.display().to_string();
        match read_sheet(&path) {
            Ok(sheet) => sheets.push((name, sheet)),
            Err(reason) => refused.push((name, reason)),
        }
    }
    let mut collected = Collected::new(sheets, &lessons, facts.as_ref());
    refused.append(&mut collected.refused);
    for (file, reason) in &refused {
        note(&format!("not used: {file}: {reason}"));
    }
    for (file, what) in &collected.noted {
        note(&format!("note: {file}: {what}"));
    }
    let Some(class) = &collected.class else {
        return Err(Exit::Unusable.error(format!(
            "none of {} files is an answer sheet that can be used; the reasons are above",
            refused.len()
        )));
    };
    let out = args.out.as_ref().map(|out| OutputFolder::create(out, args.overwrite.force));
    let out = out.transpose()?;
    show(class);
    if let Some(out) = out {
        let problems: Vec<String> = refused
            .iter()
            .map(|(file, reason)| format!("not used: {file}: {reason}"))
            .chain(collected.noted.iter().map(|(file, what)| format!("{file}: {what}")))
            .collect();
        out.write("questions.csv", questions_table(class).to_csv().as_bytes())?;
        out.write("answers.csv", answers_table(class).to_csv().as_bytes())?;
        out.write("report.md", report(class, &problems).as_bytes())?;
        print(&format!("written to {}", out.commit()?.join("report.md").display()));
    }
    Ok(())
}

/// The table, the score, and the free answers.
fn show(class: &Class) {
    print(&format!("{}: {} sheets", class.lesson.title, class.sheets.len()));
    print(questions_table(class).to_text().trim_end());
    if let Some(sentence) = score_sentence(class) {
        print(&sentence);
    }
    for (question, answers) in free_answers(class) {
        print(&question);
        for (name, answer) in answers {
            // Quoted: an answer may contain anything, also what a terminal would execute.
            print(&format!("  {name:?}: {answer:?}"));
        }
    }
}

/// The built-in lessons in all languages, and those of the given files.
fn known_lessons(files: &[PathBuf]) -> anyhow::Result<Vec<KnownLesson>> {
    let known = |(language, name, lesson): (&str, &str, _)| KnownLesson {
        name: name.to_owned(),
        language: language.to_owned(),
        lesson,
    };
    let mut lessons: Vec<KnownLesson> = built_in::all()?.into_iter().map(known).collect();
    for path in files {
        let text = files::read_text(path)?;
        let lesson =
            parse(&text).with_context(|| path.display().to_string()).or_exit(Exit::Unusable)?;
        // Its own lesson, whatever the names of the built-in ones.
        let name = path.display().to_string();
        lessons.push(KnownLesson { name, language: String::new(), lesson });
    }
    Ok(lessons)
}

/// What is known of the family in a bundle.
fn facts_of(bundle: &Path) -> anyhow::Result<Facts> {
    let path = bundle.join(MANIFEST);
    let manifest = Manifest::from_json(&files::read_text(&path)?)
        .with_context(|| path.display().to_string())
        .or_exit(Exit::Unusable)?;
    let recordings = manifest.recordings.as_ref().map(|file| {
        let bytes = files::read(&bundle.join(&file.path))?;
        Recordings::from_json(&bytes, &manifest).or_exit(Exit::Unusable)
    });
    let recordings = recordings.transpose()?;
    Ok(Facts::of_bundle(&manifest, recordings.as_ref()))
}

/// The given files, and the `.json` files in the given folders by name; each once.
fn paths(given: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = Vec::new();
    for path in given {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let unreadable = || format!("the folder {} cannot be read", path.display());
        let mut inside: Vec<PathBuf> = fs::read_dir(path)
            .with_context(unreadable)
            .or_exit(Exit::Unusable)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect();
        if inside.is_empty() {
            let folder = path.display();
            let message = format!("the folder {folder} has no .json files; expected answer sheets");
            return Err(Exit::Unusable.error(message));
        }
        inside.sort();
        all.append(&mut inside);
    }
    let mut seen = Vec::new();
    all.retain(|path| {
        let is_new = !seen.contains(path);
        seen.push(path.clone());
        is_new
    });
    Ok(all)
}

/// A sheet, or why the file is none.
fn read_sheet(path: &Path) -> Result<Sheet, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a file".to_owned());
    }
    // Before it is read into memory.
    if metadata.len() > MOST_SHEET_BYTES {
        return Err(SheetError::TooLarge { found: metadata.len() }.to_string());
    }
    let bytes = files::read(path).map_err(|error| error.to_string())?;
    Sheet::from_json(&bytes).map_err(|error| error.to_string())
}
