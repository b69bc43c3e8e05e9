//! Whether a worker still answers while it works.
//!
//! A worker can die without an error, for instance when the system ends its process. One that computes
//! answers between two tokens, two files, two members and two steps, but not within a long prompt: it is
//! only taken for dead after minutes, while *Stop* replaces one that does not react in seconds.

/// Seconds without an answer after which the page says so.
const REMARKABLE: u32 = 10;
/// Seconds without an answer after which a worker that has answered before is taken for dead.
pub const DEAD: u32 = 300;

/// Counts ticks of a second, and not the time: a machine that wakes up has lost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    /// The worker runs: before, its program is being downloaded.
    is_ready: bool,
    n_unanswered: u32,
    /// The request that was stopped, and how long ago.
    stopping: Option<(u32, u32)>,
    /// Seconds within which a worker reacts to a stop; one that does not is replaced.
    to_stop: u32,
}

/// What a tick shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Responsive,
    /// For so many seconds.
    Unresponsive(u32),
    /// The stop has no effect.
    StopIgnored,
    Dead,
}

impl Watchdog {
    /// Of a worker that reacts to a stop within so many seconds.
    pub fn new(to_stop: u32) -> Self {
        Self { is_ready: false, n_unanswered: 0, stopping: None, to_stop }
    }

    /// The worker runs.
    pub fn on_ready(&mut self) {
        *self = Self { is_ready: true, ..Self::new(self.to_stop) };
    }

    /// The worker has answered, or has nothing to do.
    pub fn on_answer(&mut self) {
        self.n_unanswered = 0;
    }

    pub fn on_stop(&mut self, id: u32) {
        // Another click does not make it wait longer.
        if self.stopping.is_none_or(|(stopping, _)| stopping != id) {
            self.stopping = Some((id, 0));
        }
    }

    /// Whether a stop was requested that has had no effect so far.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// A second has passed, in which the worker worked on request `id`, or loaded.
    pub fn tick(&mut self, id: Option<u32>) -> Verdict {
        self.n_unanswered += 1;
        self.stopping = self.stopping.filter(|(stopping, _)| Some(*stopping) == id);
        if let Some((_, n_seconds)) = &mut self.stopping {
            *n_seconds += 1;
            if *n_seconds >= self.to_stop {
                return Verdict::StopIgnored;
            }
        }
        match self.n_unanswered {
            _ if !self.is_ready => Verdict::Responsive,
            DEAD.. => Verdict::Dead,
            // In steps, since screen readers read it aloud.
            n_seconds @ REMARKABLE.. => Verdict::Unresponsive(n_seconds - n_seconds % REMARKABLE),
            _ => Verdict::Responsive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(watchdog: &mut Watchdog, n: u32, id: Option<u32>) -> Verdict {
        (0..n).map(|_| watchdog.tick(id)).last().unwrap()
    }

    fn ready() -> Watchdog {
        let mut watchdog = Watchdog::new(5);
        watchdog.on_ready();
        watchdog
    }

    #[test]
    fn a_worker_that_does_not_answer_is_reported_and_then_taken_for_dead() {
        let mut watchdog = ready();
        assert_eq!(ticks(&mut watchdog, REMARKABLE - 1, None), Verdict::Responsive);
        assert_eq!(ticks(&mut watchdog, 1, None), Verdict::Unresponsive(REMARKABLE));
        assert_eq!(ticks(&mut watchdog, DEAD - REMARKABLE, None), Verdict::Dead);
    }

    #[test]
    fn a_program_that_is_being_downloaded_is_not_dead() {
        assert_eq!(ticks(&mut Watchdog::new(5), 2 * DEAD, None), Verdict::Responsive);
    }

    #[test]
    fn a_stop_without_effect_is_noticed_also_when_it_is_repeated() {
        let mut watchdog = ready();
        for _ in 1..5 {
            watchdog.on_stop(7);
            assert_eq!(watchdog.tick(Some(7)), Verdict::Responsive);
        }
        assert_eq!(watchdog.tick(Some(7)), Verdict::StopIgnored);
    }

    #[test]
    fn a_request_after_the_stopped_one_is_not_stopped() {
        let mut watchdog = ready();
        watchdog.on_stop(7);
        assert_eq!(ticks(&mut watchdog, 5, Some(8)), Verdict::Responsive);
        assert_eq!(watchdog.stopping, None);
    }
}
