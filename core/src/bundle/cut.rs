//! Splits a family in Hugging Face format into the files of a bundle without reading any weight:
//! each bundle file is a list of byte ranges of existing files.

use std::collections::BTreeMap;

use super::{BundleError, BundleFile, ChatFormat, Manifest, ModelFiles};
use crate::checkpoint::{Header, Names, StoredTensor, header_of, to_f32};
use crate::config::ModelConfig;
use crate::curve::SizeCurve;
use crate::plan::LayerPlan;
use crate::prune::Family;

/// A model whose weights are stored elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct StoredModel<'a> {
    pub config: &'a ModelConfig,
    /// Its weight files: the caller's id and the header of each.
    pub weights: &'a [(usize, Header)],
}

/// A byte range of an existing file, identified by the caller's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub file: usize,
    pub start: u64,
    pub end: u64,
}

/// A file of the future bundle: `head`, then the pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutFile {
    pub path: String,
    pub head: Vec<u8>,
    pub pieces: Vec<Piece>,
}

/// The files of a bundle before any weight is read.
#[derive(Clone, Debug)]
pub struct CutFamily {
    name: String,
    teacher: CutModel,
    student: CutModel,
    config: ModelConfig,
    plan: LayerPlan,
    tokenizer: CutFile,
    chat: Option<ChatFormat>,
}

#[derive(Clone, Debug)]
struct CutModel {
    ends: CutFile,
    tied: bool,
    layers: Vec<CutFile>,
}

impl CutFile {
    pub fn n_bytes(&self) -> u64 {
        let pieces: u64 = self.pieces.iter().map(|piece| piece.end - piece.start).sum();
        self.head.len() as u64 + pieces
    }
}

impl CutFamily {
    /// `tokenizer` is the teacher's entire `tokenizer.json`.
    ///
    /// # Errors
    /// [`BundleError`] if the two do not form a family, or lack a tensor.
    pub fn new(
        name: &str,
        teacher: StoredModel<'_>,
        student: StoredModel<'_>,
        plan: LayerPlan,
        tokenizer: Piece,
    ) -> Result<Self, BundleError> {
        if teacher.config.is_masked() {
            let path = name.to_owned();
            let reason = "it is a masked language model, which cannot generate text".to_owned();
            return Err(BundleError::Unfit { path, reason });
        }
        Family::check(teacher.config, student.config, &plan)?;
        Ok(Self {
            name: name.to_owned(),
            teacher: CutModel::new(teacher, "teacher")?,
            student: CutModel::new(student, "student")?,
            config: teacher.config.clone(),
            plan,
            tokenizer: CutFile {
                path: "tokenizer.json".to_owned(),
                head: Vec::new(),
                pieces: vec![tokenizer],
            },
            chat: None,
        })
    }

    /// With the teacher's chat template.
    #[must_use]
    pub fn with_chat(self, chat: Option<ChatFormat>) -> Self {
        Self { chat, ..self }
    }

    /// All files except the manifest.
    pub fn files(&self) -> impl Iterator<Item = &CutFile> {
        let Self { tokenizer, student, teacher, .. } = self;
        [tokenizer].into_iter().chain(student.files()).chain(teacher.files())
    }

    /// The manifest, with the SHA-256 of each file. Before the files are read the hashes are
    /// unknown; such a manifest reports sizes, but no loader accepts files for it.
    pub fn manifest(&self, hash: impl Fn(&CutFile) -> String) -> Manifest {
        let file = |file: &CutFile| BundleFile {
            path: file.path.clone(),
            bytes: file.n_bytes(),
            sha256: hash(file),
        };
        let model = |model: &CutModel| ModelFiles {
            ends: file(&model.ends),
            own_ends: None,
            tied: model.tied,
            layers: model.layers.iter().map(file).collect(),
        };
        Manifest {
            format: Manifest::FORMAT.to_owned(),
            version: Manifest::FIRST_VERSION,
            name: self.name.clone(),
            config: serde_json::from_str(&self.config.to_json()).unwrap_or_default(),
            end_tokens: self.config.other_end_tokens().map(<[u32]>::to_vec),
            chat: self.chat.clone(),
            plan: self.plan.clone(),
            order: self.config.architecture.default_order(),
            tokenizer: file(&self.tokenizer),
            tokenizer_gz: None,
            teacher: model(&self.teacher),
            student: model(&self.student),
            curve: SizeCurve::new(Vec::new()),
            similarity: Vec::new(),
            prompts: Vec::new(),
            recordings: None,
            task: None,
            stored: None,
        }
    }
}

impl CutModel {
    fn files(&self) -> impl Iterator<Item = &CutFile> {
        [&self.ends].into_iter().chain(&self.layers)
    }

    fn new(model: StoredModel<'_>, folder: &str) -> Result<Self, BundleError> {
        let StoredModel { config, weights } = model;
        let wrap = |source| BundleError::Checkpoint { path: folder.to_owned(), source };
        Header::check(weights.iter().map(|(_, header)| header), config).map_err(wrap)?;
        let names = Names::of(config);
        let mut ends = Vec::new();
        let mut layers = BTreeMap::<usize, Vec<_>>::new();
        for (file, header) in weights {
            for (name, tensor) in header.tensors() {
                if let Some((layer, part)) = names.in_layer(name) {
                    // Masks and similar buffers, which some files store, are recomputed.
                    if names.is_layer_part(part) {
                        to_f32(name, tensor.dtype, &[]).map_err(wrap)?;
                        layers.entry(layer).or_default().push((part, *file, tensor));
                    }
                } else if names.part(name).is_some() {
                    to_f32(name, tensor.dtype, &[]).map_err(wrap)?;
                    ends.push((&**name, *file, tensor));
                }
            }
        }
        let layer = |number: usize| {
            let tensors = layers.remove(&number).unwrap_or_default();
            CutFile::of(format!("{folder}/layer-{number:02}.safetensors"), &tensors)
        };
        Ok(Self {
            ends: CutFile::of(format!("{folder}/ends.safetensors"), &ends),
            tied: config.tied,
            layers: (0..config.n_layers()).map(layer).collect(),
        })
    }
}

impl CutFile {
    fn of(path: String, tensors: &[(&str, usize, &StoredTensor)]) -> Self {
        // The bytes follow the header in its order.
        let named: BTreeMap<&str, (usize, &StoredTensor)> =
            tensors.iter().map(|&(name, file, tensor)| (name, (file, tensor))).collect();
        let head = header_of(named.iter().map(|(name, (_, tensor))| (*name, *tensor)));
        let piece = |&(file, tensor): &(usize, &StoredTensor)| Piece {
            file,
            start: tensor.start,
            end: tensor.end,
        };
        Self { path, head, pieces: named.values().map(piece).collect() }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::BundleLoader;
    use super::*;
    use crate::checkpoint::{Precision, model_to_bytes};
    use crate::distill::Initialization;
    use crate::model::LanguageModel;
    use crate::plan::Patch;
    use crate::prune::{FamilyError, Teacher};

    const TOKENIZER: &[u8] =
        br#"{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;

    fn config(model_type: &str, tied: bool) -> ModelConfig {
        let json = serde_json::json!({
            "model_type": model_type, "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12,
            "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 4,
            "n_embd": 8, "n_head": 2, "n_layer": 4, "n_positions": 32, "rotary_pct": 0.5,
            "tie_word_embeddings": tied,
        });
        ModelConfig::from_json(&json.to_string()).unwrap()
    }

    fn family(config: &ModelConfig, plan: &LayerPlan) -> Family {
        let random = |seed| {
            Teacher::new(LanguageModel::random(
                config,
                Initialization::HuggingFace,
                seed,
                &Device::flex(),
            ))
        };
        let student = random(2).prune(plan).unwrap();
        Family::new(random(1), student).unwrap()
    }

    /// The stored files: teacher, student, tokenizer.
    fn stored(family: &Family) -> [Vec<u8>; 3] {
        let bytes = |model| model_to_bytes(model, Precision::F32).unwrap();
        [bytes(family.teacher().model()), bytes(family.student().model()), TOKENIZER.to_vec()]
    }

    fn header(bytes: &[u8]) -> Header {
        let n_bytes = bytes.len() as u64;
        let end = Header::end("x", &bytes[..8], n_bytes).unwrap();
        Header::parse("x", &bytes[..end as usize], n_bytes).unwrap()
    }

    fn cut(family: &Family, files: &[Vec<u8>; 3]) -> Result<CutFamily, BundleError> {
        let weights = [0, 1].map(|number| [(number, header(&files[number]))]);
        let teacher =
            StoredModel { config: family.teacher().model().config(), weights: &weights[0] };
        let student =
            StoredModel { config: family.student().model().config(), weights: &weights[1] };
        let tokenizer = Piece { file: 2, start: 0, end: TOKENIZER.len() as u64 };
        CutFamily::new("own", teacher, student, family.plan().clone(), tokenizer)
    }

    fn bytes_of(file: &CutFile, files: &[Vec<u8>; 3]) -> Vec<u8> {
        let piece =
            |piece: &Piece| files[piece.file][piece.start as usize..piece.end as usize].to_vec();
        let pieces = file.pieces.iter().flat_map(piece);
        file.head.iter().copied().chain(pieces).collect()
    }

    #[test]
    fn a_family_that_was_cut_is_the_family() {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        for (model_type, tied) in [("qwen3", true), ("llama", false), ("gpt2", true)] {
            let family = family(&config(model_type, tied), &plan);
            let files = stored(&family);
            let cut = cut(&family, &files).unwrap();
            let hash =
                |file: &CutFile| BundleFile::of(String::new(), &bytes_of(file, &files)).sha256;
            let manifest = cut.manifest(hash);
            let manifest = Manifest::from_json(&serde_json::to_string(&manifest).unwrap()).unwrap();
            let mut loader = BundleLoader::new(manifest.clone(), Device::flex()).unwrap();
            for file in cut.files() {
                let entry = manifest.files().find(|entry| entry.path == file.path).unwrap();
                loader.add(entry, &bytes_of(file, &files)).unwrap();
            }
            let (_, _, loaded) = loader.finish().unwrap();
            for patch in [Patch::none(&plan), Patch::of(&[1], &plan).unwrap(), Patch::all(&plan)] {
                let bytes =
                    |family: &Family| model_to_bytes(&family.member(&patch), Precision::F32);
                assert_eq!(bytes(&loaded).unwrap(), bytes(&family).unwrap(), "{model_type}");
            }
        }
    }

    #[test]
    fn sizes_are_known_before_a_weight_is_read() {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        let family = family(&config("qwen3", true), &plan);
        let files = stored(&family);
        let draft = cut(&family, &files).unwrap().manifest(|_| String::new());
        let weights = files.iter().map(|file| file.len() as u64).sum::<u64>();
        // Values are stored once; only headers differ.
        assert!(draft.n_bytes().abs_diff(weights) < 4096, "{} and {weights}", draft.n_bytes());
        assert!(Manifest::from_json(&serde_json::to_string(&draft).unwrap()).is_ok());
    }

    #[test]
    fn a_student_of_another_teacher_is_refused() {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        let family = family(&config("qwen3", true), &plan);
        let files = stored(&family);
        let weights = [0, 1].map(|number| [(number, header(&files[number]))]);
        let (teacher, student) = (family.teacher().model(), family.student().model());
        let tokenizer = Piece { file: 2, start: 0, end: 1 };
        let try_with = |teacher_config: &ModelConfig, plan: &LayerPlan, weights: [&[_]; 2]| {
            let teacher = StoredModel { config: teacher_config, weights: weights[0] };
            let student = StoredModel { config: student.config(), weights: weights[1] };
            CutFamily::new("own", teacher, student, plan.clone(), tokenizer).map(|_| ())
        };
        let both: [&[_]; 2] = [&weights[0], &weights[1]];
        assert!(try_with(teacher.config(), &plan, both).is_ok());
        let other_plan = LayerPlan::keep(&[0, 2, 3], 4).unwrap();
        assert!(matches!(
            try_with(teacher.config(), &other_plan, both),
            Err(BundleError::Family(FamilyError::StudentLayers { .. }))
        ));
        assert!(matches!(
            try_with(teacher.config(), &plan, [both[1], both[0]]),
            Err(BundleError::Checkpoint { .. })
        ));
    }
}
