//! How many tokens to draft, by what drafting costs and how many the verifier accepts.
//!
//! A round that drafts `n` tokens takes about `alone + n * each` seconds, where `alone` is a step of the
//! verifier without a draft, and gives `1 + a + a^2 + .. + a^n` tokens in the mean, where `a` is the share
//! of drafted tokens that are accepted (Leviathan et al., arXiv:2211.17192, equation 1). The `n` with most
//! tokens in a second is drafted: none where the draft costs more than it gives.
//!
//! A draft that was left out has to read what it missed before it can be tried again. So that is done only
//! if drafting would pay at the lower of the last two costs that were measured, and with one more token
//! accepted.

/// Weight of the last round in what is known of all.
const NEWEST: f64 = 0.2;

/// Rounds of one kind, after which one of the other kind is measured.
const PERIOD: usize = 48;

/// Tokens drafted in a round that only measures: a text that is faster without a draft loses little.
const PROBE: usize = 3;

/// What is known of the cost of drafting.
#[derive(Debug, Default)]
pub(super) struct Pace {
    n_rounds: usize,
    /// Seconds of a step without a draft.
    alone: Option<f64>,
    /// Seconds that each drafted token adds to it: the mean, and the last two.
    each: Option<f64>,
    last_two: [f64; 2],
    /// Tokens that were accepted, and all whose fate is known: what follows a rejected one is not.
    accepted: Decaying,
    tried: Decaying,
    /// Rounds since the other kind was measured.
    since: usize,
    /// Whether the draft has read the text up to the last round.
    has_read: bool,
}

/// A sum that forgets.
#[derive(Debug, Default)]
struct Decaying(f64);

impl Decaying {
    fn add(&mut self, count: f64) {
        self.0 = self.0 * (1.0 - NEWEST / 2.0) + count;
    }
}

impl Pace {
    /// Tokens to draft in the next round, at most `most`.
    pub(super) fn n_to_draft(&mut self, most: usize) -> usize {
        let probe = most.min(PROBE);
        let (Some(alone), Some(each)) = (self.alone, self.each) else {
            // The first round reads the prompt, the next two find out what a step costs.
            return if matches!(self.n_rounds, 1 | 2) { 0 } else { probe };
        };
        let best = fastest(alone, each, self.acceptance(), most);
        if self.since < PERIOD {
            return best;
        }
        // In the first of two rounds the draft reads what it missed, the second is measured.
        let is_second = self.since > PERIOD;
        let may_pay = || {
            let each = self.last_two[0].min(self.last_two[1]);
            fastest(alone, each, self.hoped(), most) > 0
        };
        if best == 0 && (is_second || may_pay()) {
            self.since = if is_second { 0 } else { PERIOD };
            return probe;
        }
        self.since = 0;
        0
    }

    /// Notes a round: how many tokens it drafted, how many of them were accepted, and how long it took.
    pub(super) fn note(&mut self, n_drafted: usize, n_accepted: usize, seconds: f64) {
        self.n_rounds += 1;
        self.since += 1;
        if n_drafted > 0 {
            self.accepted.add(n_accepted as f64);
            self.tried.add((n_accepted + usize::from(n_accepted < n_drafted)) as f64);
        }
        let has_read = std::mem::replace(&mut self.has_read, n_drafted > 0);
        if self.n_rounds == 1 {
            return;
        }
        if n_drafted == 0 {
            renew(&mut self.alone, seconds);
        } else if let Some(alone) = self.alone
            && has_read
        {
            let each = ((seconds - alone) / n_drafted as f64).max(0.0);
            self.last_two = [self.each.map_or(each, |_| self.last_two[1]), each];
            renew(&mut self.each, each);
        }
    }

    /// The share of drafted tokens that are accepted.
    fn acceptance(&self) -> f64 {
        self.accepted.0 / self.tried.0.max(1.0)
    }

    /// The same, had one more token been drafted, and accepted.
    fn hoped(&self) -> f64 {
        (self.accepted.0 + 1.0) / (self.tried.0 + 1.0)
    }
}

fn renew(mean: &mut Option<f64>, value: f64) {
    *mean = Some(mean.map_or(value, |mean| mean + (value - mean) * NEWEST));
}

/// How many tokens to draft for most tokens in a second.
fn fastest(alone: f64, each: f64, acceptance: f64, most: usize) -> usize {
    let (mut best, mut highest) = (0, 0.0);
    let (mut n_tokens, mut next) = (0.0, 1.0);
    for n in 0..=most {
        n_tokens += next;
        next *= acceptance;
        let speed = n_tokens / (alone + n as f64 * each).max(f64::MIN_POSITIVE);
        if speed > highest {
            (best, highest) = (n, speed);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens that are drafted in each of `n` rounds, where a step takes a second.
    fn rounds(n: usize, each: f64, accepts: impl Fn(usize) -> usize) -> Vec<usize> {
        let mut pace = Pace::default();
        let drafted = (0..n).map(|_| {
            let n_drafted = pace.n_to_draft(4);
            pace.note(n_drafted, accepts(n_drafted), 1.0 + n_drafted as f64 * each);
            n_drafted
        });
        drafted.collect()
    }

    #[test]
    fn a_cheap_draft_that_is_accepted_drafts_as_much_as_it_may() {
        let drafted = rounds(60, 0.1, |n| n);
        assert_eq!(drafted[..5], [PROBE, 0, 0, PROBE, PROBE]);
        assert!(drafted[5..].iter().filter(|&&n| n < 4).count() <= 1, "{drafted:?}");
    }

    /// Positions of the rounds with a draft, after the first eight.
    fn tried_again(drafted: &[usize]) -> Vec<usize> {
        (8..drafted.len()).filter(|&round| drafted[round] > 0).collect()
    }

    #[test]
    fn a_draft_that_costs_more_than_it_gives_is_left_out() {
        assert!(tried_again(&rounds(200, 1.5, |n| n)).is_empty());
        assert!(tried_again(&rounds(200, 0.5, |_| 0)).is_empty());
    }

    #[test]
    fn a_draft_that_may_pay_is_tried_again_in_two_rounds() {
        // The first token is accepted, the second is not: (1 + 1/2) / 1.51 at best.
        let accepted_one = rounds(200, 0.51, |n| n.min(1));
        // None is accepted, but few were tried: (1 + 1/3.85) / 1.26 before the second of the two rounds.
        let rejected = rounds(200, 0.26, |_| 0);
        for (drafted, least) in [(accepted_one, 3), (rejected, 1)] {
            let tried = tried_again(&drafted);
            let pairs: Vec<_> = tried.chunks(2).collect();
            assert!(pairs.len() >= least, "{drafted:?}");
            assert!(
                pairs.iter().all(|pair| pair.len() == 2 && pair[1] == pair[0] + 1),
                "{tried:?}"
            );
            assert!(
                pairs.windows(2).all(|pair| pair[1][0] - pair[0][1] >= PERIOD - 1),
                "{tried:?}"
            );
        }
    }

    #[test]
    fn fewer_tokens_are_drafted_where_few_are_accepted() {
        // With one half accepted: (1 + 0.5) / 1.2 = 1.25, (1 + 0.5 + 0.25) / 1.4 = 1.25,
        // (1.875) / 1.6 = 1.17.
        assert!((1..=2).contains(&fastest(1.0, 0.2, 0.5, 8)));
        assert_eq!(fastest(1.0, 0.2, 0.05, 8), 0);
        assert_eq!(fastest(1.0, 0.05, 1.0, 8), 8);
    }
}
