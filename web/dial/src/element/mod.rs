//! `<boomerang-dial>`: a size dial with a prompt, drawn into the shadow root of an element.
//!
//! The class of the element is in `js/element.js`; it calls [`mount`] when it is connected to a page.

mod curve;
mod view;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use boomerang_client::format;
use boomerang_engine::messages::{ModelRequest, Prompt, TextEvent};
use js_sys::Function;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{CustomEvent, Event, HtmlElement, KeyboardEvent, ShadowRoot};

use crate::connection::{Connection, Part, Ticket};
use crate::failure::Failure;
use crate::family::Family;
use crate::load::OpenedBundle;
use crate::options::{LoadSettings, sampling};
use crate::values::{self, SizeEntry};
use view::View;

/// What is drawn into one element, until it is removed from the page.
#[wasm_bindgen(skip_typescript)]
pub struct Dial {
    state: Rc<State>,
}

struct State {
    host: HtmlElement,
    view: View,
    bundle: RefCell<Option<Rc<OpenedBundle>>>,
    loaded: RefCell<Option<Loaded>>,
    size: Cell<usize>,
    /// The text that is being generated.
    ticket: RefCell<Option<Rc<Ticket>>>,
    /// How many bundles were opened; what belongs to an earlier one is ignored.
    n_opened: Cell<u32>,
}

struct Loaded {
    connection: Rc<Connection>,
    /// The same, for programs.
    family: JsValue,
}

/// Draws a dial into a shadow root and opens the bundle that the element names.
///
/// # Errors
/// What the browser refuses to create.
#[wasm_bindgen(skip_typescript)]
pub fn mount(host: HtmlElement, root: &ShadowRoot) -> Result<Dial, JsValue> {
    let view = View::new(root)?;
    let state = Rc::new(State {
        host,
        view,
        bundle: RefCell::default(),
        loaded: RefCell::default(),
        size: Cell::new(0),
        ticket: RefCell::default(),
        n_opened: Cell::new(0),
    });
    state.listen();
    state.open();
    Ok(Dial { state })
}

#[wasm_bindgen]
impl Dial {
    /// The family, once loading has started.
    #[wasm_bindgen(getter)]
    pub fn family(&self) -> JsValue {
        let loaded = self.state.loaded.borrow();
        loaded.as_ref().map_or(JsValue::UNDEFINED, |loaded| loaded.family.clone())
    }

    /// Opens the bundle that the element names now.
    pub fn reopen(&self) {
        self.state.open();
    }

    /// Ends the worker and removes what was drawn.
    pub fn dispose(&self) {
        self.state.close();
        self.state.view.remove();
    }
}

impl State {
    fn listen(self: &Rc<Self>) {
        let view = &self.view;
        self.on(&view.range, "input", |state, _| {
            state.set_size(state.view.chosen_size());
        });
        self.on(&view.run, "click", |state, _| state.generate());
        self.on(&view.stop, "click", |state, _| state.stop());
        self.on(&view.body, "keydown", |state, event| {
            let event: KeyboardEvent = event.unchecked_into();
            match event.key().as_str() {
                "Escape" => state.stop(),
                "Enter" if event.ctrl_key() || event.meta_key() => state.generate(),
                _ => {}
            }
        });
    }

    /// The element keeps its listeners as long as its parts exist; they do not keep this.
    fn on(
        self: &Rc<Self>,
        target: &web_sys::EventTarget,
        name: &str,
        act: impl Fn(&Rc<Self>, Event) + 'static,
    ) {
        let weak = Rc::downgrade(self);
        let listener = move |event: Event| {
            if let Some(state) = weak.upgrade() {
                act(&state, event);
            }
        };
        let listener: Function =
            Closure::<dyn FnMut(Event)>::new(listener).into_js_value().unchecked_into();
        let _ = target.add_event_listener_with_callback(name, &listener);
    }

    fn attribute(&self, name: &str) -> Option<String> {
        self.host.get_attribute(name).filter(|value| !value.trim().is_empty())
    }

    fn number(&self, name: &str) -> Option<f64> {
        let number: Option<f64> = self.attribute(name)?.trim().parse().ok();
        number.filter(|number| number.is_finite() && *number >= 0.0)
    }

    fn close(&self) {
        self.n_opened.set(self.n_opened.get() + 1);
        self.ticket.take();
        self.bundle.take();
        if let Some(loaded) = self.loaded.take() {
            loaded.connection.end(&Failure::disposed());
        }
    }

    /// Fetches the manifest; the weights are loaded for the first text, or at once with `autoload`.
    fn open(self: &Rc<Self>) {
        self.close();
        self.size.set(0);
        self.view.clear(&self.attribute("prompt").unwrap_or_default());
        let Some(src) = self.attribute("src") else {
            return self.view.show_error("The attribute src is missing: the address of a bundle.");
        };
        let (state, turn) = (Rc::clone(self), self.n_opened.get());
        spawn_local(async move {
            let bundle = OpenedBundle::fetch(&src).await;
            if state.n_opened.get() != turn {
                return;
            }
            match bundle {
                Err(failure) => state.fail(failure),
                Ok(bundle) => {
                    let has_prompt = state.attribute("prompt").is_some();
                    if let Some(prompt) = bundle.card.manifest().prompts.first()
                        && !has_prompt
                    {
                        state.view.set_prompt(prompt);
                    }
                    state.bundle.replace(Some(Rc::new(bundle)));
                    state.draw_size();
                    state.view.set_running(false);
                    if state.host.has_attribute("autoload") {
                        state.connection();
                    }
                }
            }
        });
    }

    /// The worker with the family, which is started first if necessary.
    fn connection(self: &Rc<Self>) -> Option<Rc<Connection>> {
        // One whose worker has crashed is replaced.
        if let Some(loaded) = &*self.loaded.borrow()
            && loaded.connection.ensure_open().is_ok()
        {
            return Some(Rc::clone(&loaded.connection));
        }
        let bundle = self.bundle.borrow().clone()?;
        let worker_url = self.attribute("worker-url");
        let settings = LoadSettings { worker_url, is_stored: true, ..LoadSettings::default() };
        let connection = match bundle.start(&settings) {
            Ok(connection) => connection,
            Err(failure) => {
                self.fail(failure);
                return None;
            }
        };
        let events = &connection.events;
        self.on(events, "progress", |state, event| {
            state.view.set_progress(&event.unchecked_into::<CustomEvent>().detail());
        });
        self.on(events, "sizechange", |state, _| state.on_size_change());
        self.on(events, "loaded", |state, _| {
            state.view.hide_progress();
            state.draw_size();
        });
        self.on(events, "error", |state, event| {
            let error = event.unchecked_into::<CustomEvent>().detail();
            state.view.hide_progress();
            state.view.show_error(&boomerang_engine::fetch::reason(&error));
            state.report("error", &error);
        });
        let family = JsValue::from(Family::new(Rc::clone(&connection)));
        let loaded = Loaded { connection: Rc::clone(&connection), family: family.clone() };
        self.loaded.replace(Some(loaded));
        if self.size.get() > 0 {
            // It was checked when it was chosen.
            let _ = connection.set_size(self.size.get() as f64);
        }
        let (state, waiting) = (Rc::clone(self), Rc::clone(&connection));
        spawn_local(async move {
            if waiting.smallest_loaded().await.is_ok() {
                state.report("ready", &family);
            }
        });
        Some(connection)
    }

    fn set_size(&self, index: usize) {
        let loaded = self.loaded.borrow().as_ref().map(|loaded| Rc::clone(&loaded.connection));
        match loaded {
            // Its event moves the dial.
            Some(connection) => {
                if let Err(failure) = connection.set_size(index as f64) {
                    self.view.show_error(&failure.message);
                }
            }
            None => {
                self.size.set(index);
                self.draw_size();
            }
        }
    }

    fn on_size_change(&self) {
        if let Some(loaded) = &*self.loaded.borrow() {
            self.size.set(loaded.connection.size());
        }
        self.draw_size();
    }

    fn sizes(&self) -> Vec<SizeEntry> {
        if let Some(loaded) = &*self.loaded.borrow() {
            return loaded.connection.sizes();
        }
        let bundle = self.bundle.borrow();
        bundle.as_ref().map_or_else(Vec::new, |bundle| {
            let n_fitting = bundle.n_fitting();
            let entry = |index| values::size(&bundle.card, index, index < n_fitting, false);
            (0..bundle.card.path().len()).map(entry).collect()
        })
    }

    fn draw_size(&self) {
        let (sizes, index) = (self.sizes(), self.size.get());
        let bundle = self.bundle.borrow();
        let (Some(bundle), Some(size)) = (bundle.as_ref(), sizes.get(index)) else { return };
        let n_fitting = sizes.iter().filter(|size| size.fits).count();
        self.view.draw_size(size, n_fitting);
        self.view.draw_curve(&bundle.card, size);
        let n_missing: u64 = match self.loaded.borrow().is_some() {
            true => 0,
            false => bundle.card.n_first_bytes(),
        };
        self.view.set_run_label(&match n_missing {
            0 => "Generate".to_owned(),
            n_bytes => format!("Generate (loads {} first)", format::bytes(n_bytes)),
        });
    }

    fn generate(self: &Rc<Self>) {
        if self.ticket.borrow().is_some() {
            return;
        }
        let Some(connection) = self.connection() else { return };
        connection.resume();
        let n_tokens = self.number("tokens").filter(|n| *n >= 1.0).unwrap_or(64.0) as usize;
        let sampling = sampling(self.number("temperature"), self.number("seed"));
        let text = self.view.prompt();
        let prompt = Prompt::Text(text.clone());
        let request = |patch| ModelRequest::Generate { patch, prompt, n_tokens, sampling };
        match connection.ask(request) {
            Err(failure) => self.fail(failure),
            Ok(ticket) => {
                let ticket = Rc::new(ticket);
                self.ticket.replace(Some(Rc::clone(&ticket)));
                self.view.begin_text(&text);
                self.view.set_running(true);
                let (state, turn) = (Rc::clone(self), self.n_opened.get());
                spawn_local(async move { state.show_text(ticket, turn).await });
            }
        }
    }

    async fn show_text(self: Rc<Self>, ticket: Rc<Ticket>, turn: u32) {
        let mut report = None;
        loop {
            let part = ticket.next().await;
            if self.n_opened.get() != turn {
                return;
            }
            match part {
                Part::Text(TextEvent::Token { text, .. }) => self.view.append_text(&text),
                Part::Text(TextEvent::Done { text, report: found }) => {
                    self.view.append_text(&text);
                    report = Some(found);
                }
                Part::Text(TextEvent::Started { .. }) | Part::Answer(_) => {}
                Part::End(end) => {
                    self.ticket.take();
                    self.view.set_running(false);
                    match (end, report) {
                        (Err(failure), _) => self.view.show_error(&failure.message),
                        (Ok(()), Some(report)) => self.view.show_report(&report),
                        (Ok(()), None) => {}
                    }
                    return;
                }
            }
        }
    }

    fn stop(&self) {
        if let Some(ticket) = &*self.ticket.borrow() {
            ticket.stop();
        }
    }

    fn fail(&self, failure: Failure) {
        self.view.show_error(&failure.message);
        self.report("error", &failure.into());
    }

    /// To listeners on the element.
    fn report(&self, name: &str, detail: &JsValue) {
        crate::connection::dispatch(&self.host, name, detail);
    }
}
