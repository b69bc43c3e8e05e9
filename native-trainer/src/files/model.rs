//! A model's folder as Hugging Face lays it out.
//!
//! Finds and maps the files; `boomerang-core` parses their bytes.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use boomerang_core::checkpoint::{Checkpoint, Precision};
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::import_as;
use boomerang_core::model::{LanguageModel, WeightFormat};
use boomerang_core::prune::Teacher;
use burn::tensor::Device;

use super::beside::read_config;
use super::gguf::{GgufFile, is_gguf};
use super::imported::Imported;
use super::kinds::{refuse_file_of_other_kind, refuse_other_kinds};
use super::recipe::RecipeFile;
use super::stream::Sources;
use super::weights::{self, Weights};
use super::{Mapped, note_input};
use crate::exit::{Exit, OrExit as _};
use crate::progress::Download;
use boomerang_core::checkpoint::files::CONFIG;
use boomerang_hub::{self as hub, HubId, HubSettings};

/// A folder with a supported `config.json` and complete weights.
pub struct ModelFolder {
    /// As it was named.
    path: PathBuf,
    /// Where the files are: `path`, or what was made of a GGUF file.
    folder: PathBuf,
    config: ModelConfig,
    pub(super) weights: Weights,
}

impl ModelFolder {
    /// Reads `config.json` and maps the weights, in one file or in those an index names. A recipe
    /// opens as the member that it describes, a GGUF file as the model in it, and a path that does not exist but may be an id as
    /// the model with this id on the Hub.
    ///
    /// # Errors
    /// Names what is missing, or the part of the config that is not supported.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        match hub_id(path) {
            None => Self::open_here(path),
            Some(id) => Self::open_fetched(&id, &HubSettings::from_env()?),
        }
    }

    fn open_fetched(id: &HubId, settings: &HubSettings) -> anyhow::Result<Self> {
        let folder = hub::fetch(id, settings, &mut Download::default())
            .with_context(|| format!("{id} is not a local folder"))?;
        Self::open_here(&folder)
    }

    /// As [`ModelFolder::open`], for a path that is never an id.
    pub(super) fn open_here(path: &Path) -> anyhow::Result<Self> {
        note_input(path);
        if is_gguf(path) {
            let imported = Imported::open(path)?;
            let folder = imported.folder().to_owned();
            let config = read_config(&folder)?;
            let (path, weights) = (path.to_owned(), Weights::Gguf(imported));
            return Ok(Self { path, folder, config, weights });
        }
        refuse_file_of_other_kind(path)?;
        if path.is_file() && path.extension().is_some_and(|extension| extension == "json") {
            let parents = RecipeFile::open(path)?;
            let (_, config) = parents.member()?;
            let (path, folder) = (path.to_owned(), path.to_owned());
            let weights = Weights::Parents(parents);
            return Ok(Self { path, folder, config, weights });
        }
        if !path.is_dir() {
            return Err(weights::not_a_folder(path));
        }
        refuse_other_kinds(path)?;
        if !path.join(CONFIG).exists() {
            return Err(weights::lacks(path, CONFIG));
        }
        let config = read_config(path)?;
        let weights = Weights::Files(weights::map_all(path)?);
        let opened = Self { path: path.to_owned(), folder: path.to_owned(), config, weights };
        opened.check()?;
        Ok(opened)
    }

    /// A folder without weights, for tests of the files beside them.
    #[cfg(test)]
    pub(super) fn of_extras(path: &Path, config: ModelConfig) -> Self {
        let (path, folder) = (path.to_owned(), path.to_owned());
        Self { path, folder, config, weights: Weights::Files(Vec::new()) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The tensors, read from disk when they are used.
    ///
    /// # Errors
    /// When a file is not safetensors.
    pub fn checkpoint(&self) -> anyhow::Result<Checkpoint<'_>> {
        let files = match &self.weights {
            Weights::Files(files) => files,
            Weights::Gguf(imported) => imported.widened()?,
            Weights::Parents(parents) => return Ok(parents.member()?.0),
        };
        let files = files.iter().map(|(name, bytes)| (name.clone(), &**bytes));
        Checkpoint::parse(files).with_context(|| self.path.display().to_string())
    }

    /// How the weights are stored; a GGUF file's count as f32.
    ///
    /// # Errors
    /// As [`ModelFolder::checkpoint`].
    pub fn precision(&self) -> anyhow::Result<Precision> {
        match &self.weights {
            Weights::Gguf(_) => Ok(Precision::F32),
            _ => Ok(Precision::of_checkpoint(&self.checkpoint()?)),
        }
    }

    /// Checks by the headers that the weights match the config, and hold nothing that it does not
    /// use.
    ///
    /// # Errors
    /// Names the tensor that does not match.
    pub fn check(&self) -> anyhow::Result<()> {
        let fits = self.checkpoint()?.check(&self.config);
        fits.with_context(|| self.path.display().to_string())
    }

    /// # Errors
    /// When the weights do not match the config.
    pub fn model(&self, device: &Device) -> anyhow::Result<LanguageModel> {
        self.model_as(WeightFormat::F32, device)
    }

    /// The model with its matrices in this format, where the device is the CPU.
    ///
    /// # Errors
    /// As [`ModelFolder::model`], and when a value is too large for the format.
    pub fn model_as(&self, format: WeightFormat, device: &Device) -> anyhow::Result<LanguageModel> {
        let named = || self.path.display().to_string();
        let release = |bytes: &[u8]| self.release(bytes);
        if *device == Device::flex() {
            self.require_memory(format)?;
        }
        let model = match &self.weights {
            Weights::Gguf(imported) => {
                let model = import_as(format, &imported.file.parse()?, device, release);
                model.with_context(named).or_exit(Exit::Unusable)?
            }
            _ => {
                let checkpoint = self.checkpoint()?;
                checkpoint
                    .read_model_as(format, &self.config, device, release)
                    .with_context(named)?
            }
        };
        // The system reads ahead, also what was released before.
        self.weight_files().iter().for_each(|(_, file)| file.release(file));
        Ok(model)
    }

    /// Releases the memory of weights that have been read.
    pub(super) fn release(&self, bytes: &[u8]) {
        self.weights.release(bytes);
    }

    /// # Errors
    /// As [`ModelFolder::model`].
    pub fn teacher(&self, device: &Device) -> anyhow::Result<Teacher> {
        self.teacher_as(WeightFormat::F32, device)
    }

    /// # Errors
    /// As [`ModelFolder::model_as`].
    pub fn teacher_as(&self, format: WeightFormat, device: &Device) -> anyhow::Result<Teacher> {
        Ok(Teacher::new(self.model_as(format, device)?))
    }

    /// The weight files that are mapped, with their paths.
    pub(super) fn weight_files(&self) -> Vec<(PathBuf, &Mapped)> {
        self.weights.files(&self.folder)
    }

    /// The GGUF file that the model is in.
    pub fn gguf(&self) -> Option<&GgufFile> {
        match &self.weights {
            Weights::Gguf(imported) => Some(&imported.file),
            Weights::Files(_) | Weights::Parents(_) => None,
        }
    }

    /// Whether the model is a recipe's member.
    pub(super) fn is_recipe(&self) -> bool {
        matches!(self.weights, Weights::Parents(_))
    }

    /// A file beside weights and config, as errors name it: what was made of a GGUF file is the file.
    pub(super) fn named(&self, name: &str) -> PathBuf {
        match &self.weights {
            Weights::Parents(parents) => parents.teacher.named(name),
            Weights::Gguf(_) => self.path.clone(),
            Weights::Files(_) => self.folder.join(name),
        }
    }

    /// The folder with the files beside weights and config; a recipe's is its teacher's.
    pub(super) fn extras(&self) -> &Path {
        match &self.weights {
            Weights::Files(_) | Weights::Gguf(_) => &self.folder,
            Weights::Parents(parents) => parents.teacher.extras(),
        }
    }
}

/// A path that exists is never looked up on the Hub.
fn hub_id(path: &Path) -> Option<HubId> {
    let is_here = path.symlink_metadata().is_ok();
    path.to_str().filter(|_| !is_here).and_then(HubId::parse)
}

impl Sources for ModelFolder {
    fn find(&self, bytes: &[u8]) -> Option<(&File, u64)> {
        self.weights.find(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{folder_of, names};
    use super::*;
    use crate::exit::{code_of, describe};
    use boomerang_core::checkpoint::files::{
        GENERATION_CONFIG, STUDENT_CONFIG, TOKENIZER, WEIGHTS,
    };

    const LLAMA: &[u8] = br#"{"model_type": "llama", "vocab_size": 8, "hidden_size": 4,
        "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}"#;

    /// The weights of a random model with this config.
    fn weights() -> Vec<u8> {
        use boomerang_core::checkpoint::{Precision, model_to_bytes};
        use boomerang_core::distill::Initialization;

        let config = ModelConfig::from_json(std::str::from_utf8(LLAMA).unwrap()).unwrap();
        let start = Initialization::HuggingFace;
        let model = LanguageModel::random(&config, start, 1, &Device::flex());
        model_to_bytes(&model, Precision::F16).unwrap()
    }

    fn refusal(folder: &Path) -> String {
        let Err(error) = ModelFolder::open(folder) else { panic!("{} opened", folder.display()) };
        assert_eq!(code_of(&error), Exit::Unusable);
        describe(&error)
    }

    #[test]
    fn a_model_in_one_file_opens() {
        let folder = folder_of(&[(CONFIG, LLAMA), (WEIGHTS, &weights())]);
        let model = ModelFolder::open(folder.path()).unwrap();
        let checkpoint = model.checkpoint().unwrap();
        assert_eq!(model.config().n_layers(), 2);
        assert_eq!(checkpoint.file_names().collect::<Vec<_>>(), [WEIGHTS]);
    }

    #[test]
    fn a_model_may_come_without_a_plan_and_a_tokenizer() {
        let folder = folder_of(&[(CONFIG, LLAMA), (WEIGHTS, &weights())]);
        let model = ModelFolder::open(folder.path()).unwrap();
        assert!(model.plan().unwrap().is_none());
        assert!(model.tokenizer().unwrap().is_none());
    }

    #[test]
    fn a_model_without_a_plan_is_not_a_student() {
        let folder = folder_of(&[(CONFIG, LLAMA), (WEIGHTS, &weights())]);
        let error = ModelFolder::open(folder.path()).unwrap().student(&Device::flex()).unwrap_err();
        assert!(describe(&error).starts_with("student_config.json is missing in"));
        assert_eq!(code_of(&error), Exit::Unusable);
    }

    #[test]
    fn an_unsupported_config_is_named_with_its_path() {
        let folder = folder_of(&[(CONFIG, br#"{"model_type": "mamba"}"#), (WEIGHTS, &weights())]);
        let sentence = refusal(folder.path());
        assert!(sentence.contains("config.json") && sentence.contains("mamba"), "{sentence}");
    }

    #[test]
    fn generation_config_decides_where_a_text_ends() {
        let config = String::from_utf8_lossy(LLAMA).replacen('{', r#"{"eos_token_id": 5, "#, 1);
        let opened = |generation: &[u8]| {
            let weights = weights();
            let files: [(&str, &[u8]); 3] =
                [(CONFIG, config.as_bytes()), (WEIGHTS, &weights), (GENERATION_CONFIG, generation)];
            let folder = folder_of(&files);
            ModelFolder::open(folder.path()).map(|model| model.config().end_tokens().to_vec())
        };
        assert_eq!(opened(br#"{"eos_token_id": [0, 7]}"#).unwrap(), [0, 7]);
        for (damaged, reason) in
            [(&b"{"[..], "not a JSON object"), (&br#"{"eos_token_id": "7"}"#[..], "\"7\"")]
        {
            let error = opened(damaged).unwrap_err();
            let sentence = describe(&error);
            assert!(
                sentence.contains("generation_config.json") && sentence.contains(reason),
                "{sentence}"
            );
            assert_eq!(code_of(&error), Exit::Unusable);
        }
    }

    #[test]
    fn an_id_that_is_not_fetched_is_answered_with_the_folder_for_its_files() {
        let cache = tempfile::tempdir().unwrap();
        let mut settings = HubSettings::with_cache(cache.path().to_owned());
        settings.offline = true;
        let id = hub_id(Path::new("Qwen/Qwen3-0.6B-Base")).unwrap();
        let Err(error) = ModelFolder::open_fetched(&id, &settings) else { panic!("it opened") };
        let sentence = describe(&error);
        assert!(sentence.starts_with("Qwen/Qwen3-0.6B-Base is not a local folder: "), "{sentence}");
        let folder = cache.path().join("models--Qwen--Qwen3-0.6B-Base/snapshots/main");
        assert!(sentence.ends_with(&folder.display().to_string()), "{sentence}");
        assert_eq!(code_of(&error), Exit::Network);
    }

    #[test]
    fn a_folder_is_not_looked_up_on_the_hub() {
        // From the root of this package, where tests run.
        assert!(Path::new("src/files").is_dir());
        assert_eq!(hub_id(Path::new("src/files")), None);
        assert!(hub_id(Path::new("src/filez")).is_some());
    }

    #[test]
    fn a_students_plan_and_tokenizer_travel_with_it() {
        let plan = br#"{"copied_teacher_layers": [0, 2], "pruned_teacher_layers": [1, 3]}"#;
        let folder = folder_of(&[
            (CONFIG, LLAMA),
            (WEIGHTS, &weights()),
            (STUDENT_CONFIG, plan),
            (TOKENIZER, b"{}"),
        ]);
        let model = ModelFolder::open(folder.path()).unwrap();
        assert_eq!(model.plan().unwrap().unwrap().kept(), [0, 2]);

        let copy = tempfile::tempdir().unwrap();
        model.copy_extras_to(copy.path()).unwrap();
        assert_eq!(names(copy.path()), [TOKENIZER]);
    }
}
