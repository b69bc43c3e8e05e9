//! The spans of a text: which member wrote which part of it.

use std::ops::Range;

use boomerang_core::generate::Sampling;
use boomerang_core::plan::Patch;
use boomerang_engine::messages::Ending;
use serde::{Deserialize, Serialize};

use super::{Run, Task};
use crate::family::MemberSize;
use crate::text::format;

/// Consecutive tokens of a text that one member wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub patch: Patch,
    pub size: MemberSize,
    pub sampling: Sampling,
    pub n_tokens: usize,
}

/// A span as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSpan {
    pub n_layers: usize,
    /// The indices of its pieces.
    pub pieces: Range<usize>,
    /// Which of the text's members wrote it, in the order in which they first did.
    pub member: usize,
}

impl Run {
    /// Whether another member wrote a part of the text.
    pub fn has_spans(&self) -> bool {
        !self.earlier_spans.is_empty()
    }

    /// Tokens of the spans before the last one.
    pub fn n_earlier(&self) -> usize {
        self.earlier_spans.iter().map(|span| span.n_tokens).sum()
    }

    /// All spans, the last one as far as it is written.
    pub fn spans(&self) -> Vec<Span> {
        let last = Span {
            patch: self.patch.clone(),
            size: self.size,
            sampling: self.sampling,
            n_tokens: self.pieces.len() - self.n_earlier(),
        };
        self.earlier_spans.iter().cloned().chain([last]).collect()
    }

    pub fn shown_spans(&self) -> Vec<ShownSpan> {
        let mut start = 0;
        let mut members: Vec<Patch> = Vec::new();
        let shown = self.spans().into_iter().map(|Span { patch, size, n_tokens, .. }| {
            let pieces = start..start + n_tokens;
            start = pieces.end;
            let member = members.iter().position(|known| *known == patch);
            let member = member.unwrap_or_else(|| {
                members.push(patch);
                members.len() - 1
            });
            ShownSpan { n_layers: size.n_layers, pieces, member }
        });
        shown.collect()
    }

    /// The text of some of its pieces.
    pub fn text_of(&self, pieces: Range<usize>) -> String {
        self.pieces[pieces].iter().map(|piece| piece.text.as_str()).collect()
    }

    /// Whether another member can continue the text: it has one, and the context window is not full.
    pub fn can_continue(&self) -> bool {
        let is_full = |ending: Ending| ending == Ending::Window;
        self.report.is_some_and(|report| !is_full(report.ending)) && !self.pieces.is_empty()
    }

    /// The same text before the first token of the member that continues it.
    pub fn continued(&self, id: u32, task: &Task) -> Self {
        let mut earlier_spans = self.spans();
        // Of a member that was stopped before its first token.
        earlier_spans.retain(|span| span.n_tokens > 0);
        Self {
            id,
            patch: task.patch.clone(),
            size: task.size,
            sampling: task.sampling,
            is_resampled: false,
            earlier_spans,
            report: None,
            ..self.clone()
        }
    }

    /// The sizes that wrote the text, in turn: `16 → 24 layers`.
    pub fn sizes_in_words(&self) -> String {
        let spans = self.spans();
        let (last, before) = spans.split_last().expect("there is always a last span");
        let before = before.iter().map(|span| format!("{} → ", span.size.n_layers));
        before.collect::<String>() + &format::count(last.size.n_layers, "layer")
    }
}

impl Span {
    /// `16 layers (12 tokens)`
    pub fn in_words(&self) -> String {
        let layers = format::count(self.size.n_layers, "layer");
        format!("{layers} ({})", format::count(self.n_tokens, "token"))
    }
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::Precision;
    use boomerang_engine::messages::{Prompt, RunReport};

    use super::*;
    use crate::family::FamilyCard;
    use crate::state::run::Piece;
    use boomerang_client::testing::{card, family};

    fn task(card: &FamilyCard, stop: usize) -> Task {
        let patch = card.path()[stop].clone();
        let size = card.size(&patch);
        let prompt = Prompt::Text("a".to_owned());
        Task { patch, size, prompt, n_tokens: 9, sampling: Sampling::Greedy }
    }

    fn write(run: &mut Run, texts: &[&str], ending: Ending) {
        let pieces = texts.iter().map(|&text| Piece { token: 1, text: text.to_owned() });
        run.pieces.extend(pieces);
        run.report = Some(RunReport {
            n_tokens: texts.len(),
            n_reused: 0,
            first_millis: 1.0,
            rest_millis: 1.0,
            ending,
            kept: None,
        });
    }

    /// Written by the smallest size, the next one, and the smallest again.
    fn run(card: &FamilyCard) -> Run {
        let Task { patch, size, prompt, sampling, .. } = task(card, 0);
        let mut run = Run::new(1, patch, size, prompt, sampling);
        write(&mut run, &[" b", " c"], Ending::Length);
        let mut run = run.continued(2, &task(card, 1));
        write(&mut run, &[" d"], Ending::Length);
        let mut run = run.continued(3, &task(card, 0));
        write(&mut run, &[" e", " f"], Ending::EndOfText);
        run
    }

    #[test]
    fn every_token_belongs_to_the_member_that_wrote_it() {
        let card = card(&family(true), Precision::F32);
        let run = run(&card);
        let shown = run.shown_spans();
        let summary: Vec<_> =
            shown.iter().map(|it| (it.n_layers, it.pieces.clone(), it.member)).collect();
        assert_eq!(summary, [(4, 0..2, 0), (5, 2..3, 1), (4, 3..5, 0)]);
        assert_eq!(run.text_of(2..3), " d");
        assert_eq!(run.sizes_in_words(), "4 → 5 → 4 layers");
        assert_eq!(run.spans()[1].in_words(), "5 layers (1 token)");
    }

    #[test]
    fn a_member_that_wrote_nothing_has_no_span() {
        let card = card(&family(true), Precision::F32);
        let mut run = run(&card).continued(4, &task(&card, 1));
        write(&mut run, &[], Ending::Stopped);
        let run = run.continued(5, &task(&card, 2));
        assert_eq!(run.spans().iter().map(|it| it.n_tokens).collect::<Vec<_>>(), [2, 1, 2, 0]);
    }

    #[test]
    fn a_text_that_fills_the_window_cannot_be_continued() {
        let card = card(&family(true), Precision::F32);
        let mut run = run(&card);
        assert!(run.can_continue());
        write(&mut run, &[" g"], Ending::Window);
        assert!(!run.can_continue());
        let Task { patch, size, prompt, sampling, .. } = task(&card, 0);
        assert!(!Run::new(1, patch, size, prompt, sampling).can_continue());
    }

    #[test]
    fn a_text_of_several_members_is_not_resampled() {
        let card = card(&family(true), Precision::F32);
        let sampling = Sampling::Random { temperature: 1.0, seed: 1 };
        let other = Task { sampling, ..task(&card, 0) };
        let run = run(&card);
        assert!(!run.differs_only_in_sampling(&other));
        assert!(Run { earlier_spans: Vec::new(), ..run }.differs_only_in_sampling(&other));
    }
}
