//! SHA-256 fingerprints of a model's parts: the same weights have the same fingerprint wherever
//! they are stored and in whichever member.

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sha2::{Digest, Sha256};

use super::{Checkpoint, CheckpointError, Names};
use crate::config::ModelConfig;
use crate::model::parameters::Parameter;

/// A SHA-256 hash.
pub type Fingerprint = [u8; 32];

/// The fingerprints of a model's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    pub embedding: Fingerprint,
    /// First layer first.
    pub layers: Vec<Fingerprint>,
    /// The final norm, or the prediction head's transform of a masked language model.
    pub norm: Fingerprint,
    /// That of the embedding if the head is tied.
    pub head: Fingerprint,
}

impl Checkpoint<'_> {
    /// Reads every weight once and passes bytes to `release` once they have been read.
    ///
    /// # Errors
    /// [`CheckpointError`] names the tensor that is missing.
    pub fn fingerprints(
        &self,
        config: &ModelConfig,
        mut release: impl FnMut(&[u8]),
    ) -> Result<Fingerprints, CheckpointError> {
        let names = Names::of(config);
        let embedding = self.embedding_fingerprint(config, &mut release)?;
        let [mut norm, mut head] = [(); 2].map(|()| Sha256::new());
        for path in names.end_paths() {
            let Some(location) = names.find(path) else { continue };
            if path.starts_with("embedding.") || path.starts_with("head.") && config.tied {
                continue;
            }
            let (_, view) = self.locate(&location)?;
            let part = match path {
                path if path.starts_with("head.") => &mut head,
                _ => &mut norm,
            };
            add(part, path, view, &mut release);
        }
        let mut layers: Vec<Sha256> = (config.layers.iter())
            .map(|kind| {
                // The same weights compute something else with another window or rotary embedding.
                Sha256::new_with_prefix(format!("{kind:?}"))
            })
            .collect();
        // In the order of names, so that the order in the file does not matter.
        for name in self.names() {
            let Some((number, part)) = names.in_layer(name) else { continue };
            let Some(layer) = layers.get_mut(number) else { continue };
            add(layer, part, self.tensor(name)?, &mut release);
        }
        Ok(Fingerprints {
            embedding,
            layers: layers.into_iter().map(|layer| layer.finalize().into()).collect(),
            norm: norm.finalize().into(),
            head: if config.tied { embedding } else { head.finalize().into() },
        })
    }

    /// The embedding's fingerprint, without reading anything else.
    ///
    /// # Errors
    /// As [`Checkpoint::fingerprints`].
    pub fn embedding_fingerprint(
        &self,
        config: &ModelConfig,
        mut release: impl FnMut(&[u8]),
    ) -> Result<Fingerprint, CheckpointError> {
        let names = Names::of(config);
        let mut embedding = Sha256::new();
        for path in names.end_paths().filter(|path| path.starts_with("embedding.")) {
            let Some(location) = names.find(path) else { continue };
            add(&mut embedding, path, self.locate(&location)?.1, &mut release);
        }
        Ok(embedding.finalize().into())
    }
}

/// The fingerprint that [`Checkpoint::embedding_fingerprint`] finds where the embedding is stored in f32.
/// `values` has the row-major values of a parameter.
///
/// # Errors
/// Of `values`.
pub(crate) fn embedding_fingerprint<E>(
    config: &ModelConfig,
    parameters: &[Parameter],
    values: impl Fn(&Parameter) -> Result<Vec<f32>, E>,
) -> Result<Fingerprint, E> {
    let names = Names::of(config);
    let mut embedding = Sha256::new();
    for path in names.end_paths().filter(|path| path.starts_with("embedding.")) {
        let Some(parameter) = parameters.iter().find(|parameter| parameter.path == path) else {
            continue;
        };
        embedding.update(format!("{path} {:?} {:?}\0", Dtype::F32, parameter.shape));
        for piece in values(parameter)?.chunks(PIECE) {
            embedding
                .update(piece.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        }
    }
    Ok(embedding.finalize().into())
}

/// Bytes read before each release.
const PIECE: usize = 1 << 20;

fn add(part: &mut Sha256, name: &str, view: &TensorView<'_>, release: &mut dyn FnMut(&[u8])) {
    // A zero byte terminates the description, so that no two tensors hash alike.
    part.update(format!("{name} {:?} {:?}\0", view.dtype(), view.shape()));
    for piece in view.data().chunks(PIECE) {
        part.update(piece);
        release(piece);
    }
}
