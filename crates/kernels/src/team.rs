//! Threads that share the products of one token among them.
//!
//! Such a product takes some ten microseconds, less than it takes to wake a thread. [`together`] wakes
//! them once for a whole token; between two products they look for the next one. Without the feature
//! `threads`, and outside of [`together`], everything runs on the calling thread.

/// Calls `act`; what it shares ([`share_rows`]) is shared with the other threads of rayon's pool.
///
/// A second caller at the same time works alone: its cores are taken.
pub fn together<T>(act: impl FnOnce() -> T) -> T {
    #[cfg(feature = "threads")]
    return threads::together(act);
    #[cfg(not(feature = "threads"))]
    act()
}

/// How many threads work on what is shared now.
pub(crate) fn n_threads() -> usize {
    #[cfg(feature = "threads")]
    return threads::n_threads();
    #[cfg(not(feature = "threads"))]
    1
}

/// Pieces for each thread: a thread that is interrupted leaves some of its share to the others.
const PIECES_PER_THREAD: usize = 4;

/// Calls `work` with pieces of `outputs`, whole rows of `width` numbers, and the index of the first row of
/// each; a row takes about as long as reading `n_read` numbers.
pub fn share_rows(
    outputs: &mut [f32],
    width: usize,
    n_read: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    let width = width.max(1);
    let n_rows = (SHARED_BYTES / 4).div_ceil(n_read.max(1));
    share(outputs, width, n_rows * width, |first, outputs| work(first / width, outputs));
}

/// As much is read in a microsecond; less is not worth another thread.
pub(crate) const SHARED_BYTES: usize = 1 << 14;

/// Calls `work` with pieces of `outputs`, and the index of the first number of each. A piece has a
/// multiple of `unit` numbers, and at least `smallest`; only the last one may be shorter.
pub(crate) fn share(
    outputs: &mut [f32],
    unit: usize,
    smallest: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    let n_threads = n_threads();
    let per_piece = outputs.len().div_ceil(n_threads * PIECES_PER_THREAD).max(smallest);
    let per_piece = per_piece.next_multiple_of(unit.max(1));
    if n_threads == 1 || outputs.len() <= per_piece {
        work(0, outputs);
    } else {
        #[cfg(feature = "threads")]
        threads::run(outputs, per_piece, &work);
    }
}

#[cfg(feature = "threads")]
mod threads {
    use std::cell::{Cell, UnsafeCell};
    use std::hint::spin_loop;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    use std::thread::{panicking, yield_now};

    type Work<'a> = dyn Fn(usize) + Sync + 'a;

    /// Looks for work before a thread lets others run: some 50 microseconds.
    const N_LOOKS: usize = 2_000;

    /// More do not read memory any faster.
    const MOST_THREADS: usize = 16;

    /// The job that a team works on, and who has which piece of it.
    struct Team {
        n_threads: usize,
        /// From high to low: the number of the job (32 bits), its pieces (16), and how many of them are
        /// taken (16). Whoever increments it has the piece.
        state: AtomicU64,
        n_done: AtomicUsize,
        has_panicked: AtomicBool,
        is_over: AtomicBool,
        /// Written only while no piece is left that a thread could take or works on.
        work: UnsafeCell<Option<*const Work<'static>>>,
    }

    // SAFETY: `work` is written by one thread, before the job's number is released, and read only by
    // threads that took a piece of this job; the writer waits until all its pieces are done.
    unsafe impl Sync for Team {}
    // SAFETY: as above; nothing in it belongs to a thread.
    unsafe impl Send for Team {}

    thread_local! {
        static CURRENT: Cell<*const Team> = const { Cell::new(ptr::null()) };
    }

    /// Whether some thread has the others.
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);

    pub(super) fn together<T>(act: impl FnOnce() -> T) -> T {
        let n_threads = rayon::current_num_threads().min(MOST_THREADS);
        // A thread of the pool is busy with a part of something already.
        let is_alone = n_threads == 1
            || rayon::current_thread_index().is_some()
            || !CURRENT.get().is_null()
            || IS_TAKEN.swap(true, Ordering::Acquire);
        if is_alone {
            return act();
        }
        let team = Arc::new(Team {
            n_threads,
            state: AtomicU64::new(0),
            n_done: AtomicUsize::new(0),
            has_panicked: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            work: UnsafeCell::new(None),
        });
        for _ in 1..n_threads {
            // Nobody waits for a thread that the system runs only after the token is done.
            let team = team.clone();
            rayon::spawn(move || team.help());
        }
        CURRENT.set(Arc::as_ptr(&team));
        let _over = Over(&team);
        act()
    }

    /// Ends a team, also when what it works for panics.
    struct Over<'a>(&'a Team);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.is_over.store(true, Ordering::Release);
            CURRENT.set(ptr::null());
            IS_TAKEN.store(false, Ordering::Release);
        }
    }

    pub(super) fn n_threads() -> usize {
        current().map_or(1, |team| team.n_threads)
    }

    fn current<'a>() -> Option<&'a Team> {
        // SAFETY: a team is current only while `together`, which holds it, runs `act`.
        unsafe { CURRENT.get().as_ref() }
    }

    /// Outputs that several threads write, each its own piece.
    struct Outputs(*mut f32);

    // SAFETY: no two pieces overlap, and nobody else has the outputs until all pieces are done.
    unsafe impl Sync for Outputs {}

    pub(super) fn run(
        outputs: &mut [f32],
        per_piece: usize,
        work: &(impl Fn(usize, &mut [f32]) + Sync),
    ) {
        let len = outputs.len();
        let all = Outputs(outputs.as_mut_ptr());
        let piece = |index: usize| {
            let start = index * per_piece;
            let n = per_piece.min(len - start);
            let Outputs(first) = &all;
            // SAFETY: `start..start + n` is inside of the outputs, and this piece's alone.
            work(start, unsafe { std::slice::from_raw_parts_mut(first.add(start), n) });
        };
        let n_pieces = len.div_ceil(per_piece);
        match current() {
            Some(team) => team.run(n_pieces, &piece),
            None => (0..n_pieces).for_each(piece),
        }
    }

    impl Team {
        fn run(&self, n_pieces: usize, work: &Work<'_>) {
            let work: *const Work<'_> = work;
            // SAFETY: the lifetime is forgotten for as long as `Wait` takes: no thread calls `work`
            // after that. No piece of the last job is left, so nobody reads what is written here.
            unsafe {
                *self.work.get() =
                    Some(std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work));
            }
            self.n_done.store(0, Ordering::Relaxed);
            let job = (self.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
            self.state.store(job << 32 | (n_pieces as u64) << 16, Ordering::Release);
            let wait = Wait { team: self, n_pieces };
            // What is shared inside of a piece is this thread's alone: the team has its job.
            CURRENT.set(ptr::null());
            while self.work_on_a_piece() {}
            CURRENT.set(self);
            drop(wait);
            assert!(!self.has_panicked.load(Ordering::Relaxed), "a thread of the team panicked");
        }

        /// Takes a piece, if there is one.
        fn take(&self) -> Option<usize> {
            let mut state = self.state.load(Ordering::Relaxed);
            loop {
                let (n_pieces, n_taken) = (state >> 16 & 0xffff, state & 0xffff);
                if n_taken == n_pieces {
                    return None;
                }
                let taken = self.state.compare_exchange_weak(
                    state,
                    state + 1,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                match taken {
                    Ok(_) => return Some(n_taken as usize),
                    Err(found) => state = found,
                }
            }
        }

        fn work_on_a_piece(&self) -> bool {
            let Some(piece) = self.take() else { return false };
            let _done = Done(self);
            // SAFETY: this thread has a piece that is not done, so that `work` is that of its job and
            // lives until `Done` is dropped.
            if let Some(work) = unsafe { *self.work.get() } {
                unsafe { (*work)(piece) };
            }
            true
        }

        fn help(&self) {
            let mut n_looks = 0;
            while !self.is_over.load(Ordering::Acquire) {
                // A panic is kept for the thread that shares its work.
                let has_worked = catch_unwind(AssertUnwindSafe(|| self.work_on_a_piece()));
                n_looks = if has_worked.unwrap_or(true) { 0 } else { n_looks + 1 };
                pause(n_looks);
            }
        }
    }

    fn pause(n_looks: usize) {
        if n_looks < N_LOOKS { spin_loop() } else { yield_now() }
    }

    /// Counts a piece as done, also when it panicked.
    struct Done<'a>(&'a Team);

    impl Drop for Done<'_> {
        fn drop(&mut self) {
            if panicking() {
                self.0.has_panicked.store(true, Ordering::Relaxed);
            }
            self.0.n_done.fetch_add(1, Ordering::Release);
        }
    }

    /// Waits for all pieces; those that nobody has taken because of a panic are left out.
    struct Wait<'a> {
        team: &'a Team,
        n_pieces: usize,
    }

    impl Drop for Wait<'_> {
        fn drop(&mut self) {
            while self.team.take().is_some() {
                drop(Done(self.team));
            }
            let mut n_looks = 0;
            while self.team.n_done.load(Ordering::Acquire) < self.n_pieces {
                n_looks += 1;
                pause(n_looks);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(n: usize) -> Vec<f32> {
        let mut outputs = vec![f32::NAN; n];
        share(&mut outputs, 4, 1, |first, outputs| {
            for (index, output) in outputs.iter_mut().enumerate() {
                *output = ((first + index) * (first + index)) as f32;
            }
        });
        outputs
    }

    #[test]
    fn every_number_is_computed_once_whoever_computes_it() {
        let expected = |n: usize| (0..n).map(|index| (index * index) as f32).collect::<Vec<_>>();
        for n in [0, 1, 7, 64, 1001] {
            assert_eq!(squares(n), expected(n));
            together(|| {
                for _ in 0..200 {
                    assert_eq!(squares(n), expected(n));
                }
            });
        }
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_panic_ends_the_team_and_the_next_one_works() {
        let failed = std::panic::catch_unwind(|| {
            together(|| {
                let mut outputs = vec![0.0; 64];
                share(&mut outputs, 1, 1, |first, outputs| {
                    assert!(!(first..first + outputs.len()).contains(&32), "as expected");
                });
            });
        });
        assert!(failed.is_err());
        together(|| assert_eq!(squares(100).len(), 100));
    }
}
