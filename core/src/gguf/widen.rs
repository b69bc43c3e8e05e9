//! The weights of a GGUF file as a safetensors file in f32, to the bit as they are stored.

use std::cell::RefCell;
use std::io::{self, Write};

use super::import::{Import, config_of};
use super::{Gguf, GgufError};
use crate::checkpoint::{
    self, CheckpointError, Fingerprint, Precision, ReadValues, write_parameters,
};
use crate::config::ModelConfig;
use crate::model::parameters::Parameter;

/// The config of the model in a file whose tensors are those that it needs; no value is read.
///
/// # Errors
/// [`GgufError`] names what of the metadata or of the tensors is missing or not understood.
pub fn check(file: &Gguf<'_>) -> Result<ModelConfig, GgufError> {
    let config = config_of(file)?;
    Import::of(file, &config)?.parameters()?;
    Ok(config)
}

/// The fingerprint of the embedding as it would be widened.
///
/// # Errors
/// As [`widen`].
pub fn embedding_fingerprint(file: &Gguf<'_>) -> Result<Fingerprint, GgufError> {
    let config = config_of(file)?;
    let import = Import::of(file, &config)?;
    checkpoint::embedding_fingerprint(&config, &import.parameters()?, |parameter| {
        let data = import.parameter(parameter)?;
        Ok(data.try_into_vec::<f32>().expect("values are in f32"))
    })
}

/// Writes the weights under Hugging Face's names, one tensor after another in memory. `release` is given
/// stored bytes that have been read.
///
/// # Errors
/// As [`check`], for a value that is not finite, and if `out` cannot be written.
pub fn widen(
    file: &Gguf<'_>,
    out: &mut dyn Write,
    release: impl Fn(&[u8]),
) -> Result<(), GgufError> {
    let config = config_of(file)?;
    let import = Import::of(file, &config)?;
    // The writer knows errors of checkpoints only.
    let error = RefCell::new(None);
    let (import, release, failed) = (&import, &release, &error);
    let source = |parameter: Parameter| -> (Parameter, ReadValues<'_>) {
        let wanted = parameter.clone();
        let read = move |act: &mut dyn FnMut(&[f32])| {
            let values = import.parameter(&wanted).and_then(|data| {
                release(import.stored(&wanted)?);
                Ok(data)
            });
            match values {
                Ok(data) => act(data.as_slice::<f32>().expect("values are in f32")),
                Err(found) => {
                    failed.replace(Some(found));
                    return Err(CheckpointError::Output(io::Error::other("a tensor is not read")));
                }
            }
            Ok(())
        };
        (parameter, Box::new(read))
    };
    let sources = import.parameters()?.into_iter().map(source);
    let written = write_parameters(sources, &config, Precision::F32, out);
    match error.into_inner() {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}
