//! What the reader asks for: the beginning of a text, its length, and how tokens are chosen.

use boomerang_core::generate::Sampling;
use leptos::prelude::*;

use crate::family::FamilyCard;
use crate::state::dial::Dial;
use crate::state::run::Task;
use crate::text::link::Link;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    Likeliest,
    Random,
}

const DEFAULT_LENGTH: usize = 48;
const DEFAULT_TEMPERATURE: f64 = 0.8;
const LOWEST_TEMPERATURE: f64 = 0.1;
const HIGHEST_TEMPERATURE: f64 = 2.0;

/// The controls of the text, as they stand.
#[derive(Clone, Copy)]
pub struct Draft {
    pub prompt: RwSignal<String>,
    pub n_tokens: RwSignal<usize>,
    pub draw: RwSignal<Draw>,
    pub temperature: RwSignal<f64>,
    pub seed: RwSignal<u64>,
    defaults: StoredValue<Defaults>,
}

/// What the controls say when neither link nor reader has said anything.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Defaults {
    prompt: String,
    n_tokens: usize,
    most_tokens: usize,
}

impl Draft {
    /// As the link says, and as the page has it by itself where the link says nothing.
    pub fn new(family: &FamilyCard, link: &Link) -> Self {
        let most_tokens = family.max_seq();
        let defaults = Defaults {
            prompt: family.manifest().prompts.first().cloned().unwrap_or_default(),
            n_tokens: DEFAULT_LENGTH.min(most_tokens),
            most_tokens,
        };
        let prompt = link.prompt.clone().unwrap_or_else(|| defaults.prompt.clone());
        let n_tokens = link.n_tokens.unwrap_or(defaults.n_tokens).clamp(1, most_tokens);
        let draw = if link.seed.is_some() { Draw::Random } else { Draw::Likeliest };
        let temperature = link.temperature.unwrap_or(DEFAULT_TEMPERATURE);
        Self {
            prompt: RwSignal::new(prompt),
            n_tokens: RwSignal::new(n_tokens),
            draw: RwSignal::new(draw),
            temperature: RwSignal::new(possible(temperature)),
            seed: RwSignal::new(link.seed.unwrap_or_default()),
            defaults: StoredValue::new(defaults),
        }
    }

    pub fn most_tokens(self) -> usize {
        self.defaults.with_value(|defaults| defaults.most_tokens)
    }

    /// Takes a length that was typed; one that means nothing changes nothing.
    pub fn type_length(self, typed: &str) {
        if let Ok(wanted) = typed.parse::<usize>() {
            self.n_tokens.set(wanted.clamp(1, self.most_tokens()));
        }
        // A length that did not change is still to be shown as it is.
        self.n_tokens.notify();
    }

    /// Takes a temperature that was typed.
    pub fn type_temperature(self, typed: &str) {
        if let Ok(wanted) = typed.parse::<f64>() {
            self.temperature.set(possible(wanted));
        }
        self.temperature.notify();
    }

    /// Takes a seed that was typed.
    pub fn type_seed(self, typed: &str) {
        if let Ok(wanted) = typed.parse() {
            self.seed.set(wanted);
        }
        self.seed.notify();
    }

    pub fn has_prompt(self) -> bool {
        self.prompt.with(|prompt| !prompt.trim().is_empty())
    }

    pub fn sampling(self) -> Sampling {
        match self.draw.get() {
            Draw::Likeliest => Sampling::Greedy,
            Draw::Random => {
                Sampling::Random { temperature: self.temperature.get(), seed: self.seed.get() }
            }
        }
    }

    /// The text as the member on the dial is to continue it.
    pub fn task(self, dial: Dial) -> Task {
        Task {
            patch: dial.patch.get_untracked(),
            size: dial.size.get_untracked(),
            prompt: self.prompt.get_untracked(),
            n_tokens: self.n_tokens.get_untracked(),
            sampling: untrack(|| self.sampling()),
        }
    }

    /// Takes what a link says; what it leaves out stays.
    pub fn apply(self, link: &Link) {
        if let Some(prompt) = &link.prompt {
            self.prompt.set(prompt.clone());
        }
        if let Some(n_tokens) = link.n_tokens {
            self.n_tokens.set(n_tokens.clamp(1, self.most_tokens()));
        }
        self.draw.set(if link.seed.is_some() { Draw::Random } else { Draw::Likeliest });
        if let Some(seed) = link.seed {
            self.seed.set(seed);
        }
        if let Some(temperature) = link.temperature {
            self.temperature.set(possible(temperature));
        }
    }

    /// Puts into a link what is not as the page has it by itself.
    pub fn put_into(self, link: &mut Link) {
        let is_drawn = self.draw.get() == Draw::Random;
        let (seed, temperature) = (self.seed.get(), self.temperature.get());
        self.defaults.with_value(|defaults| {
            link.prompt = Some(self.prompt.get()).filter(|prompt| *prompt != defaults.prompt);
            link.n_tokens = Some(self.n_tokens.get()).filter(|n| *n != defaults.n_tokens);
        });
        link.seed = is_drawn.then_some(seed);
        link.temperature = Some(temperature).filter(|it| is_drawn && *it != DEFAULT_TEMPERATURE);
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

    /// What the page makes of a link, as a link.
    fn taken(query: &str) -> String {
        let owner = Owner::new();
        owner.with(|| {
            let draft = Draft::new(&card(&family(true), Precision::F32), &Link::parse(query));
            let mut link = Link::default();
            draft.put_into(&mut link);
            link.query()
        })
    }

    #[test]
    fn a_draft_says_again_what_the_link_said() {
        for query in ["", "?p=a+b&n=3", "?s=0", "?p=c&s=7&t=1.5"] {
            assert_eq!(taken(query), query);
        }
    }

    #[test]
    fn impossible_wishes_become_the_nearest_possible_ones() {
        assert_eq!(taken("?s=1&t=90"), "?s=1&t=2");
        let most = card(&family(true), Precision::F32).max_seq();
        assert_eq!(taken("?n=99999999"), format!("?n={most}"));
    }

    #[test]
    fn a_temperature_without_a_draw_is_not_told() {
        assert_eq!(taken("?t=1.5"), "");
    }
}
