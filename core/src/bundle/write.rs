//! Writes a family as the files of a bundle.

use burn::tensor::Device;
use serde::Serialize;

use super::{
    BundleError, BundleFile, ChatFormat, MANIFEST, Manifest, ModelFiles, Recordings, Stored,
    StoringLoss, TaskFile,
};
use crate::checkpoint::{
    Checkpoint, CheckpointError, Precision, StoredAs, layer_to_bytes, model_to_bytes,
};
use crate::curve::SizeCurve;
use crate::model::LanguageModel;
use crate::plan::{Owner, PatchOrder};
use crate::prune::{Family, Student, Teacher};

/// What a bundle holds in addition to the family.
#[derive(Clone, Debug)]
pub struct BundleContents<'a> {
    pub name: &'a str,
    pub order: PatchOrder,
    pub stored_as: StoredAs,
    pub tokenizer_json: &'a [u8],
    /// The same, compressed with gzip; `None` where that is not worth a file.
    pub tokenizer_gz: Option<&'a [u8]>,
    pub chat: Option<ChatFormat>,
    pub curve: SizeCurve,
    pub similarity: Vec<f64>,
    pub prompts: Vec<String>,
    pub recordings: Option<Recordings>,
    pub task: Option<TaskFile>,
    /// Loss from the number format, if it was measured.
    pub loss: Option<StoringLoss>,
}

/// The family as loaded from a bundle: its weights rounded to the stored format.
///
/// # Errors
/// [`BundleError::Write`] if a parameter has no tensor name.
pub fn as_stored(
    family: &Family,
    stored_as: impl Into<StoredAs>,
    device: &Device,
) -> Result<Family, BundleError> {
    let stored_as = stored_as.into();
    let stored = |model: &LanguageModel| -> Result<LanguageModel, CheckpointError> {
        let bytes = model_to_bytes(model, stored_as)?;
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
    let mut files = Files::default();
    let stored_as = contents.stored_as;
    let mut student = files.add_model(family.student().model(), "student", stored_as)?;
    let teacher = files.add_model(family.teacher().model(), "teacher", stored_as)?;
    files.share_ends(&mut student, &teacher)?;
    let tokenizer = files.add("tokenizer.json".to_owned(), contents.tokenizer_json.to_vec());
    let tokenizer_gz = contents.tokenizer_gz.map(<[u8]>::to_vec);
    let tokenizer_gz = tokenizer_gz.map(|bytes| files.add("tokenizer.json.gz".to_owned(), bytes));
    let recordings = contents.recordings.as_ref().map(to_json).transpose()?;
    let recordings = recordings.map(|bytes| files.add("recordings.json".to_owned(), bytes));
    let task = contents.task.as_ref().map(to_json).transpose()?;
    let task = task.map(|bytes| files.add("task.json".to_owned(), bytes));
    let config = family.teacher().model().config();
    let mut manifest = Manifest {
        format: Manifest::FORMAT.to_owned(),
        version: student.version(&teacher),
        name: contents.name.to_owned(),
        config: serde_json::from_str(&config.to_json())?,
        end_tokens: config.other_end_tokens().map(<[u32]>::to_vec),
        chat: contents.chat,
        plan: family.plan().clone(),
        order: contents.order,
        tokenizer,
        tokenizer_gz,
        teacher,
        student,
        curve: contents.curve,
        similarity: contents.similarity,
        prompts: contents.prompts,
        recordings,
        task,
        stored: None,
    };
    manifest.stored = contents.loss.map(|loss| {
        let n_bytes: u64 = manifest.weights().map(|file| file.bytes).sum();
        let models = [family.teacher().model(), family.student().model()];
        let n_params: u64 = models.into_iter().map(LanguageModel::n_params).sum();
        Stored { precision: stored_as, bytes_share: n_bytes as f64 / (4 * n_params) as f64, loss }
    });
    files.end(&manifest)
}

/// What a bundle holds in addition to another student.
#[derive(Clone, Debug)]
pub struct StudentContents<'a> {
    /// Name of the new family.
    pub name: &'a str,
    /// Folder of the student's files; must not exist in the old bundle.
    pub folder: &'a str,
    pub precision: Precision,
    pub similarity: Vec<f64>,
}

/// The files that turn a bundle into another family: a student's, then the manifest.
///
/// Teacher and tokenizer are the bundle's existing files. Nothing is measured for the new family,
/// so it has neither curve nor recordings.
///
/// # Errors
/// [`BundleError::Write`], or [`BundleError::Layers`] for a student of another teacher.
pub fn student_files(
    bundle: &Manifest,
    student: &Student,
    contents: StudentContents<'_>,
) -> Result<Vec<(String, Vec<u8>)>, BundleError> {
    let plan = student.plan().clone();
    let (found, expected) = (plan.n_teacher_layers(), bundle.plan.n_teacher_layers());
    if found != expected {
        return Err(BundleError::Layers { owner: Owner::Teacher, found, expected });
    }
    let mut files = Files::default();
    let model = files.add_model(student.model(), contents.folder, contents.precision)?;
    files.end(&Manifest {
        version: model.version(&bundle.teacher),
        name: contents.name.to_owned(),
        plan,
        order: bundle.order_of_another_student(),
        student: model,
        curve: SizeCurve::new(Vec::new()),
        similarity: contents.similarity,
        recordings: None,
        stored: None,
        ..bundle.clone()
    })
}

/// Files collected so far, path and bytes.
#[derive(Default)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn add(&mut self, path: String, bytes: Vec<u8>) -> BundleFile {
        let file = BundleFile::of(path, &bytes);
        self.0.push((file.path.clone(), bytes));
        file
    }

    fn add_model(
        &mut self,
        model: &LanguageModel,
        folder: &str,
        stored_as: impl Into<StoredAs>,
    ) -> Result<ModelFiles, BundleError> {
        let stored_as = stored_as.into();
        let config = model.config();
        let ends = model_to_bytes(&model.without_layers(), stored_as)?;
        let ends = self.add(format!("{folder}/ends.safetensors"), ends);
        let mut layers = Vec::new();
        for (number, layer) in model.layers().iter().enumerate() {
            let bytes = layer_to_bytes(layer, config, stored_as)?;
            layers.push(self.add(format!("{folder}/layer-{number:02}.safetensors"), bytes));
        }
        Ok(ModelFiles { ends, own_ends: None, tied: model.is_tied(), layers })
    }

    /// Replaces the student's ends by the teacher's, with a file of the vectors in which they differ, if
    /// all matrices are the same, as embedding and head are where they were frozen.
    fn share_ends(
        &mut self,
        student: &mut ModelFiles,
        teacher: &ModelFiles,
    ) -> Result<(), BundleError> {
        let own = self.0.iter().position(|(path, _)| *path == student.ends.path);
        let base = self.0.iter().find(|(path, _)| *path == teacher.ends.path);
        let (Some(own), Some((_, base))) = (own, base) else { return Ok(()) };
        if self.0[own].1 == *base {
            self.0.remove(own);
            student.ends.clone_from(&teacher.ends);
            return Ok(());
        }
        let parse = |bytes| Checkpoint::parse([("ends".to_owned(), bytes)]);
        let changes = parse(&self.0[own].1)?.vectors_over(&parse(base)?)?;
        if let Some(changes) = changes {
            let (path, bytes) = &mut self.0[own];
            *bytes = changes;
            student.own_ends = Some(BundleFile::of(path.clone(), bytes));
            student.ends.clone_from(&teacher.ends);
        }
        Ok(())
    }

    fn end(mut self, manifest: &Manifest) -> Result<Vec<(String, Vec<u8>)>, BundleError> {
        self.0.push((MANIFEST.to_owned(), to_json(manifest)?));
        Ok(self.0)
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    Ok(format!("{}\n", serde_json::to_string(value)?).into_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::Device;

    use super::super::BundleLoader;
    use super::*;
    use crate::config::ModelConfig;
    use crate::distill::Initialization;
    use crate::plan::LayerPlan;
    use crate::prune::Teacher;

    pub(in crate::bundle) const CONFIG: &str = r#"{"model_type": "qwen3", "hidden_size": 8, "intermediate_size": 12,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4,
        "num_hidden_layers": 4, "vocab_size": 11}"#;
    const TOKENIZER: &str =
        r#"{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;

    pub(in crate::bundle) fn files(teacher: &Teacher, order: PatchOrder) -> Vec<(String, Vec<u8>)> {
        let student = teacher.prune(&LayerPlan::keep(&[0, 2], 4).unwrap()).unwrap();
        let family = Family::new(teacher.clone(), student).unwrap();
        bundle_files(&family, contents(order, Precision::F32.into())).unwrap()
    }

    pub(in crate::bundle) fn contents(
        order: PatchOrder,
        stored_as: StoredAs,
    ) -> BundleContents<'static> {
        BundleContents {
            name: "old",
            order,
            stored_as,
            tokenizer_json: TOKENIZER.as_bytes(),
            tokenizer_gz: None,
            chat: None,
            curve: SizeCurve::new(Vec::new()),
            similarity: vec![0.5; 2],
            prompts: vec!["a".to_owned()],
            recordings: None,
            task: None,
            loss: None,
        }
    }

    pub(in crate::bundle) fn manifest(files: &[(String, Vec<u8>)]) -> Manifest {
        let (_, text) = files.last().unwrap();
        Manifest::from_json(std::str::from_utf8(text).unwrap()).unwrap()
    }

    #[test]
    fn another_student_makes_another_family_of_the_same_teacher() {
        let config = ModelConfig::from_json(CONFIG).unwrap();
        let random = Initialization::HuggingFace;
        let teacher = Teacher::new(LanguageModel::random(&config, random, 1, &Device::flex()));
        let old_files = files(&teacher, PatchOrder::Found(vec![1, 0]));
        let old = manifest(&old_files);
        let student = teacher.prune(&LayerPlan::keep(&[0, 1, 3], 4).unwrap()).unwrap();
        let contents = StudentContents {
            name: "new",
            folder: "taught",
            precision: Precision::F32,
            similarity: Vec::new(),
        };
        let new_files = student_files(&old, &student, contents).unwrap();
        let new = manifest(&new_files);
        assert_eq!(
            (new.name.as_str(), &new.teacher, &new.prompts),
            ("new", &old.teacher, &old.prompts)
        );
        assert_ne!(new.fingerprint(), old.fingerprint());

        // What the old family's loader has is not loaded again.
        let mut loader = BundleLoader::new(old.clone(), Device::flex()).unwrap();
        for file in old.files() {
            let (_, bytes) = old_files.iter().find(|(path, _)| *path == file.path).unwrap();
            loader.add(file, bytes).unwrap();
        }
        let mut next = BundleLoader::new(new.clone(), Device::flex()).unwrap();
        next.take_from(&loader);
        let missing: Vec<&str> =
            new.files().filter(|file| !next.has(file)).map(|file| file.path.as_str()).collect();
        assert!(missing.iter().all(|path| path.starts_with("taught/")), "{missing:?}");
        for file in new.files().filter(|file| file.path.starts_with("taught/")) {
            let (_, bytes) = new_files.iter().find(|(path, _)| *path == file.path).unwrap();
            next.add(file, bytes).unwrap();
        }
        let (_, _, family) = next.finish().unwrap();
        assert_eq!(family.plan().kept(), [0, 1, 3]);
    }
}
