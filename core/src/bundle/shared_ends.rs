//! Embedding, norm and head that student and teacher have in one file, since version 2 of the format.

use super::{BundleError, Manifest, ModelFiles};

impl ModelFiles {
    /// The version of a bundle with this student and a teacher.
    pub(super) fn version(&self, teacher: &Self) -> u32 {
        if self.ends == teacher.ends { Manifest::VERSION } else { Manifest::FIRST_VERSION }
    }
}

impl Manifest {
    pub(super) fn ensure_ends_are_distinct_or_shared(&self) -> Result<(), BundleError> {
        let Self { version, student, teacher, .. } = self;
        let has_own = student.own_ends.is_some() || teacher.own_ends.is_some();
        let is_sound = match student.ends.path == teacher.ends.path {
            false => !has_own,
            true => {
                let own = student.own_ends.as_ref();
                *version >= Self::VERSION
                    && student.ends == teacher.ends
                    && student.tied == teacher.tied
                    && teacher.own_ends.is_none()
                    && own.is_none_or(|own| own.path != teacher.ends.path)
            }
        };
        is_sound.then_some(()).ok_or(BundleError::Ends)
    }

    /// Whether student and teacher have the same embedding and head.
    pub fn shares_ends(&self) -> bool {
        self.student.ends == self.teacher.ends
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::write::tests::{CONFIG, contents, files, manifest};
    use super::super::{BundleFile, BundleLoader, as_stored, bundle_files};
    use super::*;
    use crate::checkpoint::{
        Checkpoint, CheckpointError, Precision, StoredAs, model_to_bytes, tensors_to_bytes,
    };
    use crate::config::ModelConfig;
    use crate::distill::Initialization;
    use crate::model::{KvCache, LanguageModel};
    use crate::plan::{LayerPlan, PatchOrder};
    use crate::prune::{Family, Teacher};

    /// A random model, with the ends of `teacher` but for the final norm.
    fn with_embedding_of(teacher: &LanguageModel, seed: u64) -> LanguageModel {
        let random = Initialization::HuggingFace;
        let model = LanguageModel::random(teacher.config(), random, seed, &Device::flex());
        let norm = norm_of(0.5);
        let norm = Checkpoint::parse([("norm".to_owned(), &*norm)]).unwrap();
        let norm = norm.read_vectors_over(&model, &Device::flex()).unwrap();
        let head = (!teacher.is_tied()).then_some(teacher);
        LanguageModel::assemble(teacher, model.layers().to_vec(), &norm, head, model.config())
    }

    fn norm_of(value: f32) -> Vec<u8> {
        let norm = ("model.norm.weight".to_owned(), vec![8], vec![value; 8]);
        tensors_to_bytes(vec![norm], Precision::F32).unwrap()
    }

    #[test]
    fn a_frozen_embedding_is_stored_once() {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        for tied in [true, false] {
            let config = CONFIG.replacen('{', &format!("{{\"tie_word_embeddings\": {tied}, "), 1);
            let config = ModelConfig::from_json(&config).unwrap();
            let random = Initialization::HuggingFace;
            let teacher = LanguageModel::random(&config, random, 1, &Device::flex());
            let student = Teacher::new(with_embedding_of(&teacher, 2)).prune(&plan).unwrap();
            let family = Family::new(Teacher::new(teacher), student).unwrap();
            for stored_as in [Precision::F32.into(), StoredAs::Q8_0] {
                let stored = as_stored(&family, stored_as, &Device::flex()).unwrap();
                let files = bundle_files(&family, contents(PatchOrder::Last, stored_as)).unwrap();
                let manifest = manifest(&files);
                assert_eq!((manifest.version, manifest.files().count()), (2, files.len() - 1));
                let own = manifest.student.own_ends.clone().unwrap();
                assert!(own.bytes < 200, "{}", own.bytes);
                // In both orders: a page fetches several at a time.
                let mut order: Vec<&BundleFile> = manifest.files().collect();
                for _ in 0..2 {
                    order.reverse();
                    let mut loader = BundleLoader::new(manifest.clone(), Device::flex()).unwrap();
                    for file in &order {
                        assert!(!loader.has(file));
                        let (_, bytes) = files.iter().find(|(path, _)| *path == file.path).unwrap();
                        loader.add(file, bytes).unwrap();
                        assert!(loader.has(file));
                    }
                    // Another loader takes all of it without a file.
                    let mut next = BundleLoader::new(manifest.clone(), Device::flex()).unwrap();
                    next.take_from(&loader);
                    assert!(manifest.files().all(|file| next.has(file)));
                    let bytes = |model: &_| model_to_bytes(model, Precision::F32).unwrap();
                    for patch in manifest.order.path(&plan).unwrap() {
                        let (member, expected) =
                            (next.member(&patch).unwrap(), stored.member(&patch));
                        // A tied matrix of both is one in all members.
                        assert_eq!(member.is_tied(), tied);
                        if member.is_tied() == expected.is_tied() {
                            assert_eq!(bytes(&member), bytes(&expected));
                        }
                        let logits = |model: &LanguageModel| {
                            model.next_logits(&[1, 2, 3], &mut KvCache::new(model, 3)).to_data()
                        };
                        assert_eq!(logits(&member), logits(&expected));
                    }
                    let (_, _, loaded) = loader.finish().unwrap();
                    assert_eq!(bytes(loaded.student().model()), bytes(stored.student().model()));
                    assert_eq!(bytes(loaded.teacher().model()), bytes(stored.teacher().model()));
                }
            }
        }
    }

    #[test]
    fn only_the_student_may_have_ends_of_its_own_and_beside_shared_ones() {
        let config = ModelConfig::from_json(CONFIG).unwrap();
        let random = Initialization::HuggingFace;
        let teacher = Teacher::new(LanguageModel::random(&config, random, 1, &Device::flex()));
        let sound = manifest(&files(&teacher, PatchOrder::Last));
        let own = BundleFile::of("student/ends.safetensors".to_owned(), &norm_of(0.5));
        let refused = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = sound.clone();
            change(&mut manifest);
            let json = serde_json::to_string(&manifest).unwrap();
            matches!(Manifest::from_json(&json), Err(BundleError::Ends))
        };
        assert!(!refused(&|_| {}));
        assert!(!refused(&|it| it.student.own_ends = Some(own.clone())));
        assert!(refused(&|it| it.teacher.own_ends = Some(own.clone())));
        assert!(refused(&|it| it.student.own_ends = Some(it.teacher.ends.clone())));
        assert!(refused(&|it| it.version = 1));
        assert!(refused(&|it| it.student.tied = !it.student.tied));
        assert!(refused(&|it| it.student.ends.bytes += 1));
        assert!(refused(&|it| {
            it.student.own_ends = Some(own.clone());
            it.student.ends.path = "student/other.safetensors".to_owned();
        }));
    }

    #[test]
    fn a_matrix_is_not_read_as_a_student_s_own_vectors() {
        let config = ModelConfig::from_json(CONFIG).unwrap();
        let random = Initialization::HuggingFace;
        let model = LanguageModel::random(&config, random, 1, &Device::flex());
        let bytes = model_to_bytes(&model.without_layers(), Precision::F32).unwrap();
        let ends = Checkpoint::parse([("ends".to_owned(), &*bytes)]).unwrap();
        let outcome = ends.read_vectors_over(&model, &Device::flex());
        assert!(matches!(outcome, Err(CheckpointError::Shape { .. })));
    }

    #[test]
    fn a_student_with_the_teachers_ends_adds_only_layers() {
        let config = ModelConfig::from_json(CONFIG).unwrap();
        let random = Initialization::HuggingFace;
        let teacher = Teacher::new(LanguageModel::random(&config, random, 1, &Device::flex()));
        let files = files(&teacher, PatchOrder::Last);
        let manifest = manifest(&files);
        assert_eq!(manifest.student.ends, manifest.teacher.ends);
        let of_student = files.iter().filter(|(path, _)| path.starts_with("student/"));
        assert!(of_student.map(|(path, _)| path).all(|path| path.contains("/layer-")));
    }
}
