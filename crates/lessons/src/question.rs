//! A question, what an answer to it looks like, and whether an answer is right.

/// A question with its kind of answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub text: String,
    pub kind: Kind,
    /// `None` for a question that is not scored.
    pub answer: Option<Expected>,
}

/// What an answer looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// One of these.
    Choice(Vec<String>),
}

/// The right answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// A number, or one of the choices; may contain placeholders.
    pub value: String,
    /// Largest difference from the right number, at least 0.
    pub within: f64,
}

/// Distances that rounding alone can make.
const ROUNDING: f64 = 1e-9;

impl Question {
    /// Whether an answer is right; `None` if the question is not scored.
    pub fn is_right(&self, answer: &str) -> Option<bool> {
        let expected = self.answer.as_ref()?;
        Some(match &self.kind {
            Kind::Number => match (number(answer), number(&expected.value)) {
                (Some(found), Some(right)) => (found - right).abs() <= expected.within + ROUNDING,
                _ => false,
            },
            Kind::Choice(_) | Kind::Text => answer.trim() == expected.value,
        })
    }

    /// Whether this can be an answer at all: a number, or one of the choices.
    pub fn is_answer(&self, answer: &str) -> bool {
        match &self.kind {
            Kind::Text => true,
            Kind::Number => number(answer).is_some(),
            Kind::Choice(choices) => chosen(choices, answer).is_some(),
        }
    }

    /// An answer in the words of `other`, the same question in another language.
    pub fn translated(&self, answer: &str, other: &Self) -> String {
        let choice = match (&self.kind, &other.kind) {
            (Kind::Choice(own), Kind::Choice(others)) => {
                chosen(own, answer).and_then(|index| others.get(index))
            }
            _ => None,
        };
        choice.map_or_else(|| answer.trim().to_owned(), Clone::clone)
    }
}

/// The index of the choice that an answer is.
fn chosen(choices: &[String], answer: &str) -> Option<usize> {
    choices.iter().position(|choice| choice == answer.trim())
}

/// A finite number, with a point or a comma before its decimals.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.trim().replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: Kind, value: &str, within: f64) -> Question {
        let answer = Some(Expected { value: value.to_owned(), within });
        Question { text: "?".to_owned(), kind, answer }
    }

    #[test]
    fn a_number_within_the_tolerance_is_right() {
        let question = asked(Kind::Number, "9", 0.5);
        let right = ["9", " 9.5 ", "8,5"].map(|answer| question.is_right(answer));
        assert_eq!(right, [Some(true); 3]);
        let wrong = ["9.51", "nine", "", "NaN", "inf"].map(|answer| question.is_right(answer));
        assert_eq!(wrong, [Some(false); 5]);
    }

    #[test]
    fn a_choice_is_right_in_any_language() {
        let choices = |texts: [&str; 2]| Kind::Choice(texts.map(str::to_owned).to_vec());
        let english = asked(choices(["yes", "no"]), "no", 0.0);
        let german = asked(choices(["ja", "nein"]), "nein", 0.0);
        assert_eq!(german.is_right("nein"), Some(true));
        assert_eq!(german.translated("nein", &english), "no");
        assert!(!english.is_answer("nein"));
    }

    #[test]
    fn a_question_without_an_answer_is_not_scored() {
        let question = Question { answer: None, ..asked(Kind::Number, "1", 0.0) };
        assert_eq!(question.is_right("1"), None);
    }
}
