//! Which of many waiting transfers goes next.
//!
//! With thirty clients at once, all would finish at the same late time. A few transfers at a time, files
//! of the smallest size before all others, give everybody something to work with first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How urgent a file is, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// The smallest size needs it.
    First,
    Later,
}

/// A later file is not kept waiting by more files of the smallest size than this in a row.
const MOST_FIRST: usize = 8;

/// A limited number of transfers at a time.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<State>>);

/// Permission to send; given back when dropped.
pub(super) struct Slot {
    queue: Queue,
    client: IpAddr,
}

struct State {
    n_free: usize,
    waiting: Vec<Waiting>,
    /// How many transfers each client has under way.
    running: BTreeMap<IpAddr, usize>,
    n_asked: u64,
    n_first_in_a_row: usize,
}

struct Waiting {
    urgency: Urgency,
    client: IpAddr,
    number: u64,
    start: oneshot::Sender<Slot>,
}

impl Queue {
    pub(super) fn new(n_slots: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            n_free: n_slots,
            waiting: Vec::new(),
            running: BTreeMap::new(),
            n_asked: 0,
            n_first_in_a_row: 0,
        })))
    }

    /// Waits for a slot. A request that is dropped meanwhile waits no longer.
    pub(super) async fn slot(&self, urgency: Urgency, client: IpAddr) -> Option<Slot> {
        let (start, started) = oneshot::channel();
        {
            let mut state = self.state();
            state.n_asked += 1;
            let number = state.n_asked;
            state.waiting.push(Waiting { urgency, client, number, start });
        }
        self.start_waiting();
        started.await.ok()
    }

    fn start_waiting(&self) {
        loop {
            let Some(next) = self.state().take_next() else { return };
            let slot = Slot { queue: self.clone(), client: next.client };
            // If nobody waits for it any more, dropping it gives it to the next one.
            let _ = next.start.send(slot);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.queue.state().give_back(self.client);
        self.queue.start_waiting();
    }
}

impl State {
    /// The most urgent one, of those the client with the fewest transfers under way, of those the
    /// longest waiting; `None` without a free slot.
    fn take_next(&mut self) -> Option<Waiting> {
        self.waiting.retain(|waiting| !waiting.start.is_closed());
        if self.n_free == 0 {
            return None;
        }
        let is_other_turn = self.n_first_in_a_row >= MOST_FIRST;
        let order = |waiting: &Waiting| {
            let is_late = (waiting.urgency == Urgency::Later) != is_other_turn;
            let n_running = self.running.get(&waiting.client).copied().unwrap_or(0);
            (is_late, n_running, waiting.number)
        };
        let (index, _) =
            self.waiting.iter().enumerate().min_by_key(|(_, waiting)| order(waiting))?;
        let next = self.waiting.swap_remove(index);
        self.n_first_in_a_row = match next.urgency {
            Urgency::First => self.n_first_in_a_row + 1,
            Urgency::Later => 0,
        };
        self.n_free -= 1;
        *self.running.entry(next.client).or_default() += 1;
        Some(next)
    }

    fn give_back(&mut self, client: IpAddr) {
        self.n_free += 1;
        if let Some(n_running) = self.running.get_mut(&client) {
            *n_running -= 1;
            if *n_running == 0 {
                self.running.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Which waiting requests start, in order, each after the one before has ended.
    fn order(n_slots: usize, requests: &[(Urgency, u8)]) -> Vec<usize> {
        let queue = Queue::new(n_slots);
        let mut state = queue.state();
        let mut receivers = Vec::new();
        for (number, (urgency, client)) in requests.iter().enumerate() {
            let (start, started) = oneshot::channel();
            let client = Ipv4Addr::new(10, 0, 0, *client).into();
            let number = number as u64;
            state.waiting.push(Waiting { urgency: *urgency, client, number, start });
            receivers.push(started);
        }
        let mut order = Vec::new();
        let mut ended = None;
        loop {
            let next = state.take_next();
            if let Some(next) = next {
                order.push(next.number as usize);
                if n_slots == 1 {
                    ended = Some(next.client);
                }
            } else if let Some(client) = ended.take() {
                state.give_back(client);
            } else {
                break;
            }
        }
        order
    }

    use Urgency::{First, Later};

    #[test]
    fn files_of_the_smallest_size_go_before_others() {
        assert_eq!(order(1, &[(Later, 1), (Later, 2), (First, 3), (First, 4)]), [2, 3, 0, 1]);
    }

    #[test]
    fn a_client_with_many_requests_keeps_nobody_waiting() {
        assert_eq!(order(3, &[(First, 1), (First, 1), (First, 1), (First, 2)]), [0, 3, 1]);
    }

    #[test]
    fn later_files_are_not_kept_waiting_for_ever() {
        let mut requests = vec![(Later, 1)];
        requests.extend([(First, 2); 20]);
        assert_eq!(order(1, &requests).iter().position(|&number| number == 0), Some(MOST_FIRST));
    }

    #[tokio::test]
    async fn a_slot_is_passed_on_when_it_is_dropped() {
        let queue = Queue::new(1);
        let client = Ipv4Addr::LOCALHOST.into();
        let first = queue.slot(First, client).await.unwrap();
        let second = tokio::spawn({
            let queue = queue.clone();
            async move { queue.slot(Later, client).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
    }

    #[tokio::test]
    async fn a_request_that_was_given_up_takes_no_slot() {
        let queue = Queue::new(1);
        let client = Ipv4Addr::LOCALHOST.into();
        let first = queue.slot(First, client).await;
        let given_up = tokio::spawn({
            let queue = queue.clone();
            async move { queue.slot(First, client).await }
        });
        tokio::task::yield_now().await;
        given_up.abort();
        let _ = given_up.await;
        drop(first);
        assert_eq!(queue.state().n_free, 1);
    }
}
