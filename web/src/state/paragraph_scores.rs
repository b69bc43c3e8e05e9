//! How well members predict a held-out paragraph.

use boomerang_core::plan::Patch;
use boomerang_engine::messages::TextScore;

/// The scores of members on one text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParagraphScores {
    text: String,
    scores: Vec<(Patch, TextScore)>,
    /// Members whose request failed; it is not repeated automatically.
    failed: Vec<Patch>,
}

impl ParagraphScores {
    /// A text without scores.
    pub fn of(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    pub fn is_of(&self, text: &str) -> bool {
        self.text == text
    }

    /// The score of this member on `text`.
    pub fn score(&self, text: &str, patch: &Patch) -> Option<TextScore> {
        let found = self.scores.iter().find(|(of, _)| of == patch);
        found.filter(|_| self.is_of(text)).map(|(_, score)| *score)
    }

    /// Those of these members without a score on `text`, each once.
    pub fn missing(&self, text: &str, patches: &[Patch]) -> Vec<Patch> {
        let mut missing: Vec<Patch> = Vec::new();
        if text.trim().is_empty() {
            return missing;
        }
        for patch in patches {
            let has_failed = self.is_of(text) && self.failed.contains(patch);
            if self.score(text, patch).is_none() && !has_failed && !missing.contains(patch) {
                missing.push(patch.clone());
            }
        }
        missing
    }

    /// Adds the score of a member on `text`; scores on another text are discarded.
    pub fn add(&mut self, text: &str, patch: Patch, score: TextScore) {
        if !self.is_of(text) {
            *self = Self::of(text);
        }
        self.scores.push((patch, score));
    }

    /// Marks those of these members that have no score on `text` as failed.
    pub fn fail(&mut self, text: &str, patches: &[Patch]) {
        let missing = self.missing(text, patches);
        if !self.is_of(text) {
            *self = Self::of(text);
        }
        self.failed.extend(missing);
    }

    pub fn has_failure(&self) -> bool {
        !self.failed.is_empty()
    }
}

/// The effective number of equally likely tokens: `exp(nats)`, at least 1.
pub fn perplexity(score: TextScore) -> f64 {
    score.nats.exp()
}

/// The member on the dial compared with both ends; `None` until all scores are computed.
pub fn finding(
    current: Option<TextScore>,
    student: Option<TextScore>,
    teacher: Option<TextScore>,
) -> Option<String> {
    let (current, student, teacher) = (current?.nats, student?.nats, teacher?.nats);
    let against = |other: f64, name: &str| match current - other {
        by if by.abs() < 0.0005 => format!("the same as the {name}"),
        by if by > 0.0 => format!("{by:.3} more than the {name}"),
        by => format!("{:.3} less than the {name}", -by),
    };
    Some(format!(
        "This size has {current:.3} nats/token on this text: {}, {}.",
        against(student, "student"),
        against(teacher, "teacher")
    ))
}

#[cfg(test)]
mod tests {
    use boomerang_core::plan::LayerPlan;

    use super::*;

    fn patch(layers: &[usize]) -> Patch {
        Patch::of(layers, &LayerPlan::keep(&[0, 2, 4], 6).unwrap()).unwrap()
    }

    fn score(nats: f64) -> TextScore {
        TextScore { nats, n_tokens: 7 }
    }

    #[test]
    fn no_member_is_scored_twice_on_a_text() {
        let (student, teacher) = (patch(&[]), patch(&[0, 1, 2]));
        let members = [student.clone(), teacher.clone(), student.clone()];
        let mut scores = ParagraphScores::of("a b");
        assert_eq!(scores.missing("a b", &members), [student.clone(), teacher.clone()]);
        scores.add("a b", student.clone(), score(2.0));
        assert_eq!(scores.missing("a b", &members), std::slice::from_ref(&teacher));
        assert_eq!(scores.score("a b", &student), Some(score(2.0)));

        // Another text needs new scores.
        assert_eq!(scores.score("a c", &student), None);
        assert_eq!(scores.missing("a c", &members).len(), 2);
        scores.add("a c", student.clone(), score(3.0));
        assert_eq!(scores.score("a b", &student), None);
    }

    #[test]
    fn failed_requests_are_not_repeated() {
        let members = [patch(&[]), patch(&[1])];
        let mut scores = ParagraphScores::of("a b");
        scores.add("a b", members[0].clone(), score(2.0));
        scores.fail("a b", &members);
        assert!(scores.missing("a b", &members).is_empty());
        assert!(scores.has_failure());
        assert_eq!(scores.missing("a c", &members).len(), 2);
    }

    #[test]
    fn a_blank_text_is_not_scored() {
        assert!(ParagraphScores::default().missing(" \n", &[patch(&[])]).is_empty());
    }

    #[test]
    fn the_finding_compares_with_both_ends() {
        let words = finding(Some(score(2.25)), Some(score(3.0)), Some(score(2.25)));
        assert_eq!(
            words.unwrap(),
            "This size has 2.250 nats/token on this text: 0.750 less than the student, the same as the \
             teacher."
        );
        assert_eq!(finding(Some(score(1.0)), None, Some(score(1.0))), None);
    }
}
