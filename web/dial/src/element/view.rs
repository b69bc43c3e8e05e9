//! The parts of the dial, as nodes of a shadow root.
//!
//! Nodes are created one by one and styles are a constructed style sheet, so that a strict policy of the
//! page allows both. Nothing of a bundle becomes markup.

use boomerang_client::family::FamilyCard;
use boomerang_client::format;
use boomerang_client::js::property;
use boomerang_engine::messages::{Ending, RunReport};
use js_sys::{Array, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    CssStyleSheet, Document, Element, HtmlButtonElement, HtmlElement, HtmlInputElement,
    HtmlProgressElement, HtmlTextAreaElement, ShadowRoot,
};

use super::curve::draw_curve;
use crate::values::SizeEntry;

const STYLE: &str = include_str!("style.css");

/// The parts that change.
pub(super) struct View {
    document: Document,
    pub(super) body: HtmlElement,
    pub(super) range: HtmlInputElement,
    pub(super) run: HtmlButtonElement,
    pub(super) stop: HtmlButtonElement,
    numbers: HtmlElement,
    curve: Element,
    prompt: HtmlTextAreaElement,
    progress: HtmlProgressElement,
    status: HtmlElement,
    text: HtmlElement,
    error: HtmlElement,
}

impl View {
    /// Draws an empty dial.
    ///
    /// # Errors
    /// What the browser refuses to create.
    pub(super) fn new(root: &ShadowRoot) -> Result<Self, JsValue> {
        let document = root.owner_document().ok_or("an element without a document")?;
        let sheet = CssStyleSheet::new()?;
        sheet.replace_sync(STYLE)?;
        Reflect::set(root, &"adoptedStyleSheets".into(), &Array::of1(&sheet))?;

        let body = part(&document, root, "div", "dial", &[("role", "group")])?;
        body.set_attribute("aria-label", "Language model with a size dial")?;
        let label = part(&document, &body, "label", "size", &[])?;
        part(&document, &label, "span", "label", &[])?.set_text_content(Some("Model size"));
        let range = [("type", "range"), ("min", "0"), ("max", "0"), ("step", "1")];
        let range: HtmlElement = part(&document, &label, "input", "range", &range)?;
        let numbers = part(&document, &body, "p", "numbers", &[])?;
        let curve = part(&document, &body, "figure", "curve", &[])?;
        let label = part(&document, &body, "label", "prompt-label", &[])?;
        part(&document, &label, "span", "label", &[])?.set_text_content(Some("Prompt"));
        let prompt = [("rows", "2"), ("spellcheck", "false")];
        let prompt = part(&document, &label, "textarea", "prompt", &prompt)?;
        let row = part(&document, &body, "div", "buttons", &[])?;
        let run = part(&document, &row, "button", "run", &[("type", "button")])?;
        let stop = part(&document, &row, "button", "stop", &[("type", "button")])?;
        stop.set_text_content(Some("Stop"));
        let status = part(&document, &row, "span", "status", &[("role", "status")])?;
        let progress = [("aria-label", "Model loaded"), ("max", "1")];
        let progress = part(&document, &body, "progress", "progress", &progress)?;
        let text = part(&document, &body, "div", "text", &[("role", "region")])?;
        text.set_attribute("aria-label", "Generated text")?;
        let error = part(&document, &body, "p", "error", &[("role", "alert")])?;
        Ok(Self {
            document,
            body,
            range: range.unchecked_into(),
            run: run.unchecked_into(),
            stop: stop.unchecked_into(),
            numbers,
            curve: curve.into(),
            prompt: prompt.unchecked_into(),
            progress: progress.unchecked_into(),
            status,
            text,
            error,
        })
    }

    pub(super) fn remove(&self) {
        self.body.remove();
    }

    /// As before a bundle is open.
    pub(super) fn clear(&self, prompt: &str) {
        self.set_prompt(prompt);
        self.set_run_label("Generate");
        self.run.set_disabled(true);
        self.stop.set_disabled(true);
        self.range.set_disabled(true);
        self.progress.set_hidden(true);
        self.text.set_hidden(true);
        self.error.set_hidden(true);
        self.numbers.set_text_content(None);
        self.status.set_text_content(None);
        self.curve.set_text_content(None);
    }

    pub(super) fn prompt(&self) -> String {
        self.prompt.value()
    }

    pub(super) fn set_prompt(&self, prompt: &str) {
        self.prompt.set_value(prompt);
    }

    pub(super) fn chosen_size(&self) -> usize {
        self.range.value_as_number() as usize
    }

    pub(super) fn set_run_label(&self, label: &str) {
        self.run.set_text_content(Some(label));
    }

    /// Shows a size on the dial, of which the smallest `n_fitting` can be chosen.
    pub(super) fn draw_size(&self, size: &SizeEntry, n_fitting: usize) {
        self.range.set_disabled(n_fitting == 0);
        self.range.set_max(&n_fitting.saturating_sub(1).to_string());
        self.range.set_value(&size.index.to_string());
        let layers = format::count(size.layers, "layer");
        let params = format::params(size.parameters);
        let words = format!("{layers}, {params} parameters");
        let _ = self.range.set_attribute("aria-valuetext", &words);
        let numbers = format!("{words}, {}", format::bytes(size.bytes));
        self.numbers.set_text_content(Some(&numbers));
    }

    pub(super) fn draw_curve(&self, card: &FamilyCard, size: &SizeEntry) {
        self.curve.set_text_content(None);
        // A browser that draws no curve has the numbers above it.
        let _ = draw_curve(&self.document, &self.curve, card, size);
    }

    pub(super) fn set_progress(&self, progress: &JsValue) {
        let number = |name| property(progress, name).and_then(|value| value.as_f64());
        let (Some(bytes), Some(total)) = (number("bytes"), number("total")) else { return };
        self.progress.set_hidden(false);
        self.progress.set_value(if total > 0.0 { bytes / total } else { 1.0 });
    }

    pub(super) fn hide_progress(&self) {
        self.progress.set_hidden(true);
    }

    pub(super) fn set_running(&self, is_running: bool) {
        self.run.set_disabled(is_running);
        self.stop.set_disabled(!is_running);
        let _ = self.text.set_attribute("aria-busy", if is_running { "true" } else { "false" });
        if is_running {
            self.status.set_text_content(Some("Generating"));
        }
    }

    /// Shows a prompt, to be continued.
    pub(super) fn begin_text(&self, prompt: &str) {
        self.error.set_hidden(true);
        self.text.set_hidden(false);
        self.text.set_text_content(None);
        if let Ok(shown) = part(&self.document, &self.text, "span", "text-prompt", &[]) {
            shown.set_text_content(Some(prompt));
        }
    }

    pub(super) fn append_text(&self, text: &str) {
        let _ = self.text.append_child(&self.document.create_text_node(text));
    }

    pub(super) fn show_report(&self, report: &RunReport) {
        let tokens = format::count(report.n_tokens, "token");
        let speed = report.tokens_per_second();
        let speed = speed.map(|speed| format!(", {} tokens/s", format::speed(speed)));
        let ending = match report.ending {
            Ending::Length => "",
            Ending::Window => ", context window full",
            Ending::EndOfText => ", end of text",
            Ending::Stopped => ", stopped",
        };
        let report = format!("{tokens}{}{ending}", speed.unwrap_or_default());
        self.status.set_text_content(Some(&report));
    }

    pub(super) fn show_error(&self, message: &str) {
        self.error.set_hidden(false);
        self.error.set_text_content(Some(message));
        self.status.set_text_content(None);
    }
}

/// A new element at the end of a parent; pages style it by the name of its part.
fn part(
    document: &Document,
    parent: &web_sys::Node,
    tag: &str,
    name: &str,
    attributes: &[(&str, &str)],
) -> Result<HtmlElement, JsValue> {
    let element = document.create_element(tag)?;
    element.set_attribute("part", name)?;
    for (attribute, value) in attributes {
        element.set_attribute(attribute, value)?;
    }
    parent.append_child(&element)?;
    Ok(element.unchecked_into())
}
