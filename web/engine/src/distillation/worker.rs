//! The program that teaches: it takes steps, and hears the page between two of them.

use std::cell::Cell;
use std::rc::Rc;

use boomerang_core::bundle::Manifest;
use burn::tensor::Device;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, MessageEvent};

use super::course::{Course, CourseError, check_room};
use super::loading::{load_teacher, read_texts, unusable};
use super::messages::{CourseSettings, PROTOCOL, Reply, Request, TaughtStep, TextsRead};
use super::texts::{Text, encode};
use crate::arrivals::Arrivals;
use crate::fetch::reason;
use crate::notice::{Notice, chain};
use crate::parcel::{pack, unpack};
use crate::turn::Turn;
use crate::worker::{now_millis, scope};

/// Answers the page's requests from now on.
pub fn serve(device: Device) {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        let next = "Start anew; fewer layers need less memory.";
        let notice = Notice::new("The teaching stopped.", panic, next);
        post(&Reply::Failed { notice }, &[]);
    }));
    let room = Rc::new(Room::new(device));
    let on_message = move |event: MessageEvent| match unpack(&event.data()) {
        Ok((request, files)) => Room::hear(&room, request, files),
        Err(error) => {
            let notice =
                Notice::new("Page and teaching do not fit together.", error, "Reload the page.");
            post(&Reply::Failed { notice }, &[]);
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    scope().set_onmessage(Some(on_message.unchecked_ref()));
    post(&Reply::Ready { protocol: PROTOCOL }, &[]);
}

/// Where a student is taught, one to a worker: what it took of memory ends with it.
struct Room {
    device: Device,
    is_paused: Cell<bool>,
    is_stopped: Cell<bool>,
    is_wanted: Cell<bool>,
    /// The page has said something.
    calls: Arrivals,
    has_course: Cell<bool>,
}

impl Room {
    fn new(device: Device) -> Self {
        Self {
            device,
            is_paused: Cell::new(false),
            is_stopped: Cell::new(false),
            is_wanted: Cell::new(false),
            calls: Arrivals::default(),
            has_course: Cell::new(false),
        }
    }

    fn hear(room: &Rc<Self>, request: Request, files: Vec<Blob>) {
        match request {
            Request::Start { manifest_url, manifest, settings, texts } => {
                if room.has_course.replace(true) {
                    return;
                }
                let room = Rc::clone(room);
                spawn_local(async move {
                    let outcome = async {
                        let texts = read_texts(texts, &files).await?;
                        room.teach(&manifest_url, &manifest, &settings, texts).await
                    };
                    if let Err(notice) = outcome.await {
                        post(&Reply::Failed { notice }, &[]);
                    }
                });
                return;
            }
            Request::Pause => room.is_paused.set(true),
            Request::Resume => room.is_paused.set(false),
            Request::Stop => room.is_stopped.set(true),
            Request::HandOver => room.is_wanted.set(true),
        }
        room.calls.tell();
    }

    /// Teaches until the course is whole, and keeps the student for whoever wants it.
    async fn teach(
        &self,
        manifest_url: &str,
        manifest: &str,
        settings: &CourseSettings,
        texts: Vec<Text>,
    ) -> Result<(), Notice> {
        let manifest = Manifest::from_json(manifest).map_err(unusable)?;
        check_room(&manifest, &settings.plan).map_err(not_taught)?;
        let (teacher, tokenizer) = load_teacher(manifest_url, &manifest, &self.device).await?;
        let vocab = teacher.model().config().vocab;
        let own = if texts.is_empty() { None } else { Some(encode(texts, &tokenizer, vocab)?) };
        let (course, texts) = match own {
            None => (Course::new(teacher, &manifest, settings), None),
            Some((documents, read)) => (Course::on(&documents, teacher, settings), Some(read)),
        };
        let mut course = course.map_err(not_taught)?;
        let n_held_out = course.n_held_out();
        let turn = Turn::new()?;
        post(&Reply::Started { texts: texts.map(|read| TextsRead { n_held_out, ..read }) }, &[]);
        tell_held_out(&course).await;
        let mut was_paused = false;
        let mut was_over = false;
        loop {
            turn.end().await;
            if self.is_wanted.replace(false) {
                hand_over(&course, &manifest).await?;
            }
            let is_over = course.is_whole() || self.is_stopped.get();
            if is_over && !was_over {
                was_over = true;
                tell_held_out(&course).await;
                post(&Reply::Ended, &[]);
            }
            let is_paused = self.is_paused.get() && !is_over;
            if is_paused != was_paused && !is_over {
                was_paused = is_paused;
                if is_paused {
                    tell_held_out(&course).await;
                }
                post(&if is_paused { Reply::Paused } else { Reply::Resumed }, &[]);
            }
            if is_over || is_paused {
                // What was said while the student was given away is heard first.
                if !self.is_wanted.get() {
                    self.calls.next().await;
                }
                continue;
            }
            let started = now_millis();
            let report = course.step().await.map_err(not_taught)?;
            let seconds = ((now_millis() - started) / 1000.0).max(1e-6);
            let step = TaughtStep {
                step: course.n_steps_done(),
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

async fn tell_held_out(course: &Course) {
    let loss = course.held_out_loss().await;
    // A number that is none says that the student diverged, which its next step says better.
    if loss.is_finite() {
        post(&Reply::HeldOut { step: course.n_steps_done(), loss }, &[]);
    }
}

/// Sends the student's files.
async fn hand_over(course: &Course, manifest: &Manifest) -> Result<(), Notice> {
    let mut files = course.files(manifest).await.map_err(not_taught)?;
    let manifest = files.pop().map(|(_, text)| text).unwrap_or_default();
    let manifest = String::from_utf8(manifest)
        .map_err(|error| Notice::new("The student cannot be given away.", error, "Start anew."))?;
    let not_given = |error: JsValue| {
        let (what, next) =
            ("The student cannot be given away.", "Close other pages, and try again.");
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

fn not_taught(error: CourseError) -> Notice {
    let next = match error {
        CourseError::Diverged { .. } => "Start anew with a smaller learning rate.",
        CourseError::Text => "Choose texts of your own, or open the page with its own bundle.",
        CourseError::Room { .. } => "Open the page with a smaller family, or teach on the desktop.",
        CourseError::TooShort(_) => "Choose longer texts, or more of them.",
        _ => "Change the settings and start anew.",
    };
    Notice::new("This student cannot be taught.", chain(&error), next)
}

pub(super) fn post(reply: &Reply, files: &[Blob]) {
    // The page only goes away together with this worker.
    let _ = scope().post_message(&pack(reply, files));
}
