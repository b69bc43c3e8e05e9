//! The draft of a request: the prompt, the length, and how tokens are chosen.

use boomerang_core::generate::Sampling;
use boomerang_engine::messages::Prompt;
use leptos::prelude::*;

use crate::family::FamilyCard;
use crate::state::chat::Chat;
use crate::state::dial::Dial;
use crate::state::run::{Run, Task};
use crate::state::session::Session;
use crate::text::link::Link;

/// A longer text is not a prompt of any model that fits in a browser, and would make the page slow.
pub const MOST_BYTES: usize = 100_000;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplingMode {
    Greedy,
    Sample,
}

const DEFAULT_LENGTH: usize = 48;
/// Most answers are shorter.
const DEFAULT_ANSWER_LENGTH: usize = 160;
const DEFAULT_TEMPERATURE: f64 = 0.8;
const LOWEST_TEMPERATURE: f64 = 0.1;
const HIGHEST_TEMPERATURE: f64 = 2.0;

/// The controls and their current values.
#[derive(Clone, Copy)]
pub struct Draft {
    pub prompt: RwSignal<String>,
    pub n_tokens: RwSignal<usize>,
    pub mode: RwSignal<SamplingMode>,
    pub temperature: RwSignal<f64>,
    pub seed: RwSignal<u64>,
    pub chat: Chat,
    defaults: StoredValue<Defaults>,
}

/// The values when neither the link nor the user has set any.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Defaults {
    prompt: String,
    n_tokens: usize,
    most_tokens: usize,
}

impl Draft {
    /// With the settings of the link, else the defaults.
    pub fn new(family: &FamilyCard, link: &Link, run: RwSignal<Option<Run>>) -> Self {
        let most_tokens = family.max_seq();
        let chat = Chat::new(family, link, run);
        let usual_length = if chat.is_offered { DEFAULT_ANSWER_LENGTH } else { DEFAULT_LENGTH };
        let defaults = Defaults {
            prompt: family.manifest().prompts.first().cloned().unwrap_or_default(),
            n_tokens: usual_length.min(most_tokens),
            most_tokens,
        };
        let prompt = link.prompt.clone().unwrap_or_else(|| defaults.prompt.clone());
        let n_tokens = link.n_tokens.unwrap_or(defaults.n_tokens).clamp(1, most_tokens);
        let mode = if link.seed.is_some() { SamplingMode::Sample } else { SamplingMode::Greedy };
        let temperature = link.temperature.unwrap_or(DEFAULT_TEMPERATURE);
        Self {
            prompt: RwSignal::new(prompt),
            n_tokens: RwSignal::new(n_tokens),
            mode: RwSignal::new(mode),
            temperature: RwSignal::new(possible(temperature)),
            seed: RwSignal::new(link.seed.unwrap_or_default()),
            chat,
            defaults: StoredValue::new(defaults),
        }
    }

    pub fn most_tokens(self) -> usize {
        self.defaults.with_value(|defaults| defaults.most_tokens)
    }

    /// Sets the length that was typed; an invalid one changes nothing.
    pub fn type_length(self, typed: &str) {
        if let Ok(wanted) = typed.parse::<usize>() {
            self.n_tokens.set(wanted.clamp(1, self.most_tokens()));
        }
        // The field shows an unchanged length again.
        self.n_tokens.notify();
    }

    /// Sets the temperature that was typed.
    pub fn type_temperature(self, typed: &str) {
        if let Ok(wanted) = typed.parse::<f64>() {
            self.temperature.set(possible(wanted));
        }
        self.temperature.notify();
    }

    /// Sets the seed that was typed.
    pub fn type_seed(self, typed: &str) {
        if let Ok(wanted) = typed.parse() {
            self.seed.set(wanted);
        }
        self.seed.notify();
    }

    /// Whether there is a prompt that can be sent.
    pub fn has_prompt(self) -> bool {
        match self.prompt.with(|prompt| (prompt.len() <= MOST_BYTES, prompt.trim().is_empty())) {
            (is_short, false) => is_short,
            (_, true) => self.chat.has_question(),
        }
    }

    pub fn sampling(self) -> Sampling {
        match self.mode.get() {
            SamplingMode::Greedy => Sampling::Greedy,
            SamplingMode::Sample => {
                Sampling::Random { temperature: self.temperature.get(), seed: self.seed.get() }
            }
        }
    }

    /// The request to the member on the dial; a message continues the conversation.
    pub fn task(self, dial: Dial) -> Task {
        self.task_of(dial, Chat::with_message)
    }

    /// The same without the conversation before the message.
    pub fn task_alone(self, dial: Dial) -> Task {
        self.task_of(dial, Chat::only)
    }

    fn task_of(self, dial: Dial, message: impl FnOnce(Chat, &str) -> Prompt) -> Task {
        let prompt = untrack(|| match self.chat.is_on() {
            true => self.prompt.with(|text| message(self.chat, text)),
            false => Prompt::Text(self.prompt.get()),
        });
        Task {
            patch: dial.patch.get_untracked(),
            size: dial.size.get_untracked(),
            prompt,
            n_tokens: self.n_tokens.get_untracked(),
            sampling: untrack(|| self.sampling()),
        }
    }

    /// Sends the request; a message becomes a turn of the conversation.
    pub fn send(self, session: Session, dial: Dial) {
        let task = self.task(dial);
        let prompt = task.prompt.clone();
        if session.generate(task) && matches!(prompt, Prompt::Chat(_)) {
            self.chat.on_request(&prompt);
            self.prompt.set(String::new());
        }
    }

    /// Applies a link; settings that it does not contain stay.
    pub fn apply(self, link: &Link) {
        if let Some(prompt) = &link.prompt {
            self.prompt.set(prompt.clone());
            self.chat.apply(link);
        }
        if let Some(n_tokens) = link.n_tokens {
            self.n_tokens.set(n_tokens.clamp(1, self.most_tokens()));
        }
        self.mode.set(if link.seed.is_some() {
            SamplingMode::Sample
        } else {
            SamplingMode::Greedy
        });
        if let Some(seed) = link.seed {
            self.seed.set(seed);
        }
        if let Some(temperature) = link.temperature {
            self.temperature.set(possible(temperature));
        }
    }

    /// Puts the settings that differ from the defaults into a link.
    pub fn put_into(self, link: &mut Link) {
        let is_sampled = self.mode.get() == SamplingMode::Sample;
        let (seed, temperature) = (self.seed.get(), self.temperature.get());
        self.defaults.with_value(|defaults| {
            link.prompt = Some(self.prompt.get());
            self.chat.put_into(link);
            link.prompt = link.prompt.take().filter(|prompt| *prompt != defaults.prompt);
            link.n_tokens = Some(self.n_tokens.get()).filter(|n| *n != defaults.n_tokens);
        });
        link.seed = is_sampled.then_some(seed);
        link.temperature = Some(temperature).filter(|it| is_sampled && *it != DEFAULT_TEMPERATURE);
    }
}

fn possible(temperature: f64) -> f64 {
    temperature.clamp(LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE)
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::Precision;

    use super::*;
    use crate::family::tests::{card, family};

    /// The link of a draft that was opened by a link.
    fn applied(query: &str) -> String {
        let owner = Owner::new();
        owner.with(|| {
            let (family, run) = (card(&family(true), Precision::F32), RwSignal::new(None));
            let draft = Draft::new(&family, &Link::parse(query), run);
            let mut link = Link::default();
            draft.put_into(&mut link);
            link.query()
        })
    }

    #[test]
    fn a_draft_returns_the_link_that_opened_it() {
        for query in ["", "?p=a+b&n=3", "?s=0", "?p=c&s=7&t=1.5"] {
            assert_eq!(applied(query), query);
        }
    }

    #[test]
    fn impossible_settings_become_the_nearest_possible_ones() {
        assert_eq!(applied("?s=1&t=90"), "?s=1&t=2");
        let most = card(&family(true), Precision::F32).max_seq();
        assert_eq!(applied("?n=99999999"), format!("?n={most}"));
    }

    #[test]
    fn a_temperature_without_a_seed_is_not_in_the_link() {
        assert_eq!(applied("?t=1.5"), "");
    }
}
