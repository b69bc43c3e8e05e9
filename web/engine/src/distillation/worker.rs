//! The distillation program: it takes steps, and receives requests of the page between two of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use boomerang_core::bundle::Manifest;
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, MessageEvent};

use super::checkpoint::RunCheckpoint;
use super::glimpse::{glimpse, steps_between};
use super::loading::{load_student, load_teacher, read_texts, unusable};
use super::messages::{DistillStep, Origin, PROTOCOL, Reply, Request};
use super::run::{DistillRun, DistillRunError, SizeMeter, TrainingData, check_memory};
use super::texts::encode;
use crate::fetch::{read_blob, reason};
use crate::notice::{Notice, chain};
use crate::parcel::{pack, unpack};
use crate::turn::Turn;
use crate::waiters::Waiters;
use crate::worker::{now_millis, scope};

/// Between two checkpoints: what a reload loses at most.
const MILLIS_BETWEEN_CHECKPOINTS: f64 = 2000.0;
/// A longer wait between two steps is not the machine's: the browser has suspended the page.
const LONGEST_WAIT_MILLIS: f64 = 3000.0;

/// Answers the page's requests from now on, on the device that `device` opens.
pub fn serve(device: impl Future<Output = Result<Device, Notice>> + 'static) {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        let next = "Start again; fewer layers need less memory.";
        let notice = Notice::new("The distillation stopped.", panic, next);
        post(&Reply::Failed { notice }, &[]);
    }));
    spawn_local(async move {
        match device.await {
            Ok(device) => listen(Trainer::new(device)),
            Err(notice) => post(&Reply::Failed { notice }, &[]),
        }
    });
}

fn listen(trainer: Trainer) {
    let trainer = Rc::new(trainer);
    let on_message = move |event: MessageEvent| match unpack(&event.data()) {
        Ok((request, files)) => Trainer::on_request(&trainer, request, files),
        Err(error) => {
            let notice = Notice::new(
                "The page and the distillation worker do not match.",
                error,
                "Reload the page.",
            );
            post(&Reply::Failed { notice }, &[]);
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    scope().set_onmessage(Some(on_message.unchecked_ref()));
    post(&Reply::Ready { protocol: PROTOCOL }, &[]);
}

/// Distills one student per worker: its memory is released with the worker.
struct Trainer {
    device: Device,
    is_paused: Cell<bool>,
    is_stopped: Cell<bool>,
    /// The label of the family that is to be sent.
    requested: RefCell<Option<String>>,
    is_measuring: Cell<bool>,
    /// Notified for each request of the page.
    requests: Waiters,
    has_started: Cell<bool>,
}

/// A bundle, and how its files are fetched.
struct Source {
    manifest_url: String,
    manifest: Manifest,
}

impl Trainer {
    fn new(device: Device) -> Self {
        Self {
            device,
            is_paused: Cell::new(false),
            is_stopped: Cell::new(false),
            requested: RefCell::new(None),
            is_measuring: Cell::new(false),
            requests: Waiters::default(),
            has_started: Cell::new(false),
        }
    }

    fn on_request(trainer: &Rc<Self>, request: Request, files: Vec<Blob>) {
        match request {
            Request::Start { manifest_url, manifest, origin, is_paused } => {
                if trainer.has_started.replace(true) {
                    return;
                }
                trainer.is_paused.set(is_paused);
                let trainer = Rc::clone(trainer);
                spawn_local(async move {
                    let outcome = async {
                        let manifest = Manifest::from_json(&manifest).map_err(unusable)?;
                        let source = Source { manifest_url, manifest };
                        let (run, tokenizer) = trainer.open(&source, origin, files).await?;
                        trainer.distill(run, &source, &tokenizer).await
                    };
                    if let Err(notice) = outcome.await {
                        post(&Reply::Failed { notice }, &[]);
                    }
                });
                return;
            }
            Request::Pause => trainer.is_paused.set(true),
            Request::Resume => trainer.is_paused.set(false),
            Request::Stop => trainer.is_stopped.set(true),
            Request::HandOver { label } => {
                trainer.requested.replace(Some(label));
            }
            Request::MeasureSizes => trainer.is_measuring.set(true),
        }
        trainer.requests.notify();
    }

    /// Loads the teacher, and prunes the student from it or restores it.
    async fn open(
        &self,
        source: &Source,
        origin: Origin,
        files: Vec<Blob>,
    ) -> Result<(DistillRun, Tokenizer), Notice> {
        let Source { manifest_url, manifest } = source;
        match origin {
            Origin::New { settings, texts } => {
                let texts = read_texts(texts, &files).await?;
                check_memory(manifest, &settings.plan).map_err(not_distilled)?;
                let (teacher, tokenizer) =
                    load_teacher(manifest_url, manifest, &self.device).await?;
                let vocab = teacher.model().config().vocab;
                let data = if texts.is_empty() {
                    TrainingData::Corpus
                } else {
                    let (documents, read) = encode(texts, &tokenizer, vocab)?;
                    TrainingData::Texts(documents, read)
                };
                let run = DistillRun::new(teacher, manifest, settings, data);
                Ok((run.map_err(not_distilled)?, tokenizer))
            }
            Origin::Checkpoint { name } => {
                let not_resumed = |why: String| {
                    let next = "Delete this run, and start it again with the same settings.";
                    Notice::new(format!("{name} cannot be resumed."), why, next)
                };
                let file =
                    files.first().ok_or_else(|| not_resumed("it has no checkpoint".into()))?;
                let bytes = read_blob("the checkpoint", file, file.size() as u64).await;
                let bytes = bytes.map_err(|error| not_resumed(chain(&error)))?;
                let checkpoint = RunCheckpoint::parse(&bytes);
                let checkpoint = checkpoint.map_err(|error| not_resumed(chain(&error)))?;
                let (teacher, tokenizer) =
                    load_teacher(manifest_url, manifest, &self.device).await?;
                let run = DistillRun::restored(teacher, manifest, checkpoint);
                Ok((run.map_err(|error| not_resumed(chain(&error)))?, tokenizer))
            }
        }
    }

    /// Distills until the last step, and keeps the student until it is requested.
    async fn distill(
        &self,
        mut run: DistillRun,
        source: &Source,
        tokenizer: &Tokenizer,
    ) -> Result<(), Notice> {
        let manifest = &source.manifest;
        let prompt = manifest.prompts.first().map_or("", String::as_str);
        let turn = Turn::new()?;
        post(&Reply::Started { n_steps_done: run.n_steps_done(), texts: run.texts() }, &[]);
        if run.n_steps_done() == 0 {
            look_at(&run, tokenizer, prompt).await?;
        }
        save(&run, manifest).await?;
        let mut saved_at = now_millis();
        let mut until_next_save = MILLIS_BETWEEN_CHECKPOINTS;
        let mut was_paused = false;
        let mut was_over = false;
        let mut last_step_at = None;
        loop {
            turn.end().await;
            let label = self.requested.take();
            if let Some(label) = label {
                hand_over(&run, manifest, &label).await?;
            }
            if self.is_measuring.replace(false) {
                self.measure_sizes(&run, source, &turn).await?;
            }
            let is_over = run.is_done() || self.is_stopped.get();
            if is_over && !was_over {
                was_over = true;
                self.rest(&run, manifest, tokenizer, prompt).await?;
                post(&Reply::Ended, &[]);
            }
            let is_paused = self.is_paused.get() && !is_over;
            if is_paused != was_paused && !is_over {
                was_paused = is_paused;
                if is_paused {
                    self.rest(&run, manifest, tokenizer, prompt).await?;
                }
                post(&if is_paused { Reply::Paused } else { Reply::Resumed }, &[]);
            }
            if is_over || is_paused {
                last_step_at = None;
                // A request received while the student was sent is handled first.
                if !self.has_request() {
                    self.requests.next().await;
                }
                continue;
            }
            let started = now_millis();
            if let Some(millis) = last_step_at.map(|last: f64| started - last)
                && millis > LONGEST_WAIT_MILLIS
            {
                post(&Reply::Suspended { millis }, &[]);
            }
            let report = run.step().await.map_err(not_distilled)?;
            let seconds = ((now_millis() - started) / 1000.0).max(1e-6);
            let step = DistillStep {
                step: run.n_steps_done(),
                tokens_per_second: report.n_tokens as f64 / seconds,
                terms: report.terms,
                grad_norm: report.grad_norm,
                learning_rate: report.learning_rate,
                n_tokens: report.n_tokens,
            };
            post(&Reply::Step(step), &[]);
            let is_due = run.n_steps_done().is_multiple_of(steps_between(run.n_steps()));
            if is_due && !run.is_done() {
                look_at(&run, tokenizer, prompt).await?;
            }
            if now_millis() - saved_at > until_next_save {
                let began = now_millis();
                save(&run, manifest).await?;
                saved_at = now_millis();
                // A large student is stored for longer: at most a tenth of the time.
                until_next_save = MILLIS_BETWEEN_CHECKPOINTS.max(9.0 * (saved_at - began));
            }
            last_step_at = Some(now_millis());
        }
    }

    fn has_request(&self) -> bool {
        self.requested.borrow().is_some() || self.is_measuring.get()
    }

    /// What follows the last step before a pause or the end.
    async fn rest(
        &self,
        run: &DistillRun,
        manifest: &Manifest,
        tokenizer: &Tokenizer,
        prompt: &str,
    ) -> Result<(), Notice> {
        look_at(run, tokenizer, prompt).await?;
        save(run, manifest).await
    }

    /// Measures every size of the student, then those of the bundle's family.
    async fn measure_sizes(
        &self,
        run: &DistillRun,
        source: &Source,
        turn: &Turn,
    ) -> Result<(), Notice> {
        let Source { manifest_url, manifest } = source;
        let report = async |mut meter: SizeMeter| {
            while let Some(size) = meter.next().await {
                if !size.nats.is_finite() {
                    return Err(not_measured("the loss of a size is NaN or infinite"));
                }
                post(&Reply::SizeMeasured(size), &[]);
                turn.end().await;
            }
            Ok(())
        };
        report(run.sizes(manifest).map_err(not_distilled)?).await?;
        let own = load_student(manifest_url, manifest, &self.device).await?;
        report(run.sizes_of_bundle(manifest, own).map_err(not_distilled)?).await?;
        post(&Reply::SizesMeasured, &[]);
        Ok(())
    }
}

/// Reports the held-out loss and a glimpse.
async fn look_at(run: &DistillRun, tokenizer: &Tokenizer, prompt: &str) -> Result<(), Notice> {
    let loss = run.held_out_loss().await.map_err(not_distilled)?;
    // NaN means that the student diverged, which its next step reports.
    if loss.nats.is_finite() && loss.terms.total.is_finite() {
        post(&Reply::HeldOut(loss), &[]);
        post(&Reply::Glimpse(glimpse(run, tokenizer, prompt).await?), &[]);
    }
    Ok(())
}

/// Sends a checkpoint, or why there is none; the run continues without.
async fn save(run: &DistillRun, manifest: &Manifest) -> Result<(), Notice> {
    match run.checkpoint(manifest).await {
        Ok(checkpoint) => {
            let file = [as_blob(&checkpoint.to_bytes())?];
            post(&Reply::Saved { n_steps_done: run.n_steps_done() }, &file);
        }
        Err(error) => post(&Reply::NotSaved { why: chain(&error) }, &[]),
    }
    Ok(())
}

fn as_blob(bytes: &[u8]) -> Result<Blob, Notice> {
    let parts = Array::of1(&Uint8Array::from(bytes));
    Blob::new_with_u8_array_sequence(&parts).map_err(|error: JsValue| {
        let (what, next) =
            ("The student cannot be sent to the page.", "Close other pages and try again.");
        Notice::new(what, reason(&error), next)
    })
}

/// Sends the student's files.
async fn hand_over(run: &DistillRun, manifest: &Manifest, label: &str) -> Result<(), Notice> {
    let mut files = run.files(manifest, label).await.map_err(not_distilled)?;
    let manifest = files.pop().map(|(_, text)| text).unwrap_or_default();
    let manifest = String::from_utf8(manifest).map_err(|error| {
        Notice::new("The student cannot be sent to the page.", error, "Start again.")
    })?;
    let (mut paths, mut blobs) = (Vec::new(), Vec::new());
    for (path, bytes) in files {
        paths.push(path);
        blobs.push(as_blob(&bytes)?);
    }
    post(&Reply::HandedOver { manifest, paths }, &blobs);
    Ok(())
}

fn not_measured(why: &str) -> Notice {
    Notice::new("The sizes cannot be measured.", why, "Start again with a smaller learning rate.")
}

fn not_distilled(error: DistillRunError) -> Notice {
    let next = match error {
        DistillRunError::Diverged { .. } => "Start again with a smaller learning rate.",
        DistillRunError::Corpus => "Choose your own texts, or open the page with its own bundle.",
        DistillRunError::Memory { .. } => {
            "Open the page with a smaller family, or distill on the command line."
        }
        DistillRunError::TooShort(_) => "Choose longer texts, or more of them.",
        _ => "Change the settings and start again.",
    };
    Notice::new("This student cannot be distilled.", chain(&error), next)
}

pub(super) fn post(reply: &Reply, files: &[Blob]) {
    // The page cannot close before its worker.
    let _ = scope().post_message(&pack(reply, files));
}
