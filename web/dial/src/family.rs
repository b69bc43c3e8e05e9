//! A family: its sizes, and what programs ask of the current one.

use std::rc::Rc;

use boomerang_client::js::call;
use boomerang_engine::messages::{Answer, ModelRequest, Prompt, Question};
use js_sys::Float32Array;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::future_to_promise;
use web_sys::Event;

use crate::abort::unless_aborted;
use crate::connection::{Connection, Part};
use crate::failure::{Failure, Kind};
use crate::generation::iterate;
use crate::options::{self, GenerateSettings};
use crate::types::{
    CurveList, GenerateOptions, GenerationObject, LogitsPromise, PromptArgument, PromptOptions,
    SizeIndex, SizeList, VoidPromise,
};
use crate::values;

/// A family of model sizes in a worker of its own.
#[wasm_bindgen]
pub struct Family {
    connection: Rc<Connection>,
}

impl Family {
    pub fn new(connection: Rc<Connection>) -> Self {
        Self { connection }
    }

    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Listeners may be functions or objects, and options flags or objects: the browser accepts all of them.
    fn on_events(
        &self,
        method: &str,
        name: &str,
        listener: &JsValue,
        options: &JsValue,
    ) -> Result<(), JsValue> {
        let arguments = [name.into(), listener.clone(), options.clone()];
        call(&self.connection.events, method, &arguments).map(|_| ())
    }

    fn prompt(&self, prompt: &JsValue, is_chat: bool) -> Result<Prompt, Failure> {
        let prompt = options::prompt(prompt, is_chat)?;
        if matches!(prompt, Prompt::Chat(_)) && self.connection.card().manifest().chat.is_none() {
            let why =
                "This family has no chat template. Pass the prompt as a string, without chat.";
            return Err(Failure::new(Kind::Argument, why));
        }
        Ok(prompt)
    }
}

#[wasm_bindgen]
impl Family {
    /// The name in the bundle's manifest.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.connection.card().manifest().name.clone()
    }

    /// The same for the same weights, however they are served.
    #[wasm_bindgen(getter)]
    pub fn fingerprint(&self) -> String {
        self.connection.card().fingerprint().to_owned()
    }

    /// Example prompts, if the bundle has them.
    #[wasm_bindgen(getter)]
    pub fn prompts(&self) -> Vec<String> {
        self.connection.card().manifest().prompts.clone()
    }

    /// From the student to the teacher, as they are now.
    #[wasm_bindgen(getter)]
    pub fn sizes(&self) -> SizeList {
        values::object(&self.connection.sizes()).unchecked_into()
    }

    /// The index of the current size; 0 at first.
    #[wasm_bindgen(getter)]
    pub fn size(&self) -> usize {
        self.connection.size()
    }

    /// Every measured model: this family and its baselines.
    #[wasm_bindgen(getter)]
    pub fn curve(&self) -> CurveList {
        values::curve(self.connection.card()).unchecked_into()
    }

    /// Chooses the size of later requests. One that is not loaded yet is loaded before the others.
    #[wasm_bindgen(js_name = setSize)]
    pub fn set_size(&self, index: &SizeIndex) -> Result<(), JsValue> {
        let number = index.as_f64();
        let index =
            number.ok_or_else(|| options::refused("index", index, "an integer from 0 on"))?;
        self.connection.set_size(index).map_err(JsValue::from)
    }

    /// Continues a prompt with the current size; requests are answered in their order.
    pub fn generate(
        &self,
        prompt: &PromptArgument,
        options: Option<GenerateOptions>,
    ) -> Result<GenerationObject, JsValue> {
        self.connection.ensure_open()?;
        let settings = GenerateSettings::read(&options.map_or(JsValue::UNDEFINED, Into::into))?;
        let GenerateSettings { n_tokens, sampling, is_chat, signal } = settings;
        let prompt = self.prompt(prompt, is_chat)?;
        let ticket = self.connection.ask(|patch| ModelRequest::Generate {
            patch,
            prompt,
            n_tokens,
            sampling,
        })?;
        Ok(iterate(ticket, signal))
    }

    /// The logits of the token after a prompt, one for each token of the vocabulary.
    pub fn logits(&self, prompt: PromptArgument, options: Option<PromptOptions>) -> LogitsPromise {
        let family = Self::new(Rc::clone(&self.connection));
        let options = options.map_or(JsValue::UNDEFINED, Into::into);
        let logits = async move {
            family.connection.ensure_open()?;
            let GenerateSettings { is_chat, signal, .. } = GenerateSettings::read(&options)?;
            let prompt = family.prompt(&prompt, is_chat)?;
            let ask = async {
                let question = |patch| ModelRequest::Ask(Question::Logits { patch, prompt });
                let ticket = family.connection.ask(question)?;
                loop {
                    match ticket.next().await {
                        Part::Answer(Answer::Logits(logits)) => {
                            return Ok(Float32Array::from(&*logits).into());
                        }
                        Part::End(end) => {
                            return Err(end.err().unwrap_or_else(Failure::disposed).into());
                        }
                        Part::Text(_) | Part::Answer(_) => {}
                    }
                }
            };
            unless_aborted(signal.as_ref(), ask).await
        };
        future_to_promise(logits).unchecked_into()
    }

    /// Resolves once all sizes that fit in memory are loaded; resumes loading after an error.
    #[wasm_bindgen(js_name = whenLoaded)]
    pub fn when_loaded(&self) -> VoidPromise {
        let connection = Rc::clone(&self.connection);
        let loaded = async move {
            connection.all_loaded().await?;
            Ok(JsValue::UNDEFINED)
        };
        future_to_promise(loaded).unchecked_into()
    }

    /// Ends the worker and frees its memory; pending requests reject.
    pub fn dispose(&self) {
        self.connection.end(&Failure::disposed());
    }

    #[wasm_bindgen(js_name = addEventListener, skip_typescript)]
    pub fn add_event_listener(
        &self,
        name: &str,
        listener: &JsValue,
        options: &JsValue,
    ) -> Result<(), JsValue> {
        self.on_events("addEventListener", name, listener, options)
    }

    #[wasm_bindgen(js_name = removeEventListener, skip_typescript)]
    pub fn remove_event_listener(
        &self,
        name: &str,
        listener: &JsValue,
        options: &JsValue,
    ) -> Result<(), JsValue> {
        self.on_events("removeEventListener", name, listener, options)
    }

    #[wasm_bindgen(js_name = dispatchEvent, skip_typescript)]
    pub fn dispatch_event(&self, event: &Event) -> Result<bool, JsValue> {
        self.connection.events.dispatch_event(event)
    }
}
