//! The arguments of functions: plain objects of a program, checked.

use boomerang_client::js::property;
use boomerang_core::generate::Sampling;
use boomerang_engine::messages::{ChatMessage, Prompt};
use js_sys::{Array, Function};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortSignal, Url};

use crate::failure::{Failure, Kind};

/// `LoadOptions` of the declarations.
#[derive(Default)]
pub struct LoadSettings {
    pub on_progress: Option<Function>,
    pub signal: Option<AbortSignal>,
    pub worker_url: Option<String>,
    pub is_stored: bool,
}

/// `GenerateOptions` of the declarations.
pub struct GenerateSettings {
    pub n_tokens: usize,
    pub sampling: Sampling,
    pub is_chat: bool,
    pub signal: Option<AbortSignal>,
}

/// More than any model's context window has.
const MOST_TOKENS: f64 = 1e7;
/// Up to here, every integer is a number of JavaScript.
const MOST_SEED: f64 = 9_007_199_254_740_991.0;

impl LoadSettings {
    /// # Errors
    /// [`Kind::Argument`] for an option of another type than declared; `undefined` counts as left out.
    pub fn read(options: &JsValue) -> Result<Self, Failure> {
        let options = Options::new(options)?;
        Ok(Self {
            on_progress: options.instance("onProgress", "a function")?,
            signal: options.instance("signal", "an AbortSignal")?,
            worker_url: options.get("workerUrl").map(|url| address(&url)).transpose()?,
            is_stored: options.flag("store", true)?,
        })
    }
}

impl GenerateSettings {
    /// # Errors
    /// [`Kind::Argument`] for an option of another type or range than declared.
    pub fn read(options: &JsValue) -> Result<Self, Failure> {
        let options = Options::new(options)?;
        let seed = options.number("seed", "an integer from 0 on", |seed| {
            seed.fract() == 0.0 && (0.0..=MOST_SEED).contains(&seed)
        })?;
        let temperature = options
            .number("temperature", "a number from 0 on", |it| it.is_finite() && it >= 0.0)?;
        let n_tokens = options.number("tokens", "an integer from 1 on", |n| {
            n.fract() == 0.0 && (1.0..=MOST_TOKENS).contains(&n)
        })?;
        Ok(Self {
            n_tokens: n_tokens.unwrap_or(64.0) as usize,
            sampling: sampling(temperature, seed),
            is_chat: options.flag("chat", false)?,
            signal: options.instance("signal", "an AbortSignal")?,
        })
    }
}

/// As on the command line, where temperature 0 is greedy; a seed alone means sampling, too.
pub fn sampling(temperature: Option<f64>, seed: Option<f64>) -> Sampling {
    let usual = if seed.is_some() { 1.0 } else { 0.0 };
    match temperature.unwrap_or(usual) {
        temperature if temperature > 0.0 => {
            Sampling::Random { temperature, seed: seed.unwrap_or(0.0) as u64 }
        }
        _ => Sampling::Greedy,
    }
}

/// # Errors
/// [`Kind::Argument`] unless it is a text, or messages that end with one of the user.
pub fn prompt(value: &JsValue, is_chat: bool) -> Result<Prompt, Failure> {
    if let Some(text) = value.as_string() {
        let message = |text| Prompt::Chat(vec![ChatMessage::user(text)]);
        return Ok(if is_chat { message(text) } else { Prompt::Text(text) });
    }
    let expected = "a string, or messages {role, content} whose last role is \"user\"";
    let refused = || refused("prompt", value, expected);
    let list: &Array = value.dyn_ref().ok_or_else(refused)?;
    let messages = list.iter().map(|message| {
        let text = |name| property(&message, name)?.as_string();
        let content = text("content")?;
        match text("role")?.as_str() {
            "user" => Some((true, ChatMessage::user(content))),
            "assistant" => Some((false, ChatMessage::assistant(content))),
            _ => None,
        }
    });
    let messages: Vec<_> = messages.collect::<Option<_>>().ok_or_else(refused)?;
    match messages.last() {
        Some((true, _)) => Ok(Prompt::Chat(messages.into_iter().map(|it| it.1).collect())),
        _ => Err(refused()),
    }
}

/// # Errors
/// [`Kind::Argument`] unless it is a string or a `URL`.
pub fn address(value: &JsValue) -> Result<String, Failure> {
    let href = || value.dyn_ref::<Url>().map(Url::href);
    value.as_string().or_else(href).ok_or_else(|| refused("address", value, "a string or a URL"))
}

struct Options<'a>(&'a JsValue);

impl<'a> Options<'a> {
    fn new(options: &'a JsValue) -> Result<Self, Failure> {
        match options.is_undefined() || options.is_null() || options.is_object() {
            true => Ok(Self(options)),
            false => Err(refused("options", options, "an object")),
        }
    }

    fn get(&self, name: &str) -> Option<JsValue> {
        property(self.0, name)
    }

    fn instance<T: JsCast>(&self, name: &str, expected: &str) -> Result<Option<T>, Failure> {
        let cast = |value: JsValue| value.dyn_into().map_err(|it| refused(name, &it, expected));
        self.get(name).map(cast).transpose()
    }

    fn flag(&self, name: &str, usual: bool) -> Result<bool, Failure> {
        let flag =
            |value: JsValue| value.as_bool().ok_or_else(|| refused(name, &value, "true or false"));
        self.get(name).map_or(Ok(usual), flag)
    }

    fn number(
        &self,
        name: &str,
        expected: &str,
        is_valid: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, Failure> {
        let number = |value: JsValue| {
            let valid = value.as_f64().filter(|&number| is_valid(number));
            valid.ok_or_else(|| refused(name, &value, expected))
        };
        self.get(name).map(number).transpose()
    }
}

/// An argument of this name is not what was expected.
pub fn refused(name: &str, found: &JsValue, expected: &str) -> Failure {
    let found = match found.as_string() {
        Some(text) => format!("{text:?}"),
        None if found.is_object() => "an object".to_owned(),
        None => format!("{found:?}").trim_start_matches("JsValue(").replacen(')', "", 1),
    };
    Failure::new(Kind::Argument, format!("{name} is {found}; expected {expected}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_greedy_unless_a_temperature_or_a_seed_asks_for_a_sample() {
        assert_eq!(sampling(None, None), Sampling::Greedy);
        assert_eq!(sampling(Some(0.0), Some(3.0)), Sampling::Greedy);
        let random = |temperature, seed| Sampling::Random { temperature, seed };
        assert_eq!(sampling(Some(0.8), None), random(0.8, 0));
        assert_eq!(sampling(None, Some(3.0)), random(1.0, 3));
    }
}
