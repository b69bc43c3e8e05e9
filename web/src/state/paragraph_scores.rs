//! How well members expect a paragraph that none of them has seen.

use boomerang_core::plan::Patch;
use boomerang_engine::messages::TextScore;

/// What members made of one text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    text: String,
    scores: Vec<(Patch, TextScore)>,
    /// Members that were asked and did not answer; they are not asked again by themselves.
    given_up: Vec<Patch>,
}

impl Readings {
    /// A text that nobody has read yet.
    pub fn of(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    pub fn is_of(&self, text: &str) -> bool {
        self.text == text
    }

    /// What this member made of `text`.
    pub fn score(&self, text: &str, patch: &Patch) -> Option<TextScore> {
        let found = self.scores.iter().find(|(of, _)| of == patch);
        found.filter(|_| self.is_of(text)).map(|(_, score)| *score)
    }

    /// Of these members, those that have still to read `text`, each once.
    pub fn missing(&self, text: &str, patches: &[Patch]) -> Vec<Patch> {
        let mut missing: Vec<Patch> = Vec::new();
        if text.trim().is_empty() {
            return missing;
        }
        for patch in patches {
            let is_given_up = self.is_of(text) && self.given_up.contains(patch);
            if self.score(text, patch).is_none() && !is_given_up && !missing.contains(patch) {
                missing.push(patch.clone());
            }
        }
        missing
    }

    /// A member has read `text`; what was found of another text is forgotten.
    pub fn keep(&mut self, text: &str, patch: Patch, score: TextScore) {
        if !self.is_of(text) {
            *self = Self::of(text);
        }
        self.scores.push((patch, score));
    }

    /// These members were to read `text`, and those that have not will not.
    pub fn give_up(&mut self, text: &str, patches: &[Patch]) {
        let missing = self.missing(text, patches);
        if !self.is_of(text) {
            *self = Self::of(text);
        }
        self.given_up.extend(missing);
    }

    pub fn has_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }
}

/// Among how many equally likely tokens a member hesitates, on average: `exp(nats)`, at least 1.
pub fn perplexity(score: TextScore) -> f64 {
    score.nats.exp()
}

/// The member on the dial beside both ends; `None` until all have read.
pub fn finding(
    here: Option<TextScore>,
    student: Option<TextScore>,
    teacher: Option<TextScore>,
) -> Option<String> {
    let (here, student, teacher) = (here?.nats, student?.nats, teacher?.nats);
    let against = |other: f64, name: &str| match here - other {
        by if by.abs() < 0.0005 => format!("as much as the {name}"),
        by if by > 0.0 => format!("{by:.3} more than the {name}"),
        by => format!("{:.3} less than the {name}", -by),
    };
    Some(format!(
        "A token of this text surprises this size by {here:.3} nats: {}, {}.",
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
    fn nobody_reads_the_same_text_twice() {
        let (student, teacher) = (patch(&[]), patch(&[0, 1, 2]));
        let everyone = [student.clone(), teacher.clone(), student.clone()];
        let mut readings = Readings::of("a b");
        assert_eq!(readings.missing("a b", &everyone), [student.clone(), teacher.clone()]);
        readings.keep("a b", student.clone(), score(2.0));
        assert_eq!(readings.missing("a b", &everyone), std::slice::from_ref(&teacher));
        assert_eq!(readings.score("a b", &student), Some(score(2.0)));

        // Another text is read by all.
        assert_eq!(readings.score("a c", &student), None);
        assert_eq!(readings.missing("a c", &everyone).len(), 2);
        readings.keep("a c", student.clone(), score(3.0));
        assert_eq!(readings.score("a b", &student), None);
    }

    #[test]
    fn who_did_not_answer_is_not_asked_again() {
        let everyone = [patch(&[]), patch(&[1])];
        let mut readings = Readings::of("a b");
        readings.keep("a b", everyone[0].clone(), score(2.0));
        readings.give_up("a b", &everyone);
        assert!(readings.missing("a b", &everyone).is_empty());
        assert!(readings.has_given_up());
        assert_eq!(readings.missing("a c", &everyone).len(), 2);
    }

    #[test]
    fn there_is_nothing_to_read_in_a_blank_text() {
        assert!(Readings::default().missing(" \n", &[patch(&[])]).is_empty());
    }

    #[test]
    fn the_finding_says_how_far_both_ends_are() {
        let words = finding(Some(score(2.25)), Some(score(3.0)), Some(score(2.25)));
        assert_eq!(
            words.unwrap(),
            "A token of this text surprises this size by 2.250 nats: 0.750 less than the student, \
             as much as the teacher."
        );
        assert_eq!(finding(Some(score(1.0)), None, Some(score(1.0))), None);
    }
}
