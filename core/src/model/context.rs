//! What every layer of a pass shares: where the positions are, and who may look at whom.

use burn::tensor::{Device, Int, Tensor};

use super::ends::Positions;
use super::mask::AttentionMask;
use super::rope::RotaryTable;
use crate::config::{LayerKind, ModelConfig, Rotary};

/// Rotations and masks of one pass, made once for all layers.
#[derive(Clone, Debug)]
pub struct Context {
    /// As [`ModelConfig::rotary`].
    rope: Vec<RotaryTable>,
    /// By window; `None` in place of a mask where every query may see every key.
    masks: Vec<(Option<usize>, Option<AttentionMask>)>,
    /// Where each token stands in its text, `[batch, seq]`; `None` when that is its place in the row.
    positions: Option<Tensor<2, Int>>,
}

impl Context {
    /// For a text of `seq` positions from the first on, with a mask of that size.
    ///
    /// Serves every stack of layers of `config`'s kinds.
    pub fn new(config: &ModelConfig, seq: usize, mask: &AttentionMask, device: &Device) -> Self {
        let rope = tables(&config.rotary, seq, device);
        let masks = config.windows().into_iter().map(|window| {
            (window, Some(window.map_or_else(|| mask.clone(), |window| mask.windowed(window))))
        });
        Self { rope, masks: masks.collect(), positions: None }
    }

    /// For rows whose tokens stand at these positions of their texts, `[batch, seq]`, all below
    /// `n_positions`, with a mask that knows them ([`AttentionMask::branching`]).
    pub fn at(
        config: &ModelConfig,
        positions: Tensor<2, Int>,
        n_positions: usize,
        mask: &AttentionMask,
    ) -> Self {
        let all = Self::new(config, n_positions, mask, &positions.device());
        let rope = all.rope.iter().map(|table| table.at(&positions)).collect();
        Self { rope, positions: Some(positions), ..all }
    }

    /// For `seq` new positions after `past` ones that are in a cache; `rope` has all positions.
    pub(super) fn continued(
        config: &ModelConfig,
        rope: &[RotaryTable],
        past: usize,
        seq: usize,
        device: &Device,
    ) -> Self {
        let rope = rope.iter().map(|table| table.slice(past, seq)).collect();
        let masks = config.windows().into_iter().map(|window| {
            let hides_past = window.is_some_and(|window| past + seq > window);
            // A single new position sees everything, up to its window.
            let mask = (seq > 1 || hides_past).then(|| AttentionMask::causal(seq, past, device));
            let mask = match window {
                Some(window) if hides_past => mask.map(|mask| mask.windowed(window)),
                _ => mask,
            };
            (window, mask)
        });
        Self { rope, masks: masks.collect(), positions: None }
    }

    /// Where the tokens of each row stand in their texts.
    pub(super) fn positions(&self) -> Positions<'_> {
        self.positions.as_ref().map_or(Positions::From(0), Positions::At)
    }

    pub(super) fn rope(&self, kind: LayerKind) -> Option<&RotaryTable> {
        kind.rotary.map(|table| &self.rope[table])
    }

    pub(super) fn mask(&self, kind: LayerKind) -> Option<&AttentionMask> {
        let found = self.masks.iter().find(|(window, _)| *window == kind.window);
        found.and_then(|(_, mask)| mask.as_ref())
    }
}

/// One table for each of a model's rotations, for positions `0..seq`.
pub(super) fn tables(rotary: &[Rotary], seq: usize, device: &Device) -> Vec<RotaryTable> {
    rotary.iter().map(|rotary| RotaryTable::new(rotary, 0, seq, device)).collect()
}
