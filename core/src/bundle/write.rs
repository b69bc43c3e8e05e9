//! A family as the files of a bundle.

use super::{BundleError, BundleFile, MANIFEST, Manifest, ModelFiles};
use crate::checkpoint::{Precision, layer_to_bytes, model_to_bytes};
use crate::curve::SizeCurve;
use crate::model::LanguageModel;
use crate::plan::PatchOrder;
use crate::prune::Family;

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
        recordings: None,
        task: None,
    };
    let manifest = format!("{}\n", serde_json::to_string(&manifest)?);
    files.push((MANIFEST.to_owned(), manifest.into_bytes()));
    Ok(files)
}
