//! A text as it is generated: an asynchronous iterator of its pieces.

use std::cell::RefCell;
use std::rc::Rc;

use boomerang_engine::messages::TextEvent;
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::future_to_promise;
use web_sys::AbortSignal;

use crate::abort::{AbortListener, unless_aborted};
use crate::connection::{Part, Ticket};
use crate::types::GenerationObject;
use crate::values;

#[wasm_bindgen(raw_module = "./platform.js")]
extern "C" {
    #[wasm_bindgen(js_name = asyncIterable)]
    fn async_iterable(iterator: JsValue) -> JsValue;
}

/// The iterator; `Generation` of the declarations.
#[wasm_bindgen(skip_typescript)]
pub struct TextGeneration {
    state: Rc<State>,
}

struct State {
    /// Until the text has ended.
    ticket: RefCell<Option<Rc<Ticket>>>,
    report: RefCell<JsValue>,
    signal: Option<AbortSignal>,
    _listener: Option<AbortListener>,
}

/// An iterator over what a request is answered with.
pub fn iterate(ticket: Ticket, signal: Option<AbortSignal>) -> GenerationObject {
    let ticket = Rc::new(ticket);
    // A program that reads no further piece would not notice the signal.
    let listener = signal.as_ref().map(|signal| {
        let ticket = Rc::downgrade(&ticket);
        let stop = move || {
            if let Some(ticket) = ticket.upgrade() {
                ticket.stop();
            }
        };
        AbortListener::new(signal, stop)
    });
    let state = State {
        ticket: RefCell::new(Some(ticket)),
        report: RefCell::new(JsValue::UNDEFINED),
        signal,
        _listener: listener,
    };
    let iterator = TextGeneration { state: Rc::new(state) };
    async_iterable(iterator.into()).unchecked_into()
}

#[wasm_bindgen]
impl TextGeneration {
    pub fn next(&self) -> Promise {
        let state = Rc::clone(&self.state);
        future_to_promise(async move { state.next().await })
    }

    /// Called at the end of a `for await` loop that is left early.
    #[wasm_bindgen(js_name = "return")]
    pub fn end(&self) -> Promise {
        if let Some(ticket) = self.state.ticket.take() {
            ticket.stop();
        }
        Promise::resolve(&result(true, &JsValue::UNDEFINED))
    }
}

impl State {
    async fn next(&self) -> Result<JsValue, JsValue> {
        loop {
            let Some(ticket) = self.ticket.borrow().clone() else {
                return Ok(result(true, &JsValue::UNDEFINED));
            };
            let part = unless_aborted(self.signal.as_ref(), async { Ok(ticket.next().await) });
            let part = part.await.inspect_err(|_| drop(self.ticket.take()))?;
            match part {
                Part::Text(TextEvent::Token { token, text }) => {
                    return Ok(result(false, &piece(&text, Some(token))));
                }
                Part::Text(TextEvent::Done { text, report }) => {
                    self.report.replace(values::report(&report));
                    if !text.is_empty() {
                        return Ok(result(false, &piece(&text, None)));
                    }
                }
                Part::Text(TextEvent::Started { .. }) | Part::Answer(_) => {}
                Part::End(end) => {
                    self.ticket.take();
                    end?;
                    return Ok(result(true, &self.report.borrow()));
                }
            }
        }
    }
}

fn piece(text: &str, token: Option<u32>) -> JsValue {
    let piece = Object::new();
    set(&piece, "text", &text.into());
    if let Some(token) = token {
        set(&piece, "token", &token.into());
    }
    piece.into()
}

fn result(is_done: bool, value: &JsValue) -> JsValue {
    let result = Object::new();
    set(&result, "done", &is_done.into());
    set(&result, "value", value);
    result.into()
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // A plain object takes every property.
    let _ = Reflect::set(object, &name.into(), value);
}
