//! Assembles members from two GGUF files: the tensors of teacher and student under new names, byte
//! for byte.
//!
//! Nothing is requantized, and the two files may be quantized differently.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::metadata::{kind_error, plan_to_metadata};
use super::rows::{Head, Kinds, Rope, Traits};
use super::{Gguf, GgufArray, GgufError, GgufTensor, GgufValue, Metadata};
use crate::architecture::Architecture;
use crate::plan::{Ends, HeadPolicy, LayerPlan, LayerSource, Owner, PatchOrder, Recipe};

/// Teacher and student as GGUF files that were checked to form a family.
pub struct GgufFamily<'a, 'bytes> {
    teacher: Parent<'a, 'bytes>,
    student: Parent<'a, 'bytes>,
    traits: &'static Traits,
    plan: LayerPlan,
}

/// One file with its tensors grouped by layer: `(name inside the layer, tensor)`.
struct Parent<'a, 'bytes> {
    owner: Owner,
    file: &'a Gguf<'bytes>,
    layers: BTreeMap<usize, Vec<(&'a str, &'a GgufTensor<'bytes>)>>,
}

/// A member to be written.
#[derive(Debug)]
pub struct GgufMember<'bytes> {
    pub metadata: Metadata<'bytes>,
    pub tensors: Vec<GgufTensor<'bytes>>,
}

const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

/// Keys that may have an array with one value per layer.
const BY_LAYER: [&str; 4] = [
    "attention.head_count",
    "attention.head_count_kv",
    "attention.sliding_window_pattern",
    "feed_forward_length",
];

/// Keys that some programs omit because tensor shapes imply them.
const IMPLIED_BY_TENSORS: [&str; 4] =
    ["attention.head_count_kv", "attention.key_length", "attention.value_length", "vocab_size"];

/// Defaults in llama.cpp for absent keys.
const DEFAULTS: [(&str, f32); 2] = [("rope.freq_base", 1e4), ("rope.freq_base_swa", 1e4)];

/// Number of rotated dimensions; may be absent if all are.
const ROTATED: &str = "rope.dimension_count";

impl<'a, 'bytes> GgufFamily<'a, 'bytes> {
    /// # Errors
    /// [`GgufError`] names the key or tensor that differs, with both values.
    pub fn new(
        teacher: &'a Gguf<'bytes>,
        student: &'a Gguf<'bytes>,
        plan: &LayerPlan,
    ) -> Result<Self, GgufError> {
        let teacher = Parent::new(Owner::Teacher, teacher, plan.n_teacher_layers())?;
        let student = Parent::new(Owner::Student, student, plan.n_student_layers())?;
        let names = [&teacher, &student].map(|parent| parent.file.architecture().unwrap_or(""));
        let traits = Traits::named(names[0]).ok_or_else(|| GgufError::Architecture {
            found: names[0].to_owned(),
            supported: Traits::names(),
        })?;
        if names[0] != names[1] {
            return Err(difference("general.architecture", names[0], names[1]));
        }
        compare_metadata(&teacher, &student, traits)?;
        compare_tensors(&teacher, &student, plan)?;
        Ok(Self { teacher, student, traits, plan: plan.clone() })
    }

    /// The patch order that the paper found best; GGUF does not distinguish Mistral from Llama.
    pub fn default_order(&self) -> PatchOrder {
        let has_name = |architecture: &Architecture| {
            Traits::of(*architecture).is_some_and(|traits| traits.name == self.traits.name)
        };
        let found = Architecture::ALL.into_iter().find(has_name);
        found.map_or(PatchOrder::Last, Architecture::default_order)
    }

    fn parent(&self, owner: Owner) -> &Parent<'a, 'bytes> {
        match owner {
            Owner::Teacher => &self.teacher,
            Owner::Student => &self.student,
        }
    }

    /// The member that a recipe describes; only metadata is copied.
    ///
    /// # Errors
    /// [`GgufError`] names the layer that cannot have this index in a GGUF file, or what a parent
    /// lacks.
    pub fn member(
        &self,
        recipe: &Recipe,
        policy: HeadPolicy,
    ) -> Result<GgufMember<'bytes>, GgufError> {
        self.check_kinds(recipe)?;
        let ends =
            recipe.ends(policy, |owner| self.parent(owner).is_tied()).ok_or(GgufError::NotTied)?;
        if ends.head.is_some() && self.traits.head == Head::Never {
            return Err(GgufError::TiedOnly { architecture: self.traits.name });
        }
        let mut tensors = self.ends(ends)?;
        for (number, source) in recipe.layers.iter().enumerate() {
            let (owner, layer) = source.place();
            let parts = self.parent(owner).layers.get(&layer);
            let parts = parts
                .ok_or_else(|| GgufError::Missing { owner, what: format!("layer {layer}") })?;
            tensors.extend(parts.iter().map(|(part, tensor)| GgufTensor {
                name: Cow::Owned(format!("blk.{number}.{part}")),
                ..(*tensor).clone()
            }));
        }
        Ok(GgufMember { metadata: self.metadata(recipe)?, tensors })
    }

    /// The tensors outside of layers, in the order of the teacher's file.
    fn ends(&self, ends: Ends) -> Result<Vec<GgufTensor<'bytes>>, GgufError> {
        let mut tensors = Vec::new();
        for tensor in self.teacher.ends() {
            let name = &*tensor.name;
            let owner = match name.split('.').next() {
                Some("output") => continue,
                Some("output_norm") => ends.norm,
                Some("token_embd" | "token_embd_norm" | "position_embd") => ends.embedding,
                // Rotary factors are the same in both files.
                _ => Owner::Teacher,
            };
            let found = self.parent(owner).file.tensor(name);
            let missing = || GgufError::Missing { owner, what: format!("tensor {name:?}") };
            tensors.push(found.ok_or_else(missing)?.clone());
        }
        if let Some(owner) = ends.head.or((self.traits.head == Head::Always).then_some(ends.norm)) {
            let parent = self.parent(owner);
            // The head of a tied parent is its embedding.
            let from = if parent.is_tied() { EMBEDDING } else { HEAD };
            let missing = || GgufError::Missing { owner, what: format!("tensor {from:?}") };
            let tensor = parent.file.tensor(from).ok_or_else(missing)?;
            tensors.push(GgufTensor { name: Cow::Borrowed(HEAD), ..tensor.clone() });
            tensors.extend(parent.file.tensor("output.bias").cloned());
        }
        Ok(tensors)
    }

    /// Rejects a layer that llama.cpp would treat as another kind at its new index.
    fn check_kinds(&self, recipe: &Recipe) -> Result<(), GgufError> {
        const WINDOW: &str = "attention.sliding_window";
        let has_windows = self.traits.head == Head::Never
            || self.teacher.file.get(WINDOW).and_then(GgufValue::as_size).is_some_and(|n| n > 0);
        if matches!(self.traits.kinds, Kinds::WindowedButEach(_)) && !has_windows {
            return Ok(());
        }
        for (number, source) in recipe.layers.iter().enumerate() {
            let found = self.traits.kinds.of_layer(source.place().1);
            let expected = self.traits.kinds.of_layer(number);
            if found != expected {
                return Err(kind_error(number, found, expected, self.traits));
            }
        }
        Ok(())
    }

    /// The teacher's metadata with the changes of the recipe.
    fn metadata(&self, recipe: &Recipe) -> Result<Metadata<'bytes>, GgufError> {
        let mut metadata = self.teacher.file.metadata.clone();
        // The first is the size of another model; the second is already parsed.
        metadata.retain(|key| key != "general.size_label" && !key.starts_with("boomerang."));
        let name = self.traits.name;
        let n_layers = GgufValue::U32(recipe.layers.len() as u32);
        metadata.set(format!("{name}.block_count"), n_layers);
        for key in BY_LAYER {
            let values = [&self.teacher, &self.student].map(|parent| parent.by_layer(key));
            let [Some(teacher), Some(student)] = values else { continue };
            let is_array = |parent: &Parent<'_, '_>| {
                parent.file.get(key).is_some_and(|value| value.as_array().is_some())
            };
            if !is_array(&self.teacher) && !is_array(&self.student) {
                continue;
            }
            let of_layer = |source: &LayerSource| match *source {
                LayerSource::Teacher(layer) => teacher.get(layer).cloned(),
                LayerSource::Student(layer) => student.get(layer).cloned(),
            };
            let values: Option<Vec<_>> = recipe.layers.iter().map(of_layer).collect();
            let array = values.as_deref().and_then(GgufArray::of);
            let array = array.ok_or_else(|| {
                let describe = |parent: &Parent<'_, '_>| {
                    parent.file.get(key).map_or_else(String::new, GgufValue::describe)
                };
                difference(key, &describe(&self.teacher), &describe(&self.student))
            })?;
            metadata.set(format!("{name}.{key}"), GgufValue::Array(array));
        }
        if recipe.layers.iter().all(|source| source.place().0 == Owner::Student) {
            plan_to_metadata(&self.plan, &mut metadata);
        }
        Ok(metadata)
    }
}

impl<'a, 'bytes> Parent<'a, 'bytes> {
    fn new(owner: Owner, file: &'a Gguf<'bytes>, expected: usize) -> Result<Self, GgufError> {
        if let Some((part, count)) = file.part() {
            return Err(GgufError::Split { owner, part, count });
        }
        let missing = |what: &str| GgufError::Missing { owner, what: what.to_owned() };
        file.architecture().ok_or_else(|| missing("general.architecture"))?;
        let n_layers = file.get("block_count").and_then(GgufValue::as_size);
        let found = n_layers.ok_or_else(|| missing("block_count"))?;
        if found != expected {
            return Err(GgufError::Layers { owner, found, expected });
        }
        let mut layers = BTreeMap::<usize, Vec<_>>::new();
        for tensor in file.tensors() {
            if !tensor.kind.is_for_weights() {
                let (name, kind) = (tensor.name.clone().into_owned(), tensor.kind);
                return Err(GgufError::NoWeight { owner, name, kind });
            }
            if let Some((layer, part)) = in_layer(&tensor.name) {
                layers.entry(layer).or_default().push((part, tensor));
            }
        }
        // With as many keys as layers and the last key being the last layer, all layers are
        // present.
        if layers.len() != found || layers.keys().next_back().is_some_and(|&last| last + 1 != found)
        {
            return Err(missing("tensors for each of its layers"));
        }
        Ok(Self { owner, file, layers })
    }

    fn is_tied(&self) -> bool {
        self.file.tensor(HEAD).is_none()
    }

    fn ends(&self) -> impl Iterator<Item = &'a GgufTensor<'bytes>> {
        let file = self.file;
        file.tensors().iter().filter(|tensor| in_layer(&tensor.name).is_none())
    }

    /// The values of a key by layer; a single value applies to all layers.
    fn by_layer(&self, key: &str) -> Option<Vec<GgufValue<'_>>> {
        match self.file.get(key)? {
            GgufValue::Array(array) => {
                (array.len() == self.layers.len()).then(|| array.values().collect())
            }
            value => Some(vec![value.clone(); self.layers.len()]),
        }
    }
}

/// The index of the layer that a tensor belongs to, and its name inside the layer.
fn in_layer(name: &str) -> Option<(usize, &str)> {
    let (number, part) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((number.parse().ok()?, part))
}

fn difference(what: &str, teacher: &str, student: &str) -> GgufError {
    let (teacher, student) = (teacher.to_owned(), student.to_owned());
    GgufError::Difference { what: what.to_owned(), teacher, student }
}

/// Checks that all metadata that affects a layer's computation is the same.
fn compare_metadata(
    teacher: &Parent<'_, '_>,
    student: &Parent<'_, '_>,
    traits: &Traits,
) -> Result<(), GgufError> {
    let prefix = format!("{}.", teacher.file.architecture().unwrap_or(""));
    let keys = [teacher, student].into_iter().flat_map(|parent| parent.file.metadata.iter());
    for (key, _) in keys {
        let Some(short) = key.strip_prefix(&prefix) else { continue };
        if short == "block_count" {
            continue;
        }
        let values = [teacher, student].map(|parent| parent.file.metadata.get(key));
        let is_alike = match values {
            [Some(ours), Some(theirs)] if BY_LAYER.contains(&short) => {
                ours.tag() == theirs.tag() && ours == theirs
                    || ours.as_array().is_some()
                    || theirs.as_array().is_some()
            }
            [Some(ours), Some(theirs)] => match (ours.as_size(), theirs.as_size()) {
                // Programs use different integer widths.
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => ours == theirs,
            },
            [Some(GgufValue::F32(value)), None] | [None, Some(GgufValue::F32(value))]
                if DEFAULTS.contains(&(short, *value)) =>
            {
                true
            }
            _ if short == ROTATED => !matches!(traits.rope, Rope::Long | Rope::Partial),
            _ => IMPLIED_BY_TENSORS.contains(&short),
        };
        if !is_alike {
            let describe = |value: Option<&GgufValue<'_>>| {
                value.map_or_else(|| "absent".to_owned(), GgufValue::describe)
            };
            return Err(difference(key, &describe(values[0]), &describe(values[1])));
        }
    }
    for key in ["tokenizer.ggml.model", "tokenizer.ggml.tokens"] {
        let values = [teacher, student].map(|parent| parent.file.metadata.get(key));
        if let [Some(ours), Some(theirs)] = values
            && ours != theirs
        {
            let [ours, theirs] = [ours, theirs].map(GgufValue::describe);
            let theirs = if ours == theirs { "a different one".to_owned() } else { theirs };
            return Err(difference(key, &ours, &theirs));
        }
    }
    Ok(())
}

/// Checks that each student layer has the same tensors as the teacher layer it was copied from, and
/// that the tensors outside of layers have the same shapes.
fn compare_tensors(
    teacher: &Parent<'_, '_>,
    student: &Parent<'_, '_>,
    plan: &LayerPlan,
) -> Result<(), GgufError> {
    let describe = |tensor: Option<&GgufTensor<'_>>| {
        tensor.map_or_else(|| "absent".to_owned(), |tensor| format!("{:?}", tensor.dims))
    };
    for (layer, origin) in plan.kept().into_iter().enumerate() {
        let parts = |parent: &Parent<'_, '_>, layer: usize| -> BTreeMap<String, Vec<usize>> {
            let parts = parent.layers.get(&layer).into_iter().flatten();
            parts.map(|(part, tensor)| ((*part).to_owned(), tensor.dims.clone())).collect()
        };
        let (ours, theirs) = (parts(teacher, origin), parts(student, layer));
        let all = ours.keys().chain(theirs.keys());
        if let Some(part) = all.into_iter().find(|part| ours.get(*part) != theirs.get(*part)) {
            let at = |layer: usize| format!("blk.{layer}.{part}");
            let [ours, theirs] = [(teacher, origin), (student, layer)]
                .map(|(parent, layer)| describe(parent.file.tensor(&at(layer))));
            let what = format!("the shape of {part:?} in layer {origin} of the teacher");
            return Err(difference(&what, &ours, &theirs));
        }
    }
    for parent in [teacher, student] {
        for tensor in parent.ends() {
            let name = &*tensor.name;
            let pair = [teacher, student].map(|parent| parent.file.tensor(name));
            let is_rope = name.starts_with("rope_");
            let fits = match pair {
                [Some(ours), Some(theirs)] => {
                    ours.dims == theirs.dims && (!is_rope || ours.data == theirs.data)
                }
                // One of them may have its head tied.
                _ => name.starts_with("output."),
            };
            if !fits {
                let [ours, theirs] = pair.map(describe);
                let theirs = if ours == theirs { "different values".to_owned() } else { theirs };
                return Err(difference(name, &ours, &theirs));
            }
        }
        if parent.file.tensor(EMBEDDING).is_none() {
            let what = format!("tensor {EMBEDDING:?}");
            return Err(GgufError::Missing { owner: parent.owner, what });
        }
    }
    Ok(())
}
