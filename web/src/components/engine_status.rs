//! Where the model runs and why, and how much of it is loaded.

use leptos::prelude::*;

use super::notice_box::NoticeBox;
use crate::browser::backend::{Backend, BackendChoice};
use crate::browser::{bundle_source, link_speed};
use crate::state::session::{Progress, Session, Stage};
use crate::state::stored::badge;
use crate::text::format;

#[component]
pub fn EngineStatus(session: Session) -> impl IntoView {
    let backend = move || {
        session.choice.with(|choice| {
            let BackendChoice { backend, reason, .. } = choice.as_ref()?;
            let device = match backend {
                Backend::Cpu => "CPU",
                Backend::WebGpu => "WebGPU",
            };
            Some(view! {
                <p class="backend" id="backend">
                    <span class="badge">{device}</span>
                    " " {reason.clone()}
                </p>
            })
        })
    };
    // The same for all stages in which an engine runs, so that it is not redrawn between them.
    let stage = Memo::new(move |_| match session.stage.get() {
        Stage::Loading | Stage::Ready | Stage::Busy(_) => None,
        other => Some(other),
    });
    let offer = move || match stage.get()? {
        Stage::Opening => Some(view! { <p class="quiet">"Opening the bundle …"</p> }.into_any()),
        Stage::AskingForServer { origin } => Some(view! { <AskForServer origin/> }.into_any()),
        Stage::Offered => Some(view! { <Offer session/> }.into_any()),
        Stage::Failed(notice) => Some(
            view! {
                <NoticeBox notice>
                    <Retry session/>
                </NoticeBox>
            }
            .into_any(),
        ),
        Stage::Loading | Stage::Ready | Stage::Busy(_) => None,
    };
    let progress = session.progress;
    let is_loading = Memo::new(move |_| progress.with(Option::is_some));
    let interruption = move || {
        session.interruption.get().map(|notice| {
            view! {
                <NoticeBox notice>
                    <p class="button-row">
                        <button id="load-rest" on:click=move |_| session.load_rest()>
                            "Load the rest"
                        </button>
                        <span class="quiet">"Sizes that are already loaded still work."</span>
                    </p>
                </NoticeBox>
            }
        })
    };
    view! {
        <div class="engine-status">
            {offer}
            {backend}
            <Show when=move || is_loading.get()>
                <Loading session progress=Signal::derive(move || progress.get().unwrap_or_default())/>
            </Show>
            <StoredStatus session/>
            <Unresponsive session/>
            {move || {
                session.memory_limit.get().map(|limit| {
                    view! { <p class="not-kept" role="status" id="tight">{limit.message}</p> }
                })
            }}
            {interruption}
        </div>
    }
}

/// A worker that does not answer: it may be busy with a long text.
#[component]
fn Unresponsive(session: Session) -> impl IntoView {
    let words = move || {
        let n_seconds = session.unresponsive_seconds.get()?;
        let words = format!(
            "The model's worker has not answered for {n_seconds} seconds. A long text takes time; Stop ends \
             it, and loads the model again if necessary."
        );
        Some(view! { <p class="not-kept" role="status" id="unresponsive">{words}</p> })
    };
    view! { {words} }
}

/// How much of the model is stored in this browser; hidden while the progress bar is shown.
#[component]
fn StoredStatus(session: Session) -> impl IntoView {
    let stored = session.stored;
    let words = Memo::new(move |_| {
        if session.progress.with(Option::is_some) {
            return None;
        }
        let fingerprint = session
            .family
            .with(|family| family.as_ref().map(|family| family.fingerprint().to_owned()))?;
        stored.report.with(|report| badge(report.as_ref()?, &fingerprint, stored.is_offline.get()))
    });
    let not_kept = move || {
        let words = stored.not_kept.get()?;
        Some(view! { <p class="not-kept" role="status" id="not-kept">{words}</p> })
    };
    view! {
        <p class="kept" role="status" id="kept">{move || words.get()}</p>
        {not_kept}
    }
}

/// The progress bar, in bytes, with the time that is left.
#[component]
fn Loading(session: Session, progress: Signal<Progress>) -> impl IntoView {
    let first = session
        .family
        .with_untracked(|family| family.as_ref().map_or(0, |family| family.n_first_bytes()));
    // What was loaded when, since the first bytes: what is stored here comes at another speed.
    let began = StoredValue::new(None::<(f64, u64)>);
    let is_first = Memo::new(move |_| session.stage.with(|stage| *stage == Stage::Loading));
    let words = move || {
        progress.with(|&Progress { bytes, total, .. }| {
            if total == 0 {
                return "the program".to_owned();
            }
            let now = now_millis();
            let (then, before) = began.get_value().unwrap_or((now, bytes));
            began.set_value(Some((then, before)));
            // The files of the smallest size come first.
            let (what, end) = match is_first.get() {
                true if bytes < first => ("until the smallest size is ready", first),
                _ => ("left", total),
            };
            let left = seconds_left(bytes - before.min(bytes), now - then, end - bytes.min(end));
            let left = left.map(|left| format!(", about {} {what}", format::seconds(left)));
            let (bytes, total) = (format::bytes(bytes), format::bytes(total));
            format!("{bytes} of {total}{}", left.unwrap_or_default())
        })
    };
    let bytes = move || progress.with(|progress| progress.bytes.to_string());
    let total = move || progress.with(|progress| progress.total.max(1).to_string());
    let path = move || progress.with(|progress| progress.path.clone());
    view! {
        <div class="loading">
            <label for="progress">"Loading"</label>
            <progress id="progress" value=bytes max=total title=path></progress>
            <span id="progress-words">{words}</span>
        </div>
    }
}

/// At the speed so far; `None` before it is known.
fn seconds_left(n_done: u64, millis: f64, n_left: u64) -> Option<f64> {
    let is_known = n_done > 0 && millis >= LEAST_MILLIS;
    is_known.then(|| n_left as f64 / n_done as f64 * millis / 1000.0)
}

/// A shorter time says little about a network.
const LEAST_MILLIS: f64 = 1500.0;

fn now_millis() -> f64 {
    js_sys::Date::now()
}

/// Another server is not contacted without the user's permission.
#[component]
fn AskForServer(origin: String) -> impl IntoView {
    let server = origin.clone();
    let fetch = move |_| {
        bundle_source::allow(&origin);
        // If the browser refuses, the page still asks.
        let _ = window().location().reload();
    };
    view! {
        <div class="offer">
            <p>
                "This link opens a model on another server, " <strong>{server}</strong>
                ". That server sees your network address when the model is loaded; your prompts are \
                 not sent."
            </p>
            <p class="button-row">
                <button class="primary" id="ask-elsewhere" on:click=fetch>"Allow and load"</button>
                <a id="not-elsewhere" href="./" rel="external">"Open the page's own model"</a>
            </p>
        </div>
    }
}

#[component]
fn Offer(session: Session) -> impl IntoView {
    let first = session
        .family
        .with_untracked(|family| family.as_ref().map_or(0, |family| family.n_first_bytes()));
    // Of another server nothing is known.
    let speed = link_speed::bytes_per_second().filter(|_| !session.is_elsewhere());
    let time = move |n_bytes: u64| {
        let seconds = speed.map(|speed| n_bytes as f64 / speed);
        seconds.map_or_else(String::new, |seconds| format!(", about {}", format::seconds(seconds)))
    };
    let all = move || session.bytes_to_load();
    let size = move || {
        let (all, n_stored) = (all(), session.n_stored_bytes.get());
        let bytes = format::bytes(all);
        match n_stored {
            0 => format!("{bytes}{}", time(all)),
            n_stored if n_stored >= all => format!("{bytes}, stored in this browser"),
            n_stored => {
                let (stored, left) = (format::bytes(n_stored), time(all - n_stored));
                format!("{bytes}, {stored} of it stored in this browser{left}")
            }
        }
    };
    view! {
        <div class="offer">
            <p>
                "Dial, curve and recorded texts work without the model. Load the model to try your own \
                 prompt; the smallest size is ready after " {format::bytes(first)} {time(first)} "."
            </p>
            <button class="primary" id="load" on:click=move |_| session.load()>
                "Load the model (" {size} ")"
            </button>
        </div>
    }
}

/// What the user can do after a failure.
#[component]
fn Retry(session: Session) -> impl IntoView {
    let has_family = session.family.with_untracked(Option::is_some);
    let was_gpu = session.choice.with_untracked(|choice| {
        choice.as_ref().is_some_and(|choice| choice.backend == Backend::WebGpu)
    });
    let retry = has_family.then(|| {
        view! {
            <button id="try-again" on:click=move |_| session.load()>"Try again"</button>
        }
    });
    let cpu = (has_family && was_gpu).then(|| {
        view! {
            <button id="use-cpu" on:click=move |_| session.load_on_cpu()>"Use the CPU"</button>
        }
    });
    view! { <p class="button-row">{cpu} {retry}</p> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_speed_so_far() {
        assert_eq!(seconds_left(20, 2000.0, 80), Some(8.0));
        assert_eq!([seconds_left(20, 100.0, 80), seconds_left(0, 9000.0, 80)], [None, None]);
    }
}
