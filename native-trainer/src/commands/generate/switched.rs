//! One text that several sizes of a family write in turn.

use boomerang_core::generate::{Generation, KeptLayers, SharedLayers};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::Patch;
use burn::tensor::Device;
use futures_lite::future::block_on;

use super::{GenerateArgs, ShownText, Timings, show};
use crate::allocator;
use crate::args::FamilyArgs;
use crate::args::numbers::count;
use crate::exit::{Exit, OrExit as _};
use crate::files::ModelFolder;
use crate::progress::note;
use crate::sizes::with_layers;

/// A part of the text: which size writes it, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub n_layers: usize,
    pub n_tokens: usize,
}

impl Span {
    /// `24:20`: 20 tokens of the size with 24 layers.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').ok_or_else(|| {
            format!(
                "expected LAYERS:TOKENS, such as 24:20 for 20 tokens of 24 layers, found {text:?}"
            )
        })?;
        let number = |text, what| count(text).map_err(|error| format!("{what}: {error}"));
        Ok(Self { n_layers: number(parts.0, "layers")?, n_tokens: number(parts.1, "tokens")? })
    }
}

pub(super) fn run(
    args: &GenerateArgs,
    family_args: &FamilyArgs,
    device: &Device,
) -> anyhow::Result<()> {
    let format = args.weights.on(device)?;
    let spans = &args.sizes;
    let teacher = ModelFolder::open(&family_args.teacher)?;
    let tokenizer = teacher.required_tokenizer()?;
    // What is wrong with the sizes is reported before weights are read.
    let plan = family_args.plan_of(&teacher, &ModelFolder::open(&family_args.student)?)?;
    if family_args.order_is_auto() {
        return Err(Exit::Usage.error(
            "--order auto needs texts to search on; run boomerang search, and give its order.json",
        ));
    }
    let path = family_args.order(teacher.config()).path(&plan).or_exit(Exit::Usage)?;
    let patches = spans.iter().map(|span| with_layers(span.n_layers, &plan, &path));
    let patches = patches.collect::<anyhow::Result<Vec<Patch>>>();
    let patches = patches.map_err(|error| Exit::Usage.error(format!("--sizes: {error}")))?;
    let (prompt, end_tokens) = args.encode(&teacher, &tokenizer, teacher.config())?;
    check_window(spans, prompt.len(), teacher.config().max_seq)?;

    let family = family_args.open(&teacher, format, device)?;
    allocator::use_large_pages();
    let members: Vec<LanguageModel> = patches.iter().map(|patch| family.member(patch)).collect();
    let branches = plan.branch_layers_along(&patches);
    let sampling = args.sampling();
    let mut text = prompt;
    let mut shown = ShownText::new(&tokenizer, &text, args.ids);
    let mut before = None::<Generation<'_>>;
    for (index, (span, model)) in spans.iter().zip(&members).enumerate() {
        let Span { n_layers, n_tokens } = *span;
        let mut timings = Timings::start(text.len());
        let mut generation = match before.take() {
            None => {
                let first = Generation::new(model, &text, n_tokens, sampling)?;
                first.keeping_states(&branches[index])
            }
            Some(before) => {
                let shared = SharedLayers {
                    n_layers: plan.n_shared_layers(&patches[index - 1], &patches[index]),
                    branch_layers: branches[index].clone(),
                };
                let cache = before.into_cache();
                let next = Generation::switched(model, cache, &text, &shared, n_tokens, sampling)?;
                note(&kept_in_words(n_layers, next.1));
                show("\n")?;
                next.0
            }
        };
        show(&format!("[{n_layers} layers]{}", if args.ids { " " } else { "" }))?;
        let mut is_ended = false;
        while !is_ended && let Some(token) = block_on(generation.next())? {
            timings.count();
            shown.push(token)?;
            text.push(token);
            is_ended = end_tokens.contains(&token);
        }
        if args.timings {
            timings.lines().iter().for_each(|line| note(&format!("{n_layers} layers, {line}")));
        }
        if is_ended {
            spans[index + 1..].iter().for_each(|span| note(&not_reached(*span)));
            break;
        }
        before = Some(generation);
    }
    shown.finish()
}

/// All spans have to be in the window of every size.
fn check_window(spans: &[Span], n_prompt: usize, max_seq: usize) -> anyhow::Result<()> {
    let n_tokens = spans.iter().fold(0, |sum: usize, span| sum.saturating_add(span.n_tokens));
    if n_prompt.saturating_add(n_tokens) <= max_seq {
        return Ok(());
    }
    Err(Exit::Usage.error(format!(
        "--sizes asks for {n_tokens} tokens after a prompt of {n_prompt}, but the window of this \
         family has {max_seq} positions; ask for {} tokens or fewer",
        max_seq.saturating_sub(n_prompt)
    )))
}

fn kept_in_words(n_layers: usize, kept: KeptLayers) -> String {
    format!(
        "{n_layers} layers continue: keys and values of {} of {} layers kept at {} positions",
        kept.n_layers, kept.n_all, kept.n_positions
    )
}

fn not_reached(span: Span) -> String {
    format!("the text has ended; the size with {} layers was not reached", span.n_layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_names_layers_and_tokens() {
        assert_eq!(Span::parse("24:20"), Ok(Span { n_layers: 24, n_tokens: 20 }));
        for (wrong, why) in [
            ("24", "expected LAYERS:TOKENS"),
            ("24:0", "tokens: expected a whole number of at least 1"),
            ("0:5", "layers: expected"),
            ("24:x", "tokens: expected"),
            ("", "expected LAYERS:TOKENS"),
        ] {
            let found = Span::parse(wrong).unwrap_err();
            assert!(found.contains(why), "{wrong}: {found}");
        }
    }

    #[test]
    fn spans_that_do_not_fit_in_the_window_are_refused() {
        let spans = [Span { n_layers: 4, n_tokens: 5 }, Span { n_layers: 6, n_tokens: 5 }];
        assert!(check_window(&spans, 6, 16).is_ok());
        let refusal = check_window(&spans, 7, 16).unwrap_err().to_string();
        assert!(refusal.ends_with("ask for 9 tokens or fewer"), "{refusal}");
    }
}
