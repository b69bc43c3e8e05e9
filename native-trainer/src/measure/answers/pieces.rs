//! Requests in pieces of work, those that begin alike one after the other.

use boomerang_core::evaluate::Request;

/// Places of the requests, cut so that no piece has more tokens than `most` unless a single request
/// has, or `stays` with the one before it.
pub(super) fn pieces(
    requests: &[Request],
    places: impl IntoIterator<Item = usize>,
    most: usize,
    stays: impl Fn(&[u32], &[u32]) -> bool,
) -> Vec<Vec<usize>> {
    let input = |place: usize| requests[place].input();
    let mut places: Vec<usize> = places.into_iter().collect();
    places.sort_by_key(|&place| input(place));
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    let mut n_tokens = 0;
    for place in places {
        let n_more = input(place).len();
        let fits = |piece: &&mut Vec<usize>| {
            let is_kept = piece.last().is_some_and(|&last| stays(input(last), input(place)));
            n_tokens + n_more <= most || is_kept
        };
        match pieces.last_mut().filter(fits) {
            Some(piece) => {
                piece.push(place);
                n_tokens += n_more;
            }
            None => {
                pieces.push(vec![place]);
                n_tokens = n_more;
            }
        }
    }
    pieces
}
