//! Whether this machine computes what was recorded.

use boomerang_core::bundle::Recordings;
use boomerang_engine::messages::CheckedMember;
use boomerang_engine::notice::Notice;

use crate::text::format;
use crate::text::tokens::visible;

/// Log-probabilities that differ by more are not those of the same numbers, rounded differently.
const TOLERANCE: f64 = 0.01;

/// What was found, in one sentence; `None` before anything was.
pub fn finding(checks: &[CheckedMember]) -> Option<String> {
    let largest = checks.iter().map(|check| check.max_difference).reduce(f64::max)?;
    let all = format::count(n_sizes(checks.iter()), "size");
    let differing = checks.iter().filter(|check| check.first_difference.is_some());
    let write = match n_sizes(differing) {
        0 => format!("All {all} write what they wrote when the bundle was made"),
        1 => format!("1 of {all} writes something else than was recorded"),
        n => format!("{n} of {all} write something else than was recorded"),
    };
    Some(format!("{write}; log-probabilities differ by at most {} nats.", small(largest)))
}

/// What to tell the reader of a machine that computes something else.
pub fn disagreement(
    checks: &[CheckedMember],
    recordings: Option<&Recordings>,
    is_gpu: bool,
) -> Option<Notice> {
    let largest = checks.iter().map(|check| check.max_difference).reduce(f64::max)?;
    let first = checks.iter().find(|check| check.first_difference.is_some());
    let why = match first {
        Some(check) => format!(
            "{}; log-probabilities differ by up to {} nats",
            first_difference(check, recordings),
            small(largest)
        ),
        None if largest > TOLERANCE => format!(
            "log-probabilities differ by up to {} nats, which is more than rounding explains",
            small(largest)
        ),
        None => return None,
    };
    let next = if is_gpu {
        "Texts written here need not be those of other machines. The CPU may do better."
    } else {
        "Texts written here need not be those of other machines."
    };
    Some(Notice::new("This machine does not compute what was recorded.", why, next))
}

/// `with 7 layers, token 3 after "a b" is "·c", and "·d" was recorded`
fn first_difference(check: &CheckedMember, recordings: Option<&Recordings>) -> String {
    let place = check.first_difference.unwrap_or_default();
    let here = visible(check.instead.as_deref().unwrap_or_default());
    let mut words = format!(
        "with {}, token {} after \"{}\" is \"{here}\"",
        format::count(check.n_layers, "layer"),
        place + 1,
        check.prompt,
    );
    let text = recordings
        .and_then(|recordings| recordings.texts.iter().find(|text| text.prompt == check.prompt));
    let piece = text.and_then(|text| text.members.get(check.member)?.pieces.get(place));
    if let Some(piece) = piece {
        words.push_str(&format!(", and \"{}\" was recorded", visible(piece)));
    }
    words
}

/// A small number with the digits that say something: `0.000021`, `0.42`.
pub fn small(value: f64) -> String {
    if value < 1e-9 {
        return "0".to_owned();
    }
    // Two digits after the zeros.
    let n_decimals = (1.0 - value.log10().floor()).clamp(2.0, 10.0) as usize;
    format!("{value:.n_decimals$}")
}

fn n_sizes<'a>(checks: impl Iterator<Item = &'a CheckedMember>) -> usize {
    let mut members = Vec::new();
    for check in checks {
        if !members.contains(&check.member) {
            members.push(check.member);
        }
    }
    members.len()
}

#[cfg(test)]
mod tests {
    use boomerang_core::bundle::{RecordedMember, RecordedText};

    use super::*;

    fn check(member: usize, first_difference: Option<usize>, max_difference: f64) -> CheckedMember {
        CheckedMember {
            member,
            prompt: "a".to_owned(),
            n_layers: 4 + member,
            n_tokens: 2,
            first_difference,
            instead: first_difference.map(|_| " x".to_owned()),
            max_difference,
        }
    }

    fn recordings() -> Recordings {
        let member = RecordedMember {
            n_layers: 4,
            tokens: vec![1, 2],
            pieces: [" b", " c"].map(str::to_owned).into(),
            log_probs: vec![-0.5, -0.5],
            is_ended: false,
        };
        let members = vec![member.clone(), member];
        let prompt = "a".to_owned();
        Recordings { texts: vec![RecordedText { prompt, prompt_tokens: vec![0], members }] }
    }

    #[test]
    fn a_machine_that_agrees_gets_no_notice() {
        let checks = [check(0, None, 0.000_021), check(1, None, 0.0), check(0, None, 0.0)];
        assert_eq!(
            finding(&checks).unwrap(),
            "All 2 sizes write what they wrote when the bundle was made; log-probabilities differ \
             by at most 0.000021 nats."
        );
        assert_eq!(disagreement(&checks, None, true), None);
        assert_eq!(finding(&[]), None);
    }

    #[test]
    fn the_notice_names_the_first_token_that_differs() {
        let checks = [check(0, None, 0.5), check(1, Some(1), 0.25)];
        assert!(finding(&checks).unwrap().starts_with("1 of 2 sizes writes something else"));
        let notice = disagreement(&checks, Some(&recordings()), true).unwrap();
        assert_eq!(
            notice.why,
            "with 5 layers, token 2 after \"a\" is \"·x\", and \"·c\" was recorded; \
             log-probabilities differ by up to 0.50 nats"
        );
        assert!(notice.next.contains("CPU"));
    }

    #[test]
    fn numbers_that_are_far_apart_are_told_even_if_the_tokens_agree() {
        let notice = disagreement(&[check(0, None, 0.04)], None, false).unwrap();
        assert!(notice.why.contains("0.040 nats") && !notice.next.contains("CPU"), "{notice:?}");
    }

    #[test]
    fn small_numbers_keep_two_digits() {
        assert_eq!([0.0, 0.000_021_4, 0.42, 3.0].map(small), ["0", "0.000021", "0.42", "3.00"]);
    }
}
