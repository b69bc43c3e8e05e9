//! A text with everything it takes to write it again, as a file and as a note.

use boomerang_core::generate::Sampling;
use boomerang_engine::messages::Ending;
use serde_json::{Value, json};

use crate::browser::backend::BackendChoice;
use crate::family::FamilyCard;
use crate::state::run::Run;
use crate::text::format;

/// Where a text was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances {
    pub choice: Option<BackendChoice>,
    /// As the browser says of itself.
    pub browser: String,
    /// A link that writes the text again.
    pub link: String,
}

/// The record of a run, for a machine.
pub fn json(family: &FamilyCard, run: &Run, place: &Circumstances) -> String {
    let report = run.report.map(|report| {
        json!({
            "n_tokens": report.n_tokens,
            "drawn_without_the_model": report.n_reused,
            "first_token_ms": report.first_millis,
            "other_tokens_ms": report.rest_millis,
            "tokens_per_second": report.tokens_per_second(),
            "ending": ending(report.ending),
        })
    });
    let backend = place
        .choice
        .as_ref()
        .map(|choice| json!({ "name": choice.backend.name(), "reason": choice.reason }));
    let record = json!({
        "format": "boomerang-run",
        "version": 1,
        "build": env!("CARGO_PKG_VERSION"),
        "model": {
            "name": family.manifest().name,
            "fingerprint": family.fingerprint(),
            "layers": run.size.n_layers,
            "parameters": run.size.n_params,
            "stack": family.stack(&run.patch),
        },
        "prompt": run.prompt,
        "prompt_tokens": run.prompt_tokens,
        "sampling": sampling(run.sampling),
        "tokens": run.tokens(),
        "text": run.text(),
        "report": report,
        "backend": backend,
        "browser": place.browser,
        "link": place.link,
    });
    format!("{record:#}\n")
}

/// The record of a run, for people: Markdown.
pub fn markdown(family: &FamilyCard, run: &Run, place: &Circumstances) -> String {
    let size = format!(
        "{} of {} ({}), {} parameters",
        format::count(run.size.n_layers, "layer"),
        family.manifest().name,
        family.fingerprint(),
        format::params(run.size.n_params),
    );
    let speed = run
        .report
        .and_then(|report| report.tokens_per_second())
        .map_or_else(String::new, |speed| format!(", {} tokens a second", format::speed(speed)));
    let device = place
        .choice
        .as_ref()
        .map_or_else(String::new, |choice| format!("; on {}{speed}", choice.backend.name()));
    let quoted = format!("{}{}", run.prompt, run.text()).replace('\n', "\n> ");
    format!(
        "> {quoted}\n\nWritten by {size}{device}; {}. [The same again]({}).\n",
        sampling_in_words(run.sampling),
        place.link,
    )
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Length => "length",
        Ending::Window => "window",
        Ending::EndOfText => "end of text",
        Ending::Stopped => "stopped",
    }
}

fn sampling(sampling: Sampling) -> Value {
    match sampling {
        Sampling::Greedy => json!("greedy"),
        Sampling::Random { temperature, seed } => {
            json!({ "temperature": temperature, "seed": seed })
        }
    }
}

fn sampling_in_words(sampling: Sampling) -> String {
    match sampling {
        Sampling::Greedy => "the likeliest token each time".to_owned(),
        Sampling::Random { temperature, seed } => {
            format!("drawn at temperature {temperature} with seed {seed}")
        }
    }
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::Precision;

    use super::*;
    use crate::family::tests::{card, family};
    use crate::state::run::Piece;

    fn run(card: &FamilyCard) -> Run {
        let patch = card.path()[1].clone();
        let size = card.size(&patch);
        let sampling = Sampling::Random { temperature: 0.5, seed: 3 };
        let mut run = Run::new(1, patch, size, "a\n<b>".to_owned(), sampling);
        run.pieces.push(Piece { token: 7, text: " c".to_owned() });
        run
    }

    fn place() -> Circumstances {
        let (browser, link) = ("x".to_owned(), "http://host/?k=1".to_owned());
        Circumstances { choice: None, browser, link }
    }

    #[test]
    fn a_record_tells_all_that_the_text_came_from() {
        let card = card(&family(true), Precision::F32);
        let record: Value = serde_json::from_str(&json(&card, &run(&card), &place())).unwrap();
        assert_eq!(record["tokens"], json!([7]));
        assert_eq!(record["sampling"]["seed"], 3);
        assert_eq!(record["model"]["fingerprint"], card.fingerprint());
        assert_eq!(record["model"]["layers"], 5);
    }

    #[test]
    fn every_line_of_the_text_is_quoted() {
        let card = card(&family(true), Precision::F32);
        let note = markdown(&card, &run(&card), &place());
        assert!(note.starts_with("> a\n> <b> c\n\nWritten by 5 layers"), "{note}");
        assert!(note.contains("seed 3") && note.contains("(http://host/?k=1)"), "{note}");
    }
}
