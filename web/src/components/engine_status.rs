//! Where the model runs and why, and how much of it is here.

use std::collections::HashSet;

use leptos::prelude::*;

use super::notice_box::NoticeBox;
use crate::browser::backend::{Backend, BackendChoice};
use crate::browser::bundle_source;
use crate::state::session::{Progress, Session, Stage};
use crate::state::stored::badge;
use crate::text::format;

#[component]
pub fn EngineStatus(session: Session) -> impl IntoView {
    let backend = move || {
        session.choice.with(|choice| {
            let BackendChoice { backend, reason, .. } = choice.as_ref()?;
            let place = match backend {
                Backend::Cpu => "CPU",
                Backend::WebGpu => "WebGPU",
            };
            Some(view! {
                <p class="backend" id="backend">
                    <span class="badge">{place}</span>
                    " " {reason.clone()}
                </p>
            })
        })
    };
    // Chunks and tokens come often; what is shown here changes seldom.
    let seldom = Memo::new(move |_| match session.stage.get() {
        Stage::Loading | Stage::Ready | Stage::Generating => Stage::Ready,
        other => other,
    });
    let seldom = move || match seldom.get() {
        Stage::Opening => view! { <p class="quiet">"Opening the bundle …"</p> }.into_any(),
        Stage::Asking { origin } => view! { <Ask origin/> }.into_any(),
        Stage::Offered => view! { <Offer session/> }.into_any(),
        Stage::Failed(notice) => view! {
            <NoticeBox notice>
                <Ways session/>
            </NoticeBox>
        }
        .into_any(),
        Stage::Loading | Stage::Ready | Stage::Generating => ().into_any(),
    };
    let progress = session.progress;
    let is_loading = Memo::new(move |_| progress.with(Option::is_some));
    let gap = move || {
        session.gap.get().map(|notice| {
            view! {
                <NoticeBox notice>
                    <p class="button-row">
                        <button id="load-rest" on:click=move |_| session.load_rest()>
                            "Load the rest"
                        </button>
                        <span class="quiet">"Sizes that are here go on writing."</span>
                    </p>
                </NoticeBox>
            }
        })
    };
    view! {
        <div class="engine-status">
            {seldom}
            {backend}
            <Show when=move || is_loading.get()>
                <Loading progress=Signal::derive(move || progress.get().unwrap_or_default())/>
            </Show>
            <Kept session/>
            {move || {
                session.tight.get().map(|(_, words)| {
                    view! { <p class="not-kept" role="status" id="tight">{words}</p> }
                })
            }}
            {gap}
        </div>
    }
}

/// How much of the model this browser keeps; while files arrive the bar says more.
#[component]
fn Kept(session: Session) -> impl IntoView {
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

/// A byte-accurate bar.
#[component]
fn Loading(progress: Signal<Progress>) -> impl IntoView {
    let words = move || {
        progress.with(|Progress { bytes, total, .. }| {
            if *total == 0 {
                "the program".to_owned()
            } else {
                format!("{} of {}", format::bytes(*bytes), format::bytes(*total))
            }
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

/// A link alone does not have another server asked.
#[component]
fn Ask(origin: String) -> impl IntoView {
    let server = origin.clone();
    let fetch = move |_| {
        bundle_source::allow(&origin);
        // A page that cannot be opened anew is still asking.
        let _ = window().location().reload();
    };
    view! {
        <div class="offer">
            <p>
                "This address asks for a model on another server, " <strong>{server}</strong>
                ". It learns your network address when the model is fetched; what you write stays \
                 here."
            </p>
            <p class="button-row">
                <button class="primary" id="ask-elsewhere" on:click=fetch>"Fetch from it"</button>
                <a id="not-elsewhere" href="./" rel="external">"Open the page's own model"</a>
            </p>
        </div>
    }
}

#[component]
fn Offer(session: Session) -> impl IntoView {
    let (all, first) = session.family.with_untracked(|family| {
        family.as_ref().map_or((0, 0), |family| {
            let student = &family.path()[0];
            (family.manifest().n_bytes(), family.n_missing_bytes(student, &HashSet::new()))
        })
    });
    let is_here = move || {
        let kept = session.n_bytes_kept.get();
        match kept {
            0 => String::new(),
            kept if kept == all => ", kept in this browser".to_owned(),
            kept => format!(", {} of it kept in this browser", format::bytes(kept)),
        }
    };
    view! {
        <div class="offer">
            <p>
                "Dial, curve and recorded texts work already. Your own words need the model; its \
                 smallest size comes first and writes after " {format::bytes(first)} "."
            </p>
            <button class="primary" id="load" on:click=move |_| session.load()>
                "Load the model (" {format::bytes(all)} {is_here} ")"
            </button>
        </div>
    }
}

/// Ways on after a failure.
#[component]
fn Ways(session: Session) -> impl IntoView {
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
