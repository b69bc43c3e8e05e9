//! Number formats of written weights.

use boomerang_core::checkpoint::Precision;
use boomerang_core::gguf::Encoding;

use crate::exit::Exit;

/// `None` keeps the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtype(pub Option<Encoding>);

/// `keep`, or a format that has an encoder.
///
/// # Errors
/// Names the supported formats.
pub fn parse_dtype(text: &str) -> Result<Dtype, String> {
    match text {
        "keep" => Ok(Dtype(None)),
        name => Encoding::from_name(name)
            .map(|encoding| Dtype(Some(encoding)))
            .map_err(|error| error.to_string()),
    }
}

impl Dtype {
    /// The format of a safetensors file.
    pub fn precision(self) -> anyhow::Result<Option<Precision>> {
        match self.0 {
            None => Ok(None),
            Some(Encoding::F32) => Ok(Some(Precision::F32)),
            Some(Encoding::F16) => Ok(Some(Precision::F16)),
            Some(Encoding::Bf16) => Ok(Some(Precision::Bf16)),
            Some(encoding) => Err(Exit::Usage.error(format!(
                "--dtype {} is only available in GGUF files; add --format gguf",
                encoding.name()
            ))),
        }
    }
}
