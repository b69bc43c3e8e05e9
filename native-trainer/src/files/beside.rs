//! The files beside a model's weights: its config, and those that the whole family shares.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::{ModelConfig, code_files};
use serde_json::Value;

use super::{ModelFolder, OutputFolder, read_if_present, read_text, weights};
use crate::progress::note;
use boomerang_core::checkpoint::files::{CONFIG, EXTRAS, GENERATION_CONFIG};

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// The config of a model's folder, with what `generation_config.json` says.
///
/// # Errors
/// Names the file that cannot be read, or the part of it that is not supported.
pub(super) fn read_config(folder: &Path) -> anyhow::Result<ModelConfig> {
    let path = folder.join(CONFIG);
    let config = ModelConfig::from_json(&read_text(&path)?);
    let config = config.with_context(|| path.display().to_string())?;
    let path = folder.join(GENERATION_CONFIG);
    if !path.exists() {
        return Ok(config);
    }
    let config = config.with_generation_config(&read_text(&path)?);
    config.with_context(|| path.display().to_string())
}

impl ModelFolder {
    /// Writes the config of the weights that `out` holds already, and copies tokenizer, chat
    /// template, generation settings, license and the model's own Python code, whichever exist.
    ///
    /// The dtype in the config is the widest of the weights, because transformers loads all of them
    /// in it. An `auto_map` is kept only if the files that it names exist.
    ///
    /// # Errors
    /// Names the file that cannot be written or copied.
    pub fn describe_in(&self, out: &OutputFolder, config: &ModelConfig) -> anyhow::Result<()> {
        let files = weights::map_all(out.path())?;
        let files = files.iter().map(|(name, bytes)| (name.clone(), &**bytes));
        let widest = Checkpoint::parse(files)?.widest_precision();
        let has_code = self.copy_code_to(config, out.path())?;
        let mut config = match has_code || config.traits().needs_own_code {
            true => config.clone(),
            false => config.without_own_code(),
        };
        if let Some(precision) = widest {
            config.set_dtype(precision.name());
        }
        out.write(CONFIG, config.to_json().as_bytes())?;
        self.copy_extras_to(out.path())
    }

    /// Whether all files that an `auto_map` names exist; copies them.
    fn copy_code_to(&self, config: &ModelConfig, folder: &Path) -> anyhow::Result<bool> {
        let code = config.code_files();
        if let Some(name) = missing_code(self.extras(), &code) {
            let consequence = if config.traits().needs_own_code {
                "transformers cannot load the written model without it; add it to that folder"
            } else {
                "auto_map is dropped, and transformers uses its own code"
            };
            note(&format!(
                "auto_map in {CONFIG} names {name}, which is not in {}: {consequence}",
                self.extras().display()
            ));
            return Ok(false);
        }
        if code.is_empty() && self.tokenizer_code()?.is_empty() {
            return Ok(true);
        }
        // These files import others beside them.
        for name in python_files(self.extras())? {
            copy(self.extras(), folder, &name)?;
        }
        Ok(true)
    }

    /// The Python files that the tokenizer's settings name.
    fn tokenizer_code(&self) -> anyhow::Result<Vec<String>> {
        let settings = read_if_present(&self.extras().join(TOKENIZER_CONFIG))?;
        let settings: Value =
            serde_json::from_slice(&settings.unwrap_or_default()).unwrap_or_default();
        Ok(code_files(&settings["auto_map"]))
    }

    /// Copies tokenizer, chat template, generation settings and license, whichever exist.
    ///
    /// # Errors
    /// Names the file that cannot be copied.
    pub fn copy_extras_to(&self, folder: &Path) -> anyhow::Result<()> {
        let extras = self.extras();
        for name in EXTRAS.iter().filter(|name| extras.join(name).is_file()) {
            copy(extras, folder, name)?;
        }
        if missing_code(extras, &self.tokenizer_code()?).is_some() {
            // The tokenizer.json needs no code.
            let path = folder.join(TOKENIZER_CONFIG);
            let mut settings: Value = serde_json::from_slice(&super::read(&path)?)
                .with_context(|| path.display().to_string())?;
            if let Some(settings) = settings.as_object_mut() {
                settings.remove("auto_map");
            }
            fs::write(&path, format!("{settings:#}\n"))
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path, name: &str) -> anyhow::Result<()> {
    fs::copy(from.join(name), to.join(name))
        .with_context(|| format!("{name} cannot be copied to {}", to.display()))?;
    Ok(())
}

/// The first of these names that is not a file of the folder itself.
fn missing_code<'name>(folder: &Path, names: &'name [String]) -> Option<&'name String> {
    let is_plain = |name: &str| !name.contains(['/', '\\', ':', '\0']);
    names.iter().find(|name| !(is_plain(name) && folder.join(name).is_file()))
}

fn python_files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("the folder {} cannot be read", folder.display()))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.ends_with(".py") && folder.join(name).is_file()).collect())
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::{Precision, tensors_to_bytes};

    use super::super::testing::{folder_of, names};
    use super::*;
    use boomerang_core::checkpoint::files::WEIGHTS;

    fn config(pairs: &Value) -> Vec<u8> {
        let mut config = serde_json::json!({
            "model_type": "llama", "vocab_size": 8, "hidden_size": 4, "intermediate_size": 8,
            "num_hidden_layers": 1, "num_attention_heads": 2, "torch_dtype": "bfloat16",
        });
        let pairs = pairs.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(pairs);
        config.to_string().into_bytes()
    }

    /// Writes the folder's config beside these weights, and gives it back with the names of all
    /// files.
    fn described(files: &[(&str, &[u8])], weights: &[u8]) -> (Value, Vec<String>) {
        let source = folder_of(files);
        let text = fs::read_to_string(source.path().join(CONFIG)).unwrap();
        let config = ModelConfig::from_json(&text).unwrap();
        let folder = ModelFolder::of_extras(source.path(), config.clone());
        let target = tempfile::tempdir().unwrap();
        let out = OutputFolder::create(&target.path().join("out"), false).unwrap();
        out.write(WEIGHTS, weights).unwrap();
        folder.describe_in(&out, &config).unwrap();
        let written = fs::read(out.path().join(CONFIG)).unwrap();
        (serde_json::from_slice(&written).unwrap(), names(out.path()))
    }

    fn weights(precisions: &[Precision]) -> Vec<u8> {
        let values = vec![("a".to_owned(), vec![2], vec![1.0, 2.0])];
        let one = tensors_to_bytes(values, precisions[0]).unwrap();
        let Some(&other) = precisions.get(1) else { return one };
        let values = [1.0_f32, 2.0].map(f32::to_le_bytes).concat();
        let values = other.convert("b", safetensors::Dtype::F32, &values, &values).unwrap();
        let first = safetensors::SafeTensors::deserialize(&one).unwrap();
        let second = safetensors::tensor::TensorView::new(other.dtype(), vec![2], &values).unwrap();
        safetensors::serialize([("a", first.tensor("a").unwrap()), ("b", second)], None).unwrap()
    }

    #[test]
    fn the_written_dtype_is_the_widest_of_the_tensors() {
        use Precision::{Bf16, F16, F32};
        for (precisions, expected) in [
            (&[F32][..], "float32"),
            (&[F16], "float16"),
            (&[Bf16, F32], "float32"),
            (&[Bf16, F16], "float32"),
        ] {
            let json = config(&serde_json::json!({}));
            let (written, _) = described(&[(CONFIG, &json)], &weights(precisions));
            assert_eq!(written["torch_dtype"], expected);
        }
    }

    #[test]
    fn an_auto_map_stays_with_its_files_and_not_without() {
        let auto_map = serde_json::json!({"auto_map": {"AutoConfig": "configuration_a.A"}});
        let json = config(&auto_map);
        let weights = weights(&[Precision::F32]);
        let code: (&str, &[u8]) = ("configuration_a.py", b"import other");
        let other: (&str, &[u8]) = ("other.py", b"");
        let (written, names) = described(&[(CONFIG, &json), code, other], &weights);
        assert_eq!(written["auto_map"], auto_map["auto_map"]);
        assert!(
            names.contains(&"configuration_a.py".to_owned())
                && names.contains(&"other.py".to_owned())
        );
        let (written, names) = described(&[(CONFIG, &json)], &weights);
        assert_eq!(written.get("auto_map"), None);
        assert_eq!(names, [CONFIG, WEIGHTS]);
    }

    #[test]
    fn a_tokenizers_auto_map_stays_with_its_files_and_not_without() {
        let json = config(&serde_json::json!({}));
        let settings = br#"{"auto_map": {"AutoTokenizer": ["tokenization_a.A", null]}, "x": 1}"#;
        let weights = weights(&[Precision::F32]);
        let with: &[(&str, &[u8])] =
            &[(CONFIG, &json), (TOKENIZER_CONFIG, settings), ("tokenization_a.py", b"")];
        assert!(described(with, &weights).1.contains(&"tokenization_a.py".to_owned()));
        let source = folder_of(&with[..2]);
        let config = ModelConfig::from_json(std::str::from_utf8(&json).unwrap()).unwrap();
        let target = tempfile::tempdir().unwrap();
        ModelFolder::of_extras(source.path(), config).copy_extras_to(target.path()).unwrap();
        let written = fs::read_to_string(target.path().join(TOKENIZER_CONFIG)).unwrap();
        let written: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(written, serde_json::json!({"x": 1}));
    }
}
