//! All runs of the view: their settings, their losses, and what can be done with them.

use boomerang_core::distill::loss::LossTerm;
use leptos::prelude::*;

use super::chart_figure::ChartFigure;
use super::download::{data_url, save};
use crate::browser::backend::Backend;
use crate::state::distillation::Distillation;
use crate::state::distillation::compare::{
    Setting, losses, losses_csv, marked, mean_over_sizes, sizes, sizes_csv, sizes_in_words,
};
use crate::state::distillation::keeping::UnreadableRun;
use crate::state::distillation::run::{DistillStage, Run, Task};
use crate::text::format;

#[component]
pub fn DistillRuns(distillation: Distillation) -> impl IntoView {
    let runs = distillation.runs;
    let keys = Memo::new(move |_| {
        runs.with(|runs| runs.iter().map(|run| run.key.clone()).collect::<Vec<_>>())
    });
    let losses = Memo::new(move |_| runs.with(|runs| losses(runs)));
    let sizes = Memo::new(move |_| runs.with(|runs| sizes(runs)));
    let losses_csv = Signal::derive(move || runs.with(|runs| losses_csv(runs)));
    let sizes_csv = Signal::derive(move || runs.with(|runs| sizes_csv(runs)));
    // The key of a run whose deletion is to be confirmed.
    let doomed = RwSignal::new(None::<String>);
    let weights = LossTerm::ALL.map(|term| {
        view! { <th scope="col">"Weight of " {term.short_name()}</th> }
    });
    let unreadable = move || {
        let runs = distillation.unreadable.get();
        runs.into_iter().map(|run| view! { <Unreadable run distillation/> }).collect_view()
    };
    let failure = move || {
        distillation.store_failure.get().map(|why| format!("This browser's storage: {why}."))
    };
    view! {
        <p role="status" id="runs-failure">{failure}</p>
        <ul class="unreadable-runs">{unreadable}</ul>
        <section hidden=move || keys.with(Vec::is_empty) aria-labelledby="runs-heading" class="teaching">
            <h2 id="runs-heading">"Runs"</h2>
            <div class="table-scroll" tabindex="0" role="region" aria-label="All runs">
                <table id="runs">
                    <thead>
                        <tr>
                            <th scope="col">"Run"</th>
                            <th scope="col">"Layers kept"</th>
                            <th scope="col">"Data"</th>
                            {weights.into_iter().collect_view()}
                            <th scope="col">"Learning rate"</th>
                            <th scope="col">"Seed"</th>
                            <th scope="col">"Steps"</th>
                            <th scope="col">"Tokens"</th>
                            <th scope="col">"Held-out loss"</th>
                            <th scope="col">"Mean over sizes"</th>
                            <th scope="col">"Actions"</th>
                        </tr>
                    </thead>
                    <tbody>
                        <For
                            each=move || keys.get()
                            key=String::clone
                            children=move |key| view! { <Row key distillation doomed/> }
                        />
                    </tbody>
                </table>
            </div>
            <p class="quiet">
                "≠: differs from the run that was repeated. Losses are cross-entropies in nats/token on \
                 held-out sequences; the mean over sizes is that of the whole family, from student to \
                 teacher, once its sizes are measured."
            </p>
            <ChartFigure id="runs-chart" name="runs" chart=losses csv=losses_csv/>
            <ChartFigure id="sizes-chart" name="sizes" chart=sizes csv=sizes_csv/>
        </section>
    }
}

/// A stored run that can only be deleted.
#[component]
fn Unreadable(run: UnreadableRun, distillation: Distillation) -> impl IntoView {
    let UnreadableRun { key, why } = run;
    let name = format!("Stored run {key} cannot be read: {why}.");
    let delete = move |_| distillation.delete_unreadable(key.clone());
    view! {
        <li>
            {name} " "
            <button type="button" class="link" on:click=delete>"Delete it"</button>
        </li>
    }
}

#[component]
fn Row(key: String, distillation: Distillation, doomed: RwSignal<Option<String>>) -> impl IntoView {
    let own = key.clone();
    let row = Memo::new(move |_| {
        distillation.runs.with(|runs| {
            let run = runs.iter().find(|run| run.key == own)?;
            Some((run.clone(), marked(run, runs)))
        })
    });
    let number = row.with_untracked(|row| row.as_ref().map_or(0, |(run, _)| run.number));
    let cell = move |setting: Setting, text: fn(&Run) -> String| {
        view! { <Cell setting text row/> }
    };
    let weights = LossTerm::ALL.map(|term| {
        let text = move |run: &Run| term.weight(&run.record.settings.loss).to_string();
        let setting = Setting::Weight(term);
        view! { <Cell setting text row/> }
    });
    let plain = move |text: fn(&Run) -> String| {
        move || row.with(|row| row.as_ref().map(|(run, _)| text(run)))
    };
    let select = {
        let key = key.clone();
        move |_| distillation.selected_key.set(Some(key.clone()))
    };
    let is_selected = {
        let key = key.clone();
        Memo::new(move |_| distillation.selected_key.with(|it| it.as_ref() == Some(&key)))
    };
    view! {
        <tr
            data-run=number.to_string()
            data-state=plain(|run| run.stage.name().to_owned())
            class:is-here=move || is_selected.get()
        >
            <th scope="row">
                <button
                    type="button"
                    class="link run-show"
                    aria-pressed=move || is_selected.get().to_string()
                    on:click=select
                >
                    "Run " {number}
                </button>
                <br/>
                <small>{plain(status)}</small>
            </th>
            {cell(Setting::Layers, layers)}
            {cell(Setting::Texts, data)}
            {weights.into_iter().collect_view()}
            {cell(Setting::LearningRate, |run| run.record.settings.learning_rate.to_string())}
            {cell(Setting::Seed, |run| run.record.settings.seed.to_string())}
            {cell(Setting::Steps, steps)}
            <td>{plain(|run| run.record.n_tokens().to_string())}</td>
            <td class="held-out">{plain(held_out)}</td>
            <td class="mean-over-sizes" title=plain(|run| sizes_in_words(&run.record))>
                {plain(mean)}
            </td>
            <td><Actions key row distillation doomed/></td>
        </tr>
    }
}

/// A run, with the settings in which it differs from the one that it repeats.
type MarkedRun = Memo<Option<(Run, std::collections::BTreeSet<Setting>)>>;

/// A setting, marked where it differs.
#[component]
fn Cell(
    setting: Setting,
    text: impl Fn(&Run) -> String + Send + Sync + 'static,
    row: MarkedRun,
) -> impl IntoView {
    let differs = Memo::new(move |_| {
        row.with(|row| row.as_ref().is_some_and(|(_, marked)| marked.contains(&setting)))
    });
    let words = move || row.with(|row| row.as_ref().map(|(run, _)| text(run)));
    let mark = move || {
        differs.get().then(|| {
            view! {
                <span aria-hidden="true">"≠ "</span>
                <span class="visually-hidden">"differs: "</span>
            }
        })
    };
    view! { <td class:setting-differs=move || differs.get()>{mark} {words}</td> }
}

#[component]
fn Actions(
    key: String,
    row: MarkedRun,
    distillation: Distillation,
    doomed: RwSignal<Option<String>>,
) -> impl IntoView {
    let key = StoredValue::new(key);
    let fits = Memo::new(move |_| {
        let teacher = distillation.teacher().fingerprint;
        row.with(|row| row.as_ref().is_some_and(|(run, _)| run.teacher.fingerprint == teacher))
    });
    let of = move |read: fn(&Run) -> bool| {
        Memo::new(move |_| {
            fits.get() && row.with(|row| row.as_ref().is_some_and(|(run, _)| read(run)))
        })
    };
    let (is_idle, can_resume) = (of(Run::is_idle), of(Run::can_resume));
    let request = move |task: Task| move |_| distillation.request(&key.get_value(), task);
    let repeat = move |_| {
        row.with_untracked(|row| {
            if let Some((run, _)) = row {
                distillation.settings.copy(run.number, &run.record.settings);
            }
        });
        if let Some(form) = document().get_element_by_id("teach-steps") {
            form.scroll_into_view();
        }
    };
    let download = move |_| {
        row.with_untracked(|row| {
            if let Some((run, _)) = row {
                let csv = data_url("text/csv", &run.record.csv());
                save(&format!("run-{}.csv", run.number), &csv);
            }
        });
    };
    let is_doomed = Memo::new(move |_| {
        key.with_value(|key| doomed.with(|doomed| doomed.as_ref() == Some(key)))
    });
    let delete = move |_| {
        if is_doomed.get_untracked() {
            doomed.set(None);
            distillation.delete(key.get_value());
        } else {
            doomed.set(Some(key.get_value()));
        }
    };
    let other = move || (!fits.get()).then_some("Of another teacher.");
    view! {
        <div class="button-row run-actions">
            <button type="button" class="run-dial" disabled=move || !is_idle.get() on:click=request(Task::PutOnDial)>
                "Put on the dial"
            </button>
            <button type="button" class="run-measure" disabled=move || !is_idle.get() on:click=request(Task::MeasureSizes)>
                "Measure all sizes"
            </button>
            <button
                type="button"
                class="run-resume"
                hidden=move || !can_resume.get()
                on:click=move |_| distillation.resume(&key.get_value())
            >
                "Resume"
            </button>
            <button type="button" class="run-again" disabled=move || !fits.get() on:click=repeat>
                "Run again with one change"
            </button>
            <button type="button" class="run-save" on:click=download>"Download CSV"</button>
            <button
                type="button"
                class="run-delete"
                on:click=delete
                on:blur=move |_| doomed.set(None)
            >
                {move || if is_doomed.get() { "Really delete" } else { "Delete" }}
            </button>
            <span class="quiet">{other}</span>
        </div>
    }
}

fn layers(run: &Run) -> String {
    let kept: Vec<String> = run.record.settings.plan.kept().iter().map(usize::to_string).collect();
    kept.join(" ")
}

fn data(run: &Run) -> String {
    match run.record.text_names() {
        [] => "corpus".to_owned(),
        names => names.join(", "),
    }
}

fn steps(run: &Run) -> String {
    let (n_done, n_steps) = (run.record.steps.len(), run.record.settings.n_steps);
    if n_done == n_steps { n_steps.to_string() } else { format!("{n_done} of {n_steps}") }
}

fn held_out(run: &Run) -> String {
    run.record.held_out.last().map_or_else(|| "–".to_owned(), |loss| format!("{:.3}", loss.nats))
}

fn mean(run: &Run) -> String {
    match (Distillation::n_measured(run), mean_over_sizes(&run.record)) {
        (Some(n), _) => format!("measuring, {} so far", format::count(n, "size")),
        (None, Some(mean)) => format!("{mean:.3}"),
        (None, None) => "not measured".to_owned(),
    }
}

fn status(run: &Run) -> String {
    let stage = match run.stage {
        DistillStage::Queued => "waiting for a core",
        DistillStage::Starting | DistillStage::Loading { .. } => "loading",
        DistillStage::Running => "running",
        DistillStage::Paused => "paused",
        DistillStage::Stopped => "stopped",
        DistillStage::Ended => "done",
        DistillStage::Failed => "failed",
    };
    match run.record.backend {
        Backend::Cpu => stage.to_owned(),
        Backend::WebGpu => format!("{stage}, GPU"),
    }
}
