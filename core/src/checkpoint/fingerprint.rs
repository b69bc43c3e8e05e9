//! What a model's parts are, in 32 bytes each: the same weights have the same fingerprint wherever
//! they are stored, and whichever member they are part of.

use safetensors::tensor::TensorView;
use sha2::{Digest, Sha256};

use super::{Checkpoint, CheckpointError, Names};
use crate::config::ModelConfig;

/// SHA-256.
pub type Fingerprint = [u8; 32];

/// The fingerprints of a model's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    pub embedding: Fingerprint,
    /// First layer first.
    pub layers: Vec<Fingerprint>,
    /// The final norm, or what a masked language model has in its place.
    pub norm: Fingerprint,
    /// The embedding's where there is no other matrix.
    pub head: Fingerprint,
}

impl Checkpoint<'_> {
    /// Reads every weight once, and tells `release` the bytes as they have been read.
    ///
    /// # Errors
    /// [`CheckpointError`] names the tensor that is missing.
    pub fn fingerprints(
        &self,
        config: &ModelConfig,
        mut release: impl FnMut(&[u8]),
    ) -> Result<Fingerprints, CheckpointError> {
        let names = Names::of(config);
        let [mut embedding, mut norm, mut head] = [(); 3].map(|()| Sha256::new());
        for path in names.end_paths() {
            let Some(place) = names.find(path) else { continue };
            if path.starts_with("head.") && config.tied {
                continue;
            }
            let (_, view) = self.locate(&place)?;
            let part = match path {
                path if path.starts_with("embedding.") => &mut embedding,
                path if path.starts_with("head.") => &mut head,
                _ => &mut norm,
            };
            add(part, path, view, &mut release);
        }
        let mut layers: Vec<Sha256> = (config.layers.iter())
            .map(|kind| {
                // The same weights do something else behind another window or rotation.
                Sha256::new_with_prefix(format!("{kind:?}"))
            })
            .collect();
        // By name, so that the order in a file does not matter.
        for name in self.names() {
            let Some((number, part)) = names.in_layer(name) else { continue };
            let Some(layer) = layers.get_mut(number) else { continue };
            add(layer, part, self.tensor(name)?, &mut release);
        }
        let embedding: Fingerprint = embedding.finalize().into();
        Ok(Fingerprints {
            embedding,
            layers: layers.into_iter().map(|layer| layer.finalize().into()).collect(),
            norm: norm.finalize().into(),
            head: if config.tied { embedding } else { head.finalize().into() },
        })
    }
}

/// Bytes that are read before they are released.
const PIECE: usize = 1 << 20;

fn add(part: &mut Sha256, name: &str, view: &TensorView<'_>, release: &mut dyn FnMut(&[u8])) {
    // A zero byte ends the words, so that no two tensors read alike.
    part.update(format!("{name} {:?} {:?}\0", view.dtype(), view.shape()));
    for piece in view.data().chunks(PIECE) {
        part.update(piece);
        release(piece);
    }
}
