//! Where two sequences of tokens differ.

/// For each token of `text`, whether it is outside the longest common subsequence with `reference`:
/// an inserted or omitted word does not make all later ones differ.
pub fn differing(text: &[u32], reference: &[u32]) -> Vec<bool> {
    let n_common = common_lengths(text, reference);
    let (mut at, mut other) = (0, 0);
    let mut differs = vec![true; text.len()];
    while at < text.len() && other < reference.len() {
        if text[at] == reference[other] {
            differs[at] = false;
            at += 1;
            other += 1;
        } else if n_common[at + 1][other] >= n_common[at][other + 1] {
            at += 1;
        } else {
            other += 1;
        }
    }
    differs
}

/// A part of a text that is in the reference, or is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub text: String,
    pub differs: bool,
}

/// Merges neighboring pieces of text that [`differing`] marks alike.
pub fn stretches<'a>(pieces: impl IntoIterator<Item = &'a str>, differs: &[bool]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for (piece, &differs) in pieces.into_iter().zip(differs) {
        match stretches.last_mut() {
            Some(last) if last.differs == differs => last.text.push_str(piece),
            _ => stretches.push(Stretch { text: piece.to_owned(), differs }),
        }
    }
    stretches
}

/// The first position at which the tokens differ, or at which one sequence has ended.
pub fn divergence(text: &[u32], reference: &[u32]) -> Option<usize> {
    let n_same = text.iter().zip(reference).take_while(|(own, other)| own == other).count();
    (n_same < text.len().max(reference.len())).then_some(n_same)
}

/// The length of the longest common subsequence of `text[i..]` and `reference[j..]`, for all of them.
fn common_lengths(text: &[u32], reference: &[u32]) -> Vec<Vec<u32>> {
    let mut lengths = vec![vec![0; reference.len() + 1]; text.len() + 1];
    for i in (0..text.len()).rev() {
        for j in (0..reference.len()).rev() {
            lengths[i][j] = if text[i] == reference[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_inserted_token_is_one_difference() {
        assert_eq!(differing(&[1, 9, 2, 3], &[1, 2, 3]), [false, true, false, false]);
        assert_eq!(differing(&[1, 3], &[1, 2, 3]), [false, false]);
    }

    #[test]
    fn a_text_that_ends_early_diverges_at_its_end() {
        assert_eq!(divergence(&[1, 2], &[1, 2, 3]), Some(2));
        assert_eq!(divergence(&[1, 4, 3], &[1, 2, 3]), Some(1));
        assert_eq!(divergence(&[1, 2], &[1, 2]), None);
    }

    proptest! {
        #[test]
        fn what_does_not_differ_can_be_read_in_the_reference(
            text in prop::collection::vec(0_u32..4, 0..12),
            reference in prop::collection::vec(0_u32..4, 0..12),
        ) {
            let differs = differing(&text, &reference);
            let common = text.iter().zip(&differs).filter(|(_, differs)| !**differs);
            let mut rest = reference.iter();
            for (token, _) in common {
                prop_assert!(rest.any(|other| other == token));
            }
            prop_assert!(differing(&text, &text).iter().all(|differs| !differs));
        }
    }
}
