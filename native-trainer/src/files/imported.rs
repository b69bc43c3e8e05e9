//! A GGUF file as a model folder: what is beside the weights in a temporary folder, and the weights there
//! as well, in f32, for what reads them by their names in safetensors.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Context as _;
use boomerang_core::checkpoint::files::{CONFIG, STUDENT_CONFIG, TOKENIZER, WEIGHTS};
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{Gguf, check, import_tokenizer, widen};
use boomerang_core::prune::StudentConfig;
use boomerang_files::ScratchFolder;

use super::gguf::{GgufFile, gguf_plan};
use super::weights::map_all;
use super::{Mapped, Sources as _};
use crate::exit::{Exit, OrExit as _};
use crate::progress::note;

/// The file of a model, and what was made of it.
pub(super) struct Imported {
    pub(super) file: GgufFile,
    /// Before the folder, which some systems remove only without mapped files.
    widened: OnceLock<Vec<(String, Mapped)>>,
    /// Held while they are made.
    widening: Mutex<()>,
    folder: ScratchFolder,
}

impl Imported {
    /// Writes config, plan and tokenizer into a temporary folder; no weight is read.
    ///
    /// # Errors
    /// When the file is damaged, or has something that is not understood; when the disk is full.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = GgufFile::open(path)?;
        let gguf = file.parse().or_exit(Exit::Unusable)?;
        let config = check(&gguf).with_context(|| path.display().to_string());
        let folder = folder_of(&file, &gguf, &config.or_exit(Exit::Unusable)?)?;
        Ok(Self { file, widened: OnceLock::new(), widening: Mutex::new(()), folder })
    }

    /// The temporary folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The weights in f32, to the bit as they are stored, in files under the names of safetensors; made
    /// when they are first asked for.
    ///
    /// # Errors
    /// When a value is NaN or infinite, or the disk is too small for the file.
    pub(super) fn widened(&self) -> anyhow::Result<&[(String, Mapped)]> {
        let _one = self.widening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = self.widened.get() {
            return Ok(files);
        }
        let gguf = self.file.parse()?;
        let n_params: u64 = gguf.tensors().iter().map(|tensor| tensor.n_values() as u64).sum();
        self.require_space(n_params.saturating_mul(size_of::<f32>() as u64))?;
        let path = self.folder().join(WEIGHTS);
        let named = || format!("writing the weights of {} in f32", self.file.path().display());
        let mut out = BufWriter::new(fs::File::create(&path).with_context(named)?);
        let written = widen(&gguf, &mut out, |bytes| self.file.release(bytes));
        written.with_context(named)?;
        out.flush().with_context(named)?;
        let files = map_all(self.folder())?;
        Ok(self.widened.get_or_init(|| files))
    }

    /// The files in f32 that have been made.
    pub(super) fn made(&self) -> &[(String, Mapped)] {
        self.widened.get().map_or(&[], Vec::as_slice)
    }

    /// # Errors
    /// When the disk of the temporary folder has less space than that.
    fn require_space(&self, n_bytes: u64) -> anyhow::Result<()> {
        let Some(free) = free_space(self.folder()) else { return Ok(()) };
        if n_bytes <= free {
            return Ok(());
        }
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        Err(Exit::Disk.error(format!(
            "the weights of {} in f32 need {:.1} GB in the folder for temporary files {}, which has {:.1} GB \
             of space; set TMPDIR to a folder with more",
            self.file.path().display(),
            gigabytes(n_bytes),
            self.folder().parent().unwrap_or(self.folder()).display(),
            gigabytes(free)
        )))
    }

    /// Releases the memory of weights that have been read.
    pub(super) fn release(&self, bytes: &[u8]) {
        self.file.release(bytes);
        self.made().iter().for_each(|(_, mapped)| mapped.release(bytes));
    }

    pub(super) fn find(&self, bytes: &[u8]) -> Option<(&fs::File, u64)> {
        let in_made = |(_, mapped): &'_ (String, Mapped)| mapped.offset_of(bytes).is_some();
        match self.made().iter().find(|entry| in_made(entry)) {
            Some((_, mapped)) => Some((mapped.file(), mapped.offset_of(bytes)?)),
            None => self.file.find(bytes),
        }
    }
}

/// Bytes that this user may still write to the disk of a folder; `None` where the system does not say.
fn free_space(folder: &Path) -> Option<u64> {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    {
        use std::os::unix::ffi::OsStrExt as _;

        let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
        // SAFETY: all zeros are a value of this plain struct, which the call fills.
        let mut found: libc::statvfs64 = unsafe { std::mem::zeroed() };
        // SAFETY: the path ends with a zero byte, and the struct lives through the call.
        let status = unsafe { libc::statvfs64(path.as_ptr(), &raw mut found) };
        (status == 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
    {
        let _ = folder;
        None
    }
}

/// Config, plan and tokenizer of a file in a temporary folder.
fn folder_of(
    file: &GgufFile,
    gguf: &Gguf<'_>,
    config: &ModelConfig,
) -> anyhow::Result<ScratchFolder> {
    let path = file.path();
    let folder = ScratchFolder::create("gguf").context("creating a temporary folder")?;
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text)
            .with_context(|| format!("writing a temporary {name} for {}", path.display()))
    };
    write(CONFIG, &config.to_json())?;
    if let Some(plan) = gguf_plan(path, gguf)? {
        write(STUDENT_CONFIG, &StudentConfig::of(&plan).to_json())?;
    }
    match import_tokenizer(&gguf.metadata, config.vocab) {
        Ok(None) => {}
        Ok(Some(tokenizer)) => {
            write(TOKENIZER, &tokenizer.tokenizer)?;
            write("tokenizer_config.json", &tokenizer.tokenizer_config)?;
        }
        Err(error) => note(&format!("{}: opened without a tokenizer: {error}", path.display())),
    }
    Ok(folder)
}
