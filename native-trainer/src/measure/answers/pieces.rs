//! Requests in pieces of work, those with a common prefix one after the other.

use boomerang_core::evaluate::Request;

/// Indices of the requests, split so that no piece has more tokens than `most` unless a single
/// request has, or `stays` with the one before it.
pub(super) fn pieces(
    requests: &[Request],
    indices: impl IntoIterator<Item = usize>,
    most: usize,
    stays: impl Fn(&[u32], &[u32]) -> bool,
) -> Vec<Vec<usize>> {
    let input = |index: usize| requests[index].input();
    let mut indices: Vec<usize> = indices.into_iter().collect();
    indices.sort_by_key(|&index| input(index));
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    let mut n_tokens = 0;
    for index in indices {
        let n_more = input(index).len();
        let fits = |piece: &&mut Vec<usize>| {
            let is_kept = piece.last().is_some_and(|&last| stays(input(last), input(index)));
            n_tokens + n_more <= most || is_kept
        };
        match pieces.last_mut().filter(fits) {
            Some(piece) => {
                piece.push(index);
                n_tokens += n_more;
            }
            None => {
                pieces.push(vec![index]);
                n_tokens = n_more;
            }
        }
    }
    pieces
}
