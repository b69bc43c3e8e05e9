//! A family as the files of a bundle.

use burn::tensor::Device;
use serde::Serialize;

use super::{BundleError, BundleFile, MANIFEST, Manifest, ModelFiles, Recordings, TaskFile};
use crate::checkpoint::{Checkpoint, CheckpointError, Precision, layer_to_bytes, model_to_bytes};
use crate::curve::SizeCurve;
use crate::model::LanguageModel;
use crate::plan::PatchOrder;
use crate::prune::{Family, Student, Teacher};

/// What goes into a bundle beside the family.
#[derive(Clone, Debug)]
pub struct BundleContents<'a> {
    pub name: &'a str,
    pub order: PatchOrder,
    pub precision: Precision,
    pub tokenizer_json: &'a [u8],
    pub curve: SizeCurve,
    pub similarity: Vec<f64>,
    pub prompts: Vec<String>,
    pub recordings: Option<Recordings>,
    pub task: Option<TaskFile>,
}

/// The family as a bundle gives it back: its weights rounded to those that are stored.
///
/// # Errors
/// [`BundleError::Write`] when a weight has no name in a file.
pub fn as_stored(
    family: &Family,
    precision: Precision,
    device: &Device,
) -> Result<Family, BundleError> {
    let stored = |model: &LanguageModel| -> Result<LanguageModel, CheckpointError> {
        let bytes = model_to_bytes(model, precision)?;
        let checkpoint = Checkpoint::parse([("the bundle".to_owned(), &*bytes)])?;
        checkpoint.read_model(model.config(), device)
    };
    let teacher = Teacher::new(stored(family.teacher().model())?);
    let student = Student::new(stored(family.student().model())?, family.plan().clone())?;
    Ok(Family::new(teacher, student)?)
}

/// The files of a bundle, path and bytes, the manifest last.
///
/// # Errors
/// [`BundleError::Write`].
pub fn bundle_files(
    family: &Family,
    contents: BundleContents<'_>,
) -> Result<Vec<(String, Vec<u8>)>, BundleError> {
    let mut files = Vec::new();
    let mut add = |path: String, bytes: Vec<u8>| {
        let file = BundleFile::of(path, &bytes);
        files.push((file.path.clone(), bytes));
        file
    };
    let mut add_model = |model: &LanguageModel, owner: &str| -> Result<ModelFiles, BundleError> {
        let precision = contents.precision;
        let config = model.config();
        let ends = model_to_bytes(&model.without_layers(), precision)?;
        let ends = add(format!("{owner}/ends.safetensors"), ends);
        let mut layers = Vec::new();
        for (number, layer) in model.layers().iter().enumerate() {
            let bytes = layer_to_bytes(layer, config, precision)?;
            layers.push(add(format!("{owner}/layer-{number:02}.safetensors"), bytes));
        }
        Ok(ModelFiles { ends, tied: model.is_tied(), layers })
    };
    let student = add_model(family.student().model(), "student")?;
    let teacher = add_model(family.teacher().model(), "teacher")?;
    let tokenizer = add("tokenizer.json".to_owned(), contents.tokenizer_json.to_vec());
    let recordings = contents.recordings.as_ref().map(to_json).transpose()?;
    let recordings = recordings.map(|bytes| add("recordings.json".to_owned(), bytes));
    let task = contents.task.as_ref().map(to_json).transpose()?;
    let task = task.map(|bytes| add("task.json".to_owned(), bytes));
    let manifest = Manifest {
        format: Manifest::FORMAT.to_owned(),
        version: Manifest::VERSION,
        name: contents.name.to_owned(),
        config: serde_json::from_str(&family.teacher().model().config().to_json())?,
        plan: family.plan().clone(),
        order: contents.order,
        tokenizer,
        teacher,
        student,
        curve: contents.curve,
        similarity: contents.similarity,
        prompts: contents.prompts,
        recordings,
        task,
    };
    files.push((MANIFEST.to_owned(), to_json(&manifest)?));
    Ok(files)
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    Ok(format!("{}\n", serde_json::to_string(value)?).into_bytes())
}
