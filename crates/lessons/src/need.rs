//! What a lesson needs to be true of the family: comparisons of numbers, some of them placeholders.

use std::fmt;

use crate::placeholders::in_text;
use crate::question::number;

/// `{student accuracy} < {teacher accuracy}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    left: String,
    relation: Relation,
    right: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Less,
    AtMost,
    Equal,
}

impl Relation {
    /// The longer sign before its beginning.
    const ALL: [Self; 3] = [Self::AtMost, Self::Less, Self::Equal];

    fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
        }
    }
}

impl Need {
    /// `None` unless it is a comparison of two sides, each a number or one placeholder.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut signs = Relation::ALL.into_iter();
        let ((left, right), relation) =
            signs.find_map(|it| Some((text.split_once(it.sign())?, it)))?;
        let side = |side: &str| {
            let side = side.trim();
            let is_placeholder = in_text(side).first().is_some_and(|it| it.len() + 2 == side.len());
            (is_placeholder || number(side).is_some()).then(|| side.to_owned())
        };
        Some(Self { left: side(left)?, relation, right: side(right)? })
    }

    /// Both sides, in which placeholders may be.
    pub(crate) fn sides(&self) -> [&str; 2] {
        [&self.left, &self.right]
    }

    /// Whether it is true of these two numbers, left and right; false unless both are numbers.
    pub(crate) fn holds(&self, left: &str, right: &str) -> bool {
        let (Some(left), Some(right)) = (number(left), number(right)) else { return false };
        match self.relation {
            Relation::Less => left < right,
            Relation::AtMost => left <= right,
            Relation::Equal => left == right,
        }
    }
}

/// In words: `student accuracy < teacher accuracy`.
impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |side: &str| side.trim_matches(['{', '}']).to_owned();
        let (left, right) = (plain(&self.left), plain(&self.right));
        write!(formatter, "{left} {} {right}", self.relation.sign())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_parsed_and_evaluated() {
        let need = Need::parse("{student layers} <= 7").unwrap();
        assert_eq!(need.to_string(), "student layers <= 7");
        assert!(need.holds("7", "7") && !need.holds("8", "7") && !need.holds("seven", "7"));
    }

    #[test]
    fn anything_else_is_not_a_comparison() {
        for text in ["", "{a}", "{a} > 3", "{a} {b} < 3", "a < b", "< 3"] {
            assert_eq!(Need::parse(text), None, "{text}");
        }
    }
}
