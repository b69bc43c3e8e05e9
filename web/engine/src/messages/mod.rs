//! What page and worker say to each other.

use boomerang_core::bundle::{RecordedText, TaskFile};
use boomerang_core::generate::{Guess, Sampling};
use boomerang_core::plan::Patch;
use serde::{Deserialize, Serialize};

use crate::notice::Notice;
use crate::parcel::FromWorker;

/// What this build speaks.
pub const PROTOCOL: u32 = 8;

/// The page to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Fetch and keep everything the manifest lists, or what is still missing of it.
    Load {
        /// Files are fetched relative to it.
        manifest_url: String,
        manifest: String,
        /// How many sizes of the path have room here, the smallest first; what only larger ones need
        /// is not fetched.
        n_sizes: usize,
    },
    /// Take a family some of whose files come with this message, in the order of `paths`; what is
    /// missing then is fetched. It takes the place of the family before.
    Adopt {
        manifest_url: String,
        manifest: String,
        n_sizes: usize,
        paths: Vec<String>,
        /// Whether the family is kept for the next visit, under the address of its manifest.
        is_kept: bool,
    },
    /// Look at files that come with this message, in the order of `names`: checkpoints or a bundle,
    /// in folders or as one zip.
    Inspect { id: u32, names: Vec<String> },
    /// Lay out as a bundle what was looked at last.
    Pack { id: u32 },
    /// Fetch what this member lacks before everything else.
    Want { patch: Patch },
    /// Continue a text. Ids ascend.
    Generate { id: u32, patch: Patch, prompt: String, n_tokens: usize, sampling: Sampling },
    /// Let members read a text and say what they expect next after its token `from` and all later
    /// ones, one member after the other. The last is the one with which all are compared.
    Guess { id: u32, patches: Vec<Patch>, tokens: Vec<u32>, from: usize },
    /// Let a member say how sure it was of each token of a text from place `from` on.
    Certainty { id: u32, patch: Patch, tokens: Vec<u32>, from: usize },
    /// Let a member read a text, and say what each of its layers would have written next.
    Lens { id: u32, patch: Patch, text: String },
    /// Let members read a text that none of them has seen, one after the other.
    Score { id: u32, patches: Vec<Patch>, text: String },
    /// Let members answer the questions of a task and continue a text, one after the other.
    Measure { id: u32, patches: Vec<Patch>, task: TaskFile },
    /// Let members read what they wrote when the bundle was made.
    Check { id: u32, recorded: Vec<RecordedText> },
    /// End this text and all before it.
    Stop { id: u32 },
    /// Say what is kept in this browser.
    Stored,
    /// Compare the stored files of this model with their hashes.
    Verify { fingerprint: String },
    /// Forget this model, with the files that no other stored model uses.
    Delete { fingerprint: String },
}

/// The worker to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The worker runs and listens; nothing that was sent before this was heard. It stays the first.
    Ready { protocol: u32 },
    /// More bytes have arrived.
    Progress { bytes: u64, total: u64, path: String },
    /// This file is here; members that are whole with it can write.
    Arrived { path: String },
    /// Every file is here.
    Loaded,
    /// A file does not come; what is here stays, and another `Load` goes on.
    LoadFailed { notice: Notice },
    /// The prompt has been read as these tokens.
    Started { id: u32, prompt_tokens: Vec<u32> },
    /// The text may be empty while a character is incomplete.
    Token { id: u32, token: u32, text: String },
    /// With what was held back of the text.
    Done { id: u32, text: String, report: RunReport },
    /// What the next of the members expects, place by place.
    Guessed { id: u32, guesses: Vec<ToldGuess> },
    /// How sure a member was, place by place.
    Certainty { id: u32, places: Vec<CertainPlace> },
    /// What the layers of a member would have written.
    Lens { id: u32, lens: LensReport },
    /// How well the next of the members expects a text.
    Scored { id: u32, score: TextScore },
    /// How the next of the members does on this machine.
    Measured { id: u32, measured: MeasuredMember },
    /// How near the next of the recorded members comes to its record.
    Checked { id: u32, check: CheckedMember },
    /// What is kept, and where.
    Stored { report: StoredReport },
    /// A stored file has been compared with its hash; the last one has `n_done == n_files`.
    Verified { fingerprint: String, path: String, state: FileState, n_done: usize, n_files: usize },
    /// What arrives from now on will not be here on the next visit.
    NotKept { why: String, space: Option<Space> },
    /// What is stored could not be changed as asked.
    StoreFailed { notice: Notice },
    /// What the reader's files are: a manifest without the hashes of its files.
    Inspected { id: u32, draft: String },
    /// Bytes of the reader's files that were read for their hashes.
    Packing { id: u32, bytes: u64, total: u64 },
    /// The reader's files as a bundle; they come with this message, in the order of `paths`.
    Packed { id: u32, manifest: String, paths: Vec<String> },
    /// Nothing more is to be said, or the reader said that it is enough.
    Ended { id: u32, is_stopped: bool },
    /// The text `id` has failed; without an id, the worker has.
    Failed { id: Option<u32>, notice: Notice },
}

impl FromWorker for Reply {
    const PROTOCOL: u32 = PROTOCOL;

    fn protocol(&self) -> Option<u32> {
        if let Self::Ready { protocol } = self { Some(*protocol) } else { None }
    }
}

/// A guess, with its token as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToldGuess {
    pub guess: Guess,
    pub text: String,
}

/// How sure a member was of one token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertainPlace {
    /// In `0..=1`.
    pub probability: f64,
    /// The likeliest tokens, likeliest first.
    pub likeliest: Vec<LensGuess>,
}

/// What every layer of a member would write next, were it the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LensReport {
    /// Tokens at the beginning of a long text that were read, but of which nothing is told.
    pub n_before: usize,
    /// The tokens after those, as text.
    pub places: Vec<String>,
    /// From the embedding to the last layer.
    pub layers: Vec<LensLayer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LensLayer {
    /// `text` for the embedding, else as in the strip: `S0`, `T3`.
    pub name: String,
    /// The likeliest next token after each place.
    pub guesses: Vec<LensGuess>,
    /// Mean cosine of its output with the teacher's at the same depth, from -1 to 1.
    pub similarity: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LensGuess {
    pub token: u32,
    pub text: String,
    /// In `0..=1`.
    pub probability: f64,
}

/// How well a member expects a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextScore {
    /// Mean over all tokens but the first, in nats.
    pub nats: f64,
    pub n_tokens: usize,
}

/// How a member does on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredMember {
    pub n_correct: usize,
    pub n_questions: usize,
    /// For all questions.
    pub millis: f64,
    /// Decoding of one text, without the reading of its prompt.
    pub tokens_per_second: f64,
    /// Memory of the worker's program after it; 0 where the browser does not say.
    pub heap_bytes: u64,
}

/// How near a member comes to what was recorded of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedMember {
    /// Its place in the recorded text.
    pub member: usize,
    pub prompt: String,
    pub n_layers: usize,
    pub n_tokens: usize,
    /// The first place at which this machine's likeliest token is not the recorded one.
    pub first_difference: Option<usize>,
    /// That likeliest token, as text.
    pub instead: Option<String>,
    /// Largest difference of a recorded token's log-probability, in nats.
    pub max_difference: f64,
}

/// What is kept in this browser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredReport {
    pub place: Place,
    /// Why not in a better place.
    pub why: Option<String>,
    pub models: Vec<StoredModel>,
}

/// Where files are kept, the best place first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    PrivateFiles,
    IndexedDb,
    /// Until the page is closed.
    Memory,
}

/// How much of a model is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredModel {
    pub name: String,
    pub fingerprint: String,
    /// Of its manifest, as it was last loaded.
    pub url: String,
    pub n_files_here: usize,
    pub n_files: usize,
    /// Of the files that are here whole.
    pub bytes_here: u64,
    pub n_bytes: u64,
    /// Of files that are not whole.
    pub bytes_in_parts: u64,
}

impl StoredModel {
    /// Whether it can be used without a network.
    pub fn is_complete(&self) -> bool {
        self.n_files_here == self.n_files
    }
}

/// How a stored file compares with its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileState {
    Right,
    /// And dropped.
    Damaged,
    /// Or only a part of it is here.
    Missing,
}

/// What the browser allows the page's server to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    pub used_bytes: u64,
    pub quota_bytes: u64,
}

/// How a text came about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    pub n_tokens: usize,
    /// At the beginning of these: drawn from what the model had said before, which took no time.
    pub n_reused: usize,
    /// To the first token that was computed, from the prompt or from the last one drawn.
    pub first_millis: f64,
    /// From the first token that was computed to the last.
    pub rest_millis: f64,
    pub ending: Ending,
}

/// Why a text ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// As long as it was asked to be.
    Length,
    /// The model's window is full.
    Window,
    /// The model said so.
    EndOfText,
    /// The reader said so.
    Stopped,
}

impl RunReport {
    /// Of those that were computed; `None` for a single one, whose time is that of the prompt.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let n_computed = self.n_tokens.saturating_sub(self.n_reused);
        let is_timed = n_computed > 1 && self.rest_millis > 0.0;
        is_timed.then(|| (n_computed - 1) as f64 * 1000.0 / self.rest_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::{from_bytes, to_bytes};

    #[test]
    fn every_build_reads_the_version_of_every_other() {
        let ready = Reply::Ready { protocol: 300 };
        assert_eq!(to_bytes(&ready), [0, 172, 2]);
        assert_eq!(ready.protocol(), Some(300));
        assert_eq!(Reply::Loaded.protocol(), None);
    }

    #[test]
    fn the_bench_beside_other_engines_speaks_these_bytes() {
        // What tests/bench/browser_decode.js writes,
        let (manifest_url, manifest) = ("u".to_owned(), "{}".to_owned());
        let load = Request::Load { manifest_url, manifest, n_sizes: 1 };
        assert_eq!(to_bytes(&load), [0, 1, b'u', 2, b'{', b'}', 1]);
        let patch: Patch = serde_json::from_str("[true, false]").unwrap();
        let (prompt, sampling) = ("t".to_owned(), Sampling::Greedy);
        let generate = Request::Generate { id: 7, patch, prompt, n_tokens: 200, sampling };
        assert_eq!(to_bytes(&generate), [5, 7, 2, 1, 0, 1, b't', 200, 1, 0]);
        // and what it reads.
        let kind = |reply: &Reply| to_bytes(reply)[0];
        let notice = Notice::new("a", "b", "c");
        assert_eq!(kind(&Reply::Loaded), 3);
        assert_eq!(
            to_bytes(&Reply::LoadFailed { notice: notice.clone() }),
            [4, 1, b'a', 1, b'b', 1, b'c']
        );
        let failed = Reply::Failed { id: Some(9), notice };
        assert_eq!(to_bytes(&failed), [22, 1, 9, 1, b'a', 1, b'b', 1, b'c']);
        let started = Reply::Started { id: 7, prompt_tokens: vec![300] };
        assert_eq!(to_bytes(&started), [5, 7, 1, 172, 2]);
        let token = Reply::Token { id: 7, token: 300, text: "x".to_owned() };
        assert_eq!(to_bytes(&token), [6, 7, 172, 2, 1, b'x']);
        let ending = Ending::Length;
        let (n_tokens, n_reused, first_millis, rest_millis) = (3, 2, 1.0, 2.0);
        let report = RunReport { n_tokens, n_reused, first_millis, rest_millis, ending };
        let done = to_bytes(&Reply::Done { id: 7, text: String::new(), report });
        assert_eq!(done[..5], [7, 7, 0, 3, 2]);
        assert_eq!(done[5..21], [1.0_f64.to_le_bytes(), 2.0_f64.to_le_bytes()].concat());
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        assert!(from_bytes::<Reply>(&[]).is_err());
        assert!(from_bytes::<Reply>(&[200, 1, 2]).is_err());
        // A text of four billion bytes, of which none is here.
        assert!(from_bytes::<String>(&[255, 255, 255, 255, 15]).is_err());
    }

    #[test]
    fn a_request_survives_the_way_to_the_worker() {
        let patch: Patch = serde_json::from_str("[true, false]").unwrap();
        let request = Request::Generate {
            id: 7,
            patch,
            prompt: "\u{1F600} \"quoted\"".to_owned(),
            n_tokens: 5,
            sampling: Sampling::Random { temperature: 0.8, seed: 3 },
        };
        assert_eq!(from_bytes::<Request>(&to_bytes(&request)).unwrap(), request);
    }

    #[test]
    fn the_first_token_does_not_count_towards_the_speed() {
        let report = RunReport {
            n_tokens: 11,
            n_reused: 0,
            first_millis: 5000.0,
            rest_millis: 500.0,
            ending: Ending::Length,
        };
        assert_eq!(report.tokens_per_second(), Some(20.0));
        assert_eq!(RunReport { n_tokens: 1, ..report }.tokens_per_second(), None);
    }

    #[test]
    fn tokens_that_were_only_drawn_do_not_count_towards_the_speed() {
        let report = RunReport {
            n_tokens: 31,
            n_reused: 20,
            first_millis: 50.0,
            rest_millis: 500.0,
            ending: Ending::Length,
        };
        assert_eq!(report.tokens_per_second(), Some(20.0));
        assert_eq!(RunReport { n_reused: 31, ..report }.tokens_per_second(), None);
    }
}
