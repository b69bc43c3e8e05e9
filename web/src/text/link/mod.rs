//! The state of the page as the query of its address, and back.
//!
//! Keys are one letter, and defaults are omitted, so that links stay short. Parameters that are not the
//! page's state are preserved.

mod values;

use boomerang_core::plan::Patch;
use boomerang_lessons::controls::{self, Control};

use crate::family::FamilyCard;
use crate::family::order::OrderChoice;
use values::{
    decode, encode, parse_blocks, parse_fingerprint, parse_spans, parse_stops, parse_switch,
    parse_temperature, print_blocks, print_spans, print_stops,
};

/// The settings in an address; those it does not contain have their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// `m`: the folder of the bundle.
    pub bundle: Option<String>,
    /// `o`: the order in which the dial patches.
    pub order: Option<OrderChoice>,
    /// `k`: the stop of the dial, from 0 for the student.
    pub stop: Option<usize>,
    /// `b`: which blocks are the teacher's, first to last, for a combination that is not on the dial.
    pub blocks: Option<Vec<bool>>,
    /// `c`: the stops that are compared.
    pub compared: Option<Vec<usize>>,
    /// `p`: the prompt.
    pub prompt: Option<String>,
    /// `chat`: whether the prompt is a message to the assistant.
    pub is_chat: Option<bool>,
    /// `turns`: what was said before, by the user and the assistant in turn.
    pub turns: Option<Vec<String>>,
    /// `noprompt`: the prompt, or the conversation, was too long for a link.
    pub is_without_prompt: bool,
    /// `n`: how many tokens to generate.
    pub n_tokens: Option<usize>,
    /// `spans`: blocks as in `b` and number of tokens of each member that wrote a part of the text.
    pub spans: Option<Vec<(Vec<bool>, usize)>>,
    /// `s`: the random seed for sampling; without it, decoding is greedy.
    pub seed: Option<u64>,
    /// `t`: the sampling temperature.
    pub temperature: Option<f64>,
    /// `h`: the fingerprint of the model that generated the text.
    pub fingerprint: Option<String>,
    /// `hide`: parts of the bench that are not shown.
    pub hidden: Option<Vec<Control>>,
    /// `lock`: parts of the bench that cannot be changed.
    pub locked: Option<Vec<Control>>,
    /// All other parameters.
    pub others: Vec<(String, String)>,
    /// Parameters of the state with an invalid value.
    pub invalid: Vec<(String, String)>,
}

/// Bytes of prompt and conversation in a link, as it encodes them: servers and chat programs cut longer
/// addresses.
pub const MOST_PROMPT_BYTES: usize = 2000;

/// More do not fit side by side.
pub const MOST_COMPARED: usize = 4;

/// One key: how its value is written, and how it is read.
struct Field {
    key: &'static str,
    print: fn(&Link) -> Option<String>,
    /// `None` for an invalid value.
    parse: fn(&mut Link, &str) -> Option<()>,
}

const FIELDS: [Field; 16] = [
    Field {
        key: "m",
        print: |link| link.bundle.clone(),
        parse: |link, value| read(&mut link.bundle, Some(value.to_owned())),
    },
    Field {
        key: "o",
        print: |link| link.order.map(|order| order.name().to_owned()),
        parse: |link, value| read(&mut link.order, OrderChoice::from_name(value)),
    },
    Field {
        key: "k",
        print: |link| link.stop.map(|stop| stop.to_string()),
        parse: |link, value| read(&mut link.stop, value.parse().ok()),
    },
    Field {
        key: "b",
        print: |link| link.blocks.as_deref().map(print_blocks),
        parse: |link, value| read(&mut link.blocks, parse_blocks(value)),
    },
    Field {
        key: "c",
        print: |link| link.compared.as_deref().map(print_stops),
        parse: |link, value| read(&mut link.compared, parse_stops(value)),
    },
    Field {
        key: "p",
        print: |link| link.prompt.clone(),
        parse: |link, value| read(&mut link.prompt, Some(value.to_owned())),
    },
    Field {
        key: "chat",
        print: |link| link.is_chat.map(|is_chat| if is_chat { "on" } else { "off" }.to_owned()),
        parse: |link, value| read(&mut link.is_chat, parse_switch(value)),
    },
    Field {
        key: "turns",
        print: |link| serde_json::to_string(link.turns.as_ref()?).ok(),
        parse: |link, value| read(&mut link.turns, serde_json::from_str(value).ok()),
    },
    Field {
        key: "noprompt",
        print: |link| link.is_without_prompt.then(|| "1".to_owned()),
        parse: |link, value| {
            link.is_without_prompt = value == "1";
            link.is_without_prompt.then_some(())
        },
    },
    Field {
        key: "n",
        print: |link| link.n_tokens.map(|n_tokens| n_tokens.to_string()),
        parse: |link, value| read(&mut link.n_tokens, value.parse().ok().filter(|&n| n > 0)),
    },
    Field {
        key: "spans",
        print: |link| link.spans.as_deref().map(print_spans),
        parse: |link, value| read(&mut link.spans, parse_spans(value)),
    },
    Field {
        key: "s",
        print: |link| link.seed.map(|seed| seed.to_string()),
        parse: |link, value| read(&mut link.seed, value.parse().ok()),
    },
    Field {
        key: "t",
        print: |link| link.temperature.map(|temperature| temperature.to_string()),
        parse: |link, value| read(&mut link.temperature, parse_temperature(value)),
    },
    Field {
        key: "h",
        print: |link| link.fingerprint.clone(),
        parse: |link, value| read(&mut link.fingerprint, parse_fingerprint(value)),
    },
    Field {
        key: "hide",
        print: |link| link.hidden.as_deref().map(controls::print),
        parse: |link, value| read(&mut link.hidden, controls::parse(value)),
    },
    Field {
        key: "lock",
        print: |link| link.locked.as_deref().map(controls::print),
        parse: |link, value| read(&mut link.locked, controls::parse(value)),
    },
];

impl Link {
    /// Reads a query, with or without its question mark.
    pub fn parse(query: &str) -> Self {
        let mut link = Self::default();
        let query = query.strip_prefix('?').unwrap_or(query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key), decode(value));
            match FIELDS.iter().find(|field| field.key == key) {
                Some(field) => {
                    if (field.parse)(&mut link, &value).is_none() {
                        link.invalid.push((key, value));
                    }
                }
                None => link.others.push((key, value)),
            }
        }
        link
    }

    /// Without prompt and conversation if they are too long for an address.
    #[must_use]
    pub fn for_address(self) -> Self {
        let texts = self.prompt.iter().chain(self.turns.iter().flatten());
        // Most texts are short; one that is not is not encoded to be counted.
        let n_bytes: usize = texts.clone().map(String::len).sum();
        let is_long = n_bytes > MOST_PROMPT_BYTES
            || texts.map(|text| encode(text).len()).sum::<usize>() > MOST_PROMPT_BYTES;
        match is_long {
            true => Self { prompt: None, turns: None, is_without_prompt: true, ..self },
            false => self,
        }
    }

    /// With its question mark, or empty.
    pub fn query(&self) -> String {
        let others = self.others.iter().map(|(key, value)| (key.as_str(), value.clone()));
        let own = FIELDS.iter().filter_map(|field| Some((field.key, (field.print)(self)?)));
        let pairs: Vec<String> = others
            .chain(own)
            .map(|(key, value)| format!("{}={}", encode(key), encode(&value)))
            .collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    /// The requested member, if the family has it.
    pub fn patch(&self, family: &FamilyCard) -> Option<Patch> {
        match &self.blocks {
            Some(blocks) => patch_of(blocks, family),
            None => family.path().get(self.stop?).cloned(),
        }
    }

    /// The members that wrote the text in turn, with the number of their tokens; `None` for a text of
    /// one member, and for members that the family does not have.
    pub fn span_members(&self, family: &FamilyCard) -> Option<Vec<(Patch, usize)>> {
        let spans = self.spans.as_ref()?.iter();
        spans.map(|(blocks, n_tokens)| Some((patch_of(blocks, family)?, *n_tokens))).collect()
    }

    /// The stops to compare: those of the link that the family has, or the default.
    pub fn compared(&self, family: &FamilyCard) -> Vec<usize> {
        let mut stops = self.compared.clone().unwrap_or_default();
        stops.retain(|&stop| stop <= family.last_stop());
        stops.sort_unstable();
        stops.dedup();
        stops.truncate(MOST_COMPARED);
        if stops.len() < 2 { default_comparison(family) } else { stops }
    }

    /// Whether the text of the link was generated by this family.
    pub fn is_of(&self, family: &FamilyCard) -> bool {
        self.fingerprint.as_ref().is_some_and(|made_with| made_with == family.fingerprint())
    }

    /// The settings that could not be applied, a sentence each.
    pub fn problems(&self, family: &FamilyCard) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value) in &self.invalid {
            problems.push(format!("{key}={value} is not valid and was ignored."));
        }
        if self.is_without_prompt {
            problems.push(
                "The prompt was too long for the link: it has to be sent separately, and pasted here."
                    .to_owned(),
            );
        }
        let last_stop = family.last_stop();
        let n_blocks = family.manifest().plan.n_student_layers();
        if self.patch(family).is_none() {
            if let Some(blocks) = &self.blocks {
                let found = blocks.len();
                problems.push(format!(
                    "The link has {found} blocks, but this model has {n_blocks}; the dial is at its \
                     default."
                ));
            } else if let Some(stop) = self.stop {
                problems.push(format!(
                    "The link has stop {stop} of the dial, but this model has 0 to {last_stop}; the \
                     dial is at its default."
                ));
            }
        }
        if self.spans.is_some() && self.span_members(family).is_none() {
            problems.push(format!(
                "The sizes that wrote the text of the link have other blocks than the {n_blocks} of \
                 this model; the text is generated with the size of the dial."
            ));
        }
        let asked = self.compared.iter().flatten();
        let not_there: Vec<String> =
            asked.filter(|&&stop| stop > last_stop).map(usize::to_string).collect();
        if !not_there.is_empty() {
            let stops = not_there.join(", ");
            problems
                .push(format!("The link compares stops that this model does not have: {stops}."));
        }
        let has_chat = self.turns.is_some() || self.is_chat == Some(true);
        if has_chat && family.manifest().chat.is_none() {
            problems.push(
                "The link has a conversation, but this model has no chat template: the prompt is \
                 continued as plain text."
                    .to_owned(),
            );
        }
        if let Some(made_with) = self.fingerprint.as_ref().filter(|_| !self.is_of(family)) {
            problems.push(format!(
                "The link was created with another model ({made_with}; this one is {}): its text may be \
                 different here.",
                family.fingerprint()
            ));
        }
        problems
    }
}

/// Both ends of the dial, and its middle.
pub fn default_comparison(family: &FamilyCard) -> Vec<usize> {
    let last = family.last_stop();
    let mut stops = vec![0, last.div_ceil(2), last];
    stops.dedup();
    stops
}

fn read<T>(field: &mut Option<T>, value: Option<T>) -> Option<()> {
    *field = Some(value?);
    Some(())
}

/// The member with these blocks, if the family has as many.
fn patch_of(blocks: &[bool], family: &FamilyCard) -> Option<Patch> {
    let plan = &family.manifest().plan;
    let patched = (0..blocks.len()).filter(|&layer| blocks[layer]).collect::<Vec<_>>();
    let fits = blocks.len() == plan.n_student_layers();
    if fits { Patch::of(&patched, plan).ok() } else { None }
}

#[cfg(test)]
mod tests;
