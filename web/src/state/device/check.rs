//! Whether this machine computes what was recorded.

use boomerang_core::bundle::Recordings;
use boomerang_engine::messages::CheckedMember;
use boomerang_engine::notice::Notice;

use crate::text::format;
use crate::text::tokens::visible;

/// A larger difference of log-probabilities is not explained by rounding.
const TOLERANCE: f64 = 0.01;

/// The result in one sentence; `None` before there is one.
pub fn finding(checks: &[CheckedMember]) -> Option<String> {
    let largest = checks.iter().map(|check| check.max_difference).reduce(f64::max)?;
    let all = format::count(n_sizes(checks.iter()), "size");
    let differing = checks.iter().filter(|check| check.first_mismatch.is_some());
    let texts = match n_sizes(differing) {
        0 => format!("All {all} generate what they generated when the bundle was made"),
        1 => format!("1 of {all} differs from the recording"),
        n => format!("{n} of {all} differ from the recording"),
    };
    Some(format!("{texts}; log-probabilities differ by at most {} nats.", small(largest)))
}

/// The notice for a machine whose results differ.
pub fn disagreement(
    checks: &[CheckedMember],
    recordings: Option<&Recordings>,
    is_gpu: bool,
) -> Option<Notice> {
    let largest = checks.iter().map(|check| check.max_difference).reduce(f64::max)?;
    let first = checks.iter().find(|check| check.first_mismatch.is_some());
    let why = match first {
        Some(check) => format!(
            "{}; log-probabilities differ by up to {} nats",
            first_mismatch(check, recordings),
            small(largest)
        ),
        None if largest > TOLERANCE => format!(
            "log-probabilities differ by up to {} nats, which is more than rounding explains",
            small(largest)
        ),
        None => return None,
    };
    let next = if is_gpu {
        "Texts generated here may differ from those of other machines. Try the CPU."
    } else {
        "Texts generated here may differ from those of other machines."
    };
    Some(Notice::new("This machine's results differ from the recording.", why, next))
}

/// `with 7 layers, token 3 after "a b" is "·c", and "·d" was recorded`
fn first_mismatch(check: &CheckedMember, recordings: Option<&Recordings>) -> String {
    let index = check.first_mismatch.unwrap_or_default();
    let found = visible(check.instead.as_deref().unwrap_or_default());
    let mut words = format!(
        "with {}, token {} after \"{}\" is \"{found}\"",
        format::count(check.n_layers, "layer"),
        index + 1,
        check.prompt,
    );
    let text = recordings
        .and_then(|recordings| recordings.texts.iter().find(|text| text.prompt == check.prompt));
    let piece = text.and_then(|text| text.members.get(check.member)?.pieces.get(index));
    if let Some(piece) = piece {
        words.push_str(&format!(", and \"{}\" was recorded", visible(piece)));
    }
    words
}

/// A small number with two significant digits: `0.000021`, `0.42`.
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

    fn check(member: usize, first_mismatch: Option<usize>, max_difference: f64) -> CheckedMember {
        CheckedMember {
            member,
            prompt: "a".to_owned(),
            n_layers: 4 + member,
            n_tokens: 2,
            first_mismatch,
            instead: first_mismatch.map(|_| " x".to_owned()),
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
            "All 2 sizes generate what they generated when the bundle was made; log-probabilities \
             differ by at most 0.000021 nats."
        );
        assert_eq!(disagreement(&checks, None, true), None);
        assert_eq!(finding(&[]), None);
    }

    #[test]
    fn the_notice_names_the_first_token_that_differs() {
        let checks = [check(0, None, 0.5), check(1, Some(1), 0.25)];
        assert!(finding(&checks).unwrap().starts_with("1 of 2 sizes differs from the recording"));
        let notice = disagreement(&checks, Some(&recordings()), true).unwrap();
        assert_eq!(
            notice.why,
            "with 5 layers, token 2 after \"a\" is \"·x\", and \"·c\" was recorded; \
             log-probabilities differ by up to 0.50 nats"
        );
        assert!(notice.next.contains("CPU"));
    }

    #[test]
    fn large_differences_are_reported_even_if_the_tokens_agree() {
        let notice = disagreement(&[check(0, None, 0.04)], None, false).unwrap();
        assert!(notice.why.contains("0.040 nats") && !notice.next.contains("CPU"), "{notice:?}");
    }

    #[test]
    fn small_numbers_keep_two_digits() {
        assert_eq!([0.0, 0.000_021_4, 0.42, 3.0].map(small), ["0", "0.000021", "0.42", "3.00"]);
    }
}
