//! GGUF files: mapped for reading, and written a piece at a time.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{
    Announced, Conversion, Gguf, GgufMember, GgufValue, MAGIC, Metadata, TokenizerFiles,
    describe_tokenizer, header, padding, plan_of_metadata,
};
use boomerang_core::plan::LayerPlan;

use super::stream::{PIECE, Sources, read_piece};
use super::{Mapped, ModelFolder, OutputFile, map};

/// A GGUF file, mapped.
pub struct GgufFile {
    path: PathBuf,
    bytes: Mapped,
}

impl GgufFile {
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { path: path.to_owned(), bytes: map(path)? })
    }

    /// Metadata and tensors, read from disk when they are used.
    ///
    /// # Errors
    /// When it is not a GGUF file, or a damaged one.
    pub fn parse(&self) -> anyhow::Result<Gguf<'_>> {
        Gguf::parse(&self.bytes).with_context(|| self.path.display().to_string())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> &Mapped {
        &self.bytes
    }

    /// Releases the memory of bytes that have been read.
    pub(super) fn release(&self, bytes: &[u8]) {
        self.bytes.release(bytes);
    }
}

impl Sources for GgufFile {
    fn find(&self, bytes: &[u8]) -> Option<(&File, u64)> {
        Some((self.bytes.file(), self.bytes.offset_of(bytes)?))
    }
}

/// Whether a path is a GGUF file, by its name or by its first bytes.
pub fn is_gguf(path: &Path) -> bool {
    use std::io::Read as _;
    if !path.is_file() {
        return false;
    }
    let mut magic = [0; MAGIC.len()];
    let begins = |mut file: File| file.read_exact(&mut magic).is_ok_and(|()| magic == *MAGIC);
    path.extension().is_some_and(|extension| extension == "gguf")
        || File::open(path).is_ok_and(begins)
}

/// The layer plan in the metadata of a GGUF file.
///
/// # Errors
/// When it is invalid.
pub fn gguf_plan(path: &Path, file: &Gguf<'_>) -> anyhow::Result<Option<LayerPlan>> {
    plan_of_metadata(&file.metadata).with_context(|| path.display().to_string())
}

/// Adds the name of the model and its tokenizer to the metadata; what has to be left out goes to
/// the notes.
///
/// # Errors
/// When a file beside the model exists and cannot be read.
pub fn name_gguf(
    conversion: &mut Conversion<'_>,
    name: &str,
    folder: &ModelFolder,
    config: &ModelConfig,
) -> anyhow::Result<()> {
    let metadata = &mut conversion.metadata;
    metadata.set("general.name", GgufValue::text(name));
    metadata.set("boomerang.version", GgufValue::text(env!("CARGO_PKG_VERSION")));
    let settings = folder.extra("tokenizer_config.json")?;
    let template = folder.extra("chat_template.jinja")?;
    let template = template.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let template_file = folder.extra("chat_template.json")?;
    let reason = match folder.tokenizer_json()? {
        None => folder.no_tokenizer(),
        Some(tokenizer) => {
            let files = TokenizerFiles {
                tokenizer: &tokenizer,
                tokenizer_config: settings.as_deref(),
                chat_template: template.as_deref(),
                chat_template_json: template_file.as_deref(),
            };
            match describe_tokenizer(&files, config) {
                Ok((described, notes)) => {
                    metadata.extend(described);
                    conversion.notes.extend(notes);
                    return Ok(());
                }
                Err(error) => error.to_string(),
            }
        }
    };
    // llama.cpp opens such a file, and works on token ids.
    metadata.set("tokenizer.ggml.model", GgufValue::text("none"));
    conversion.notes.push(format!("written without a tokenizer: {reason}"));
    Ok(())
}

/// Writes a model as a GGUF file; no more than a few megabytes of it are in memory at a time.
///
/// # Errors
/// When the file cannot be written, or a tensor cannot be converted.
pub fn write_conversion(
    file: OutputFile,
    conversion: &Conversion<'_>,
    sources: &dyn Sources,
) -> anyhow::Result<()> {
    let announced = conversion.tensors.iter().map(|tensor| Announced {
        name: &tensor.name,
        dims: &tensor.dims,
        kind: tensor.encoding.kind(),
        n_bytes: tensor.n_bytes(),
    });
    let header = header(&conversion.metadata, announced);
    Ok(file.write_with(|out| {
        out.write_all(&header)?;
        let mut stored = Vec::new();
        for tensor in &conversion.tensors {
            for piece in tensor.pieces() {
                stored.clear();
                piece.iter().try_for_each(|slice| read_piece(slice, sources, &mut stored))?;
                out.write_all(&tensor.encode(&stored).map_err(io::Error::other)?)?;
            }
            pad(out, tensor.n_bytes())?;
        }
        Ok(())
    })?)
}

/// Writes a member of two GGUF files; its tensors are copied unchanged.
///
/// # Errors
/// When the file cannot be written, or a tensor holds a value that is not finite.
pub fn write_gguf_member(
    file: OutputFile,
    member: &GgufMember<'_>,
    metadata: &Metadata<'_>,
    sources: &dyn Sources,
) -> anyhow::Result<()> {
    let announced = member.tensors.iter().map(|tensor| Announced {
        name: &tensor.name,
        dims: &tensor.dims,
        kind: tensor.kind,
        n_bytes: tensor.data.len(),
    });
    let header = header(metadata, announced);
    Ok(file.write_with(|out| {
        out.write_all(&header)?;
        let mut stored = Vec::new();
        for tensor in &member.tensors {
            let block_bytes = tensor.kind.block_bytes();
            for piece in tensor.data.chunks(PIECE / block_bytes * block_bytes) {
                stored.clear();
                read_piece(piece, sources, &mut stored)?;
                tensor.ensure_finite(&stored).map_err(io::Error::other)?;
                out.write_all(&stored)?;
            }
            pad(out, tensor.data.len())?;
        }
        Ok(())
    })?)
}

fn pad(out: &mut dyn Write, n_bytes: usize) -> io::Result<()> {
    out.write_all(&[0; 32][..padding(n_bytes)])
}
