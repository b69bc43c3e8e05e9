//! Members whose weights are streamed from disk: one part in memory, the next one being read.

use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::Context as _;
use boomerang_core::evaluate::{Answers, Batching, Layerwise, Loaded, Part, PrefixTree, Request};
use burn::tensor::Device;
use futures_lite::future::block_on;

use crate::files::ModelFolder;

/// The answers of every member of `tree` to every request; `folders` is what its stacks index.
///
/// `state_bytes` bounds the hidden states in memory; more requests take more passes over the
/// weights.
///
/// # Errors
/// When weights cannot be read, or the device is lost.
pub(super) fn answers(
    folders: &[&ModelFolder],
    tree: &PrefixTree,
    requests: &[Request],
    batching: Batching,
    state_bytes: u64,
    device: &Device,
    progress: &mut (dyn FnMut(usize) + Send),
) -> anyhow::Result<Answers> {
    let walk = Layerwise::new(tree);
    let teacher = folders.first().context("a family has a teacher")?.config();
    let parts = walk.parts();
    with_parts(folders, &parts, device, |load| {
        let tokens_per_pass = tokens_per_pass(&walk, teacher.d_model, state_bytes);
        let model = (teacher, device);
        block_on(walk.answers(requests, model, batching, tokens_per_pass, load, progress))
    })
}

/// Tokens whose hidden states fit.
pub(super) fn tokens_per_pass(walk: &Layerwise, d_model: usize, state_bytes: u64) -> usize {
    let per_token = (walk.n_states() * d_model * size_of::<f32>()) as u64;
    usize::try_from(state_bytes / per_token.max(1)).unwrap_or(usize::MAX).max(1)
}

/// Runs `work` with a function that returns the parts in order, pass after pass, each being read
/// while the one before is in use.
fn with_parts<T>(
    folders: &[&ModelFolder],
    parts: &[Part],
    device: &Device,
    work: impl FnOnce(&mut dyn FnMut(Part) -> anyhow::Result<Loaded>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let read = |part: Part| match part {
        Part::Ends(model) => Ok(Loaded::Ends(Box::new(folders[model].ends(device)?))),
        Part::Layer(model, layer) => {
            Ok(Loaded::Layer(Box::new(folders[model].layer(layer, device)?)))
        }
    };
    thread::scope(|scope| {
        let (begin, begun) = sync_channel::<()>(1);
        // No buffer: one part is in use, and one has been read.
        let (send, receive) = sync_channel(0);
        scope.spawn(move || {
            while begun.recv().is_ok() {
                for &part in parts {
                    if send.send(read(part)).is_err() {
                        return;
                    }
                }
            }
        });
        let mut n_taken = 0;
        work(&mut |part| {
            if n_taken % parts.len() == 0 {
                begin.send(()).context("the thread that reads weights has stopped")?;
            }
            debug_assert_eq!(part, parts[n_taken % parts.len()]);
            n_taken += 1;
            receive.recv().context("the thread that reads weights has stopped")?
        })
    })
}
