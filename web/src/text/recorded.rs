//! The recorded texts of members, shown before any weights are loaded.

use boomerang_core::bundle::{RecordedMember, RecordedText, Recordings};

use crate::text::difference::{Stretch, differing, divergence, stretches};

/// A recorded text of one member, compared with its teacher's.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub prompt: String,
    /// Neighbouring tokens that are marked alike are merged.
    pub stretches: Vec<Stretch>,
    /// Leading tokens that are the teacher's; `None` when all are.
    pub n_same: Option<usize>,
    pub n_layers: usize,
    pub n_tokens: usize,
    pub is_ended: bool,
}

/// The recorded text of the member at this stop of the dial, if there is one for this prompt.
pub fn shown(recordings: &Recordings, prompt: &str, stop: usize) -> Option<Shown> {
    let text = recordings.texts.iter().find(|text| text.prompt == prompt)?;
    of_member(text, text.members.get(stop)?)
}

fn of_member(text: &RecordedText, member: &RecordedMember) -> Option<Shown> {
    let teacher = text.members.last()?;
    let differs = differing(&member.tokens, &teacher.tokens);
    let stretches = stretches(member.pieces.iter().map(String::as_str), &differs);
    let n_same = divergence(&member.tokens, &teacher.tokens);
    Some(Shown {
        prompt: text.prompt.clone(),
        stretches,
        n_same,
        n_layers: member.n_layers,
        n_tokens: member.tokens.len(),
        is_ended: member.is_ended,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(tokens: &[u32]) -> RecordedMember {
        RecordedMember {
            n_layers: tokens.len(),
            tokens: tokens.to_vec(),
            pieces: tokens.iter().map(u32::to_string).collect(),
            log_probs: vec![0.0; tokens.len()],
            is_ended: false,
        }
    }

    fn recordings() -> Recordings {
        let members = vec![member(&[1, 2, 9]), member(&[1, 2, 3])];
        let text = RecordedText { prompt: "a".to_owned(), prompt_tokens: vec![0], members };
        Recordings { texts: vec![text] }
    }

    #[test]
    fn differences_from_the_teacher_are_marked() {
        let shown = shown(&recordings(), "a", 0).unwrap();
        assert_eq!(shown.n_same, Some(2));
        let texts: Vec<(&str, bool)> =
            shown.stretches.iter().map(|it| (it.text.as_str(), it.differs)).collect();
        assert_eq!(texts, [("12", false), ("9", true)]);
    }

    #[test]
    fn the_teacher_does_not_differ_from_itself() {
        let shown = shown(&recordings(), "a", 1).unwrap();
        assert_eq!((shown.n_same, shown.stretches.len()), (None, 1));
    }

    #[test]
    fn other_prompts_are_not_recorded() {
        assert_eq!(shown(&recordings(), "b", 0), None);
        assert_eq!(shown(&recordings(), "a", 2), None);
    }
}
