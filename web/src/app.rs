//! The page: its views, between header and footer.

use leptos::prelude::*;

use crate::browser::backend::Backend;
use crate::browser::embedding::{is_embedded, is_following, report_height};
use crate::browser::focus::focus;
use crate::browser::location::{link_for_another_family, opened_link};
use crate::browser::route::Route;
use crate::browser::view::View;
use crate::components::keys::Keys;
use crate::components::navigation::Head;
use crate::components::upload_panel::accept_drops;
use crate::state::bench::Bench;
use crate::state::distillation::Distillation;
use crate::state::mirror;
use crate::state::session::{Session, Stage};
use crate::state::upload::Upload;
use crate::views::about::About;
use crate::views::compare::CompareView;
use crate::views::device::DeviceView;
use crate::views::distill::DistillView;
use crate::views::explore::Explore;
use crate::views::learn::Learn;
use crate::views::lens::LensView;
use crate::views::missing::Missing;
use crate::views::models::ModelsView;
use crate::views::start::Start;
use crate::views::sweep::SweepView;

/// The element that holds the view.
const MAIN: &str = "main";

#[component]
pub fn App() -> impl IntoView {
    let session = Session::open();
    provide_context(session);
    let bench = RwSignal::new(None::<Bench>);
    provide_context(bench);
    provide_context(Distillation::new(session));
    provide_context(Upload::new(session));
    let route = Route::start();
    provide_context(route);
    view! { <Page session bench route/> }
}

#[component]
fn Page(session: Session, bench: RwSignal<Option<Bench>>, route: Route) -> impl IntoView {
    let view = route.view;
    update_bench(session, bench, view);
    Effect::new(move |before: Option<()>| {
        document().set_title(view.get().title());
        // A view after the first is announced by moving the focus to it.
        if before.is_some() {
            focus(MAIN);
        }
    });
    let state = move || session.stage.with(Stage::name);
    let backend = move || session.choice.with(|choice| choice.as_ref().map(|it| it.backend.name()));
    let stop_on_escape = window_event_listener(leptos::ev::keydown, move |event| {
        if event.key() == "Escape" {
            session.stop();
        }
    });
    on_cleanup(move || stop_on_escape.remove());
    if is_embedded() {
        report_height();
    }
    if !is_embedded() && !is_following() {
        accept_drops(expect_context(), move || route.go(View::Models.path()));
    }
    let skip = move |event: leptos::ev::MouseEvent| {
        // Not by a fragment: the base of links is not the view's own address.
        event.prevent_default();
        focus(MAIN);
    };
    view! {
        <a class="skip-link" href="#main" on:click=skip>"Skip to the content"</a>
        {(!is_embedded()).then(|| view! { <Head view/> })}
        <main
            id=MAIN
            tabindex="-1"
            data-state=state
            data-backend=backend
            data-kept=move || session.is_offline_ready.get().to_string()
        >
            // By key: a replaced view leaves nothing behind, not even its elements.
            <For each=move || [view.get()] key=|&view| view children=render/>
        </main>
        {(!is_embedded()).then(|| view! { <Foot session/> })}
        <Keys/>
    }
}

fn render(view: View) -> AnyView {
    match view {
        View::Start => view! { <Start/> }.into_any(),
        View::Explore => view! { <Explore/> }.into_any(),
        View::Compare => view! { <CompareView/> }.into_any(),
        View::Sweep => view! { <SweepView/> }.into_any(),
        View::Lens => view! { <LensView/> }.into_any(),
        View::Device => view! { <DeviceView/> }.into_any(),
        View::Models => view! { <ModelsView/> }.into_any(),
        View::Distill => view! { <DistillView/> }.into_any(),
        View::Learn => view! { <Learn/> }.into_any(),
        View::About => view! { <About/> }.into_any(),
        View::Missing => view! { <Missing/> }.into_any(),
    }
}

/// Creates a bench for each family, and disposes of the previous one.
fn update_bench(session: Session, bench: RwSignal<Option<Bench>>, view: RwSignal<View>) {
    let page = Owner::current().unwrap_or_default();
    let owner = StoredValue::new_local(None::<Owner>);
    Effect::new(move |_| {
        let Some(family) = session.family.get() else { return };
        let own = page.child();
        let before = owner.try_update_value(|owner| owner.replace(own.clone())).flatten();
        let link = match bench.get_untracked() {
            None => opened_link(),
            Some(bench) if bench.is_of(&family) => bench.as_link(),
            Some(_) => link_for_another_family(),
        };
        own.with(|| {
            let bench_now = Bench::new(session, family, link);
            bench_now.address.keep(view);
            mirror::start(bench_now);
            bench.set(Some(bench_now));
        });
        // Not before the views have released its state.
        if let Some(before) = before {
            request_animation_frame(move || before.cleanup());
        }
    });
}

#[component]
fn Foot(session: Session) -> impl IntoView {
    let name = move || {
        session.family.with(|family| {
            family.as_ref().map(|family| format!("Model: {}. ", family.manifest().name))
        })
    };
    let where_it_runs = move || {
        session.choice.with(|choice| match choice.as_ref().map(|choice| choice.backend) {
            Some(Backend::WebGpu) => "It runs on this machine's GPU; no text is uploaded.",
            Some(Backend::Cpu) => "It runs on this machine's CPU; no text is uploaded.",
            None => "It runs on this machine; no text is uploaded.",
        })
    };
    view! {
        <footer class="foot">
            <p>
                {name} {where_it_runs} " Keys: press " <kbd>"?"</kbd> "."
            </p>
        </footer>
    }
}
