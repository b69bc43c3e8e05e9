//! The distillation program: it takes steps, and receives requests of the page between two of them.

use std::cell::Cell;
use std::rc::Rc;

use boomerang_core::bundle::Manifest;
use burn::tensor::Device;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, MessageEvent};

use super::loading::{load_teacher, read_texts, unusable};
use super::messages::{DistillSettings, DistillStep, PROTOCOL, Reply, Request, TextsRead};
use super::run::{DistillRun, DistillRunError, check_memory};
use super::texts::{Text, encode};
use crate::fetch::reason;
use crate::notice::{Notice, chain};
use crate::parcel::{pack, unpack};
use crate::turn::Turn;
use crate::waiters::Waiters;
use crate::worker::{now_millis, scope};

/// Answers the page's requests from now on.
pub fn serve(device: Device) {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        let next = "Start again; fewer layers need less memory.";
        let notice = Notice::new("The distillation stopped.", panic, next);
        post(&Reply::Failed { notice }, &[]);
    }));
    let trainer = Rc::new(Trainer::new(device));
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
    is_requested: Cell<bool>,
    /// Notified for each request of the page.
    requests: Waiters,
    has_started: Cell<bool>,
}

impl Trainer {
    fn new(device: Device) -> Self {
        Self {
            device,
            is_paused: Cell::new(false),
            is_stopped: Cell::new(false),
            is_requested: Cell::new(false),
            requests: Waiters::default(),
            has_started: Cell::new(false),
        }
    }

    fn on_request(trainer: &Rc<Self>, request: Request, files: Vec<Blob>) {
        match request {
            Request::Start { manifest_url, manifest, settings, texts } => {
                if trainer.has_started.replace(true) {
                    return;
                }
                let trainer = Rc::clone(trainer);
                spawn_local(async move {
                    let outcome = async {
                        let texts = read_texts(texts, &files).await?;
                        trainer.distill(&manifest_url, &manifest, &settings, texts).await
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
            Request::HandOver => trainer.is_requested.set(true),
        }
        trainer.requests.notify();
    }

    /// Distills until the last step, and keeps the student until it is requested.
    async fn distill(
        &self,
        manifest_url: &str,
        manifest: &str,
        settings: &DistillSettings,
        texts: Vec<Text>,
    ) -> Result<(), Notice> {
        let manifest = Manifest::from_json(manifest).map_err(unusable)?;
        check_memory(&manifest, &settings.plan).map_err(not_distilled)?;
        let (teacher, tokenizer) = load_teacher(manifest_url, &manifest, &self.device).await?;
        let vocab = teacher.model().config().vocab;
        let own = if texts.is_empty() { None } else { Some(encode(texts, &tokenizer, vocab)?) };
        let (run, texts) = match own {
            None => (DistillRun::new(teacher, &manifest, settings), None),
            Some((documents, read)) => (DistillRun::on(&documents, teacher, settings), Some(read)),
        };
        let mut run = run.map_err(not_distilled)?;
        let n_held_out = run.n_held_out();
        let turn = Turn::new()?;
        post(&Reply::Started { texts: texts.map(|read| TextsRead { n_held_out, ..read }) }, &[]);
        report_held_out(&run).await;
        let mut was_paused = false;
        let mut was_over = false;
        loop {
            turn.end().await;
            if self.is_requested.replace(false) {
                hand_over(&run, &manifest).await?;
            }
            let is_over = run.is_done() || self.is_stopped.get();
            if is_over && !was_over {
                was_over = true;
                report_held_out(&run).await;
                post(&Reply::Ended, &[]);
            }
            let is_paused = self.is_paused.get() && !is_over;
            if is_paused != was_paused && !is_over {
                was_paused = is_paused;
                if is_paused {
                    report_held_out(&run).await;
                }
                post(&if is_paused { Reply::Paused } else { Reply::Resumed }, &[]);
            }
            if is_over || is_paused {
                // A request received while the student was sent is handled first.
                if !self.is_requested.get() {
                    self.requests.next().await;
                }
                continue;
            }
            let started = now_millis();
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
        }
    }
}

async fn report_held_out(run: &DistillRun) {
    // NaN means that the student diverged, which its next step reports.
    if let Some(loss) = run.held_out_loss().await.ok().filter(|loss| loss.is_finite()) {
        post(&Reply::HeldOut { step: run.n_steps_done(), loss }, &[]);
    }
}

/// Sends the student's files.
async fn hand_over(run: &DistillRun, manifest: &Manifest) -> Result<(), Notice> {
    let mut files = run.files(manifest).await.map_err(not_distilled)?;
    let manifest = files.pop().map(|(_, text)| text).unwrap_or_default();
    let manifest = String::from_utf8(manifest).map_err(|error| {
        Notice::new("The student cannot be sent to the page.", error, "Start again.")
    })?;
    let not_given = |error: JsValue| {
        let (what, next) =
            ("The student cannot be sent to the page.", "Close other pages and try again.");
        Notice::new(what, reason(&error), next)
    };
    let (mut paths, mut blobs) = (Vec::new(), Vec::new());
    for (path, bytes) in files {
        let parts = Array::of1(&Uint8Array::from(&*bytes));
        paths.push(path);
        blobs.push(Blob::new_with_u8_array_sequence(&parts).map_err(not_given)?);
    }
    post(&Reply::HandedOver { manifest, paths }, &blobs);
    Ok(())
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
