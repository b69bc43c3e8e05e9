//! The student of a post-trained teacher, without training it: what distillation changed in the student
//! of the base is added to the layers that the variant has in its place (ADAPT, arXiv:2608.22854).

use std::cell::RefCell;
use std::io::Write;

use safetensors::Dtype;
use thiserror::Error;

use super::dtype::to_f32;
use super::member::Parent;
use super::output::{OutputTensor, write_tensors};
use super::used::Used;
use super::{CheckpointError, Names, Precision};
use crate::plan::LayerPlan;

/// Three models: `variant + (student - base)`, each layer of the student at its place in the teachers.
#[derive(Clone, Copy, Debug)]
pub struct DeltaParents<'a, 'bytes> {
    /// The teacher that the student was distilled from.
    pub base: Parent<'a, 'bytes>,
    pub student: Parent<'a, 'bytes>,
    /// The post-trained teacher.
    pub variant: Parent<'a, 'bytes>,
}

/// Why three models do not give a fourth.
#[derive(Debug, Error)]
pub enum DeltaError {
    #[error("the {0} differs from the base: {1}")]
    Different(&'static str, String),
    #[error("the {model} has no tensor {name}, which the student's {of} needs")]
    Missing { model: &'static str, name: String, of: String },
    #[error(
        "the {model}'s {name} has shape {found:?}; expected {expected:?} as the student's {of}"
    )]
    Shape { model: &'static str, name: String, found: Vec<usize>, expected: Vec<usize>, of: String },
}

/// Sizes and direction of the two changes of a tensor: that by distillation, and that by post-training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeltaSizes {
    /// The tensor, in the student.
    pub name: String,
    /// Sum of the products of both changes.
    pub dot: f64,
    /// Sums of the squares.
    pub distilled: f64,
    pub post_trained: f64,
}

impl DeltaSizes {
    /// The cosine of the angle between both changes; 0 where one of them is none.
    pub fn cosine(&self) -> f64 {
        let norms = (self.distilled * self.post_trained).sqrt();
        if norms > 0.0 { self.dot / norms } else { 0.0 }
    }

    /// The norm of the change by post-training, over that by distillation.
    pub fn norm_ratio(&self) -> f64 {
        (self.post_trained / self.distilled).sqrt()
    }

    /// Of several tensors together.
    pub fn total<'a>(name: &str, all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self { name: name.to_owned(), ..Self::default() };
        for one in all {
            total.dot += one.dot;
            total.distilled += one.distilled;
            total.post_trained += one.post_trained;
        }
        total
    }
}

/// The student of a variant, before it is computed.
pub struct Delta<'a, 'bytes> {
    parents: DeltaParents<'a, 'bytes>,
    places: Vec<Place>,
}

/// A tensor of the student, and those of the teachers at its place.
struct Place {
    of_student: String,
    of_base: String,
    of_variant: String,
}

impl<'a, 'bytes> DeltaParents<'a, 'bytes> {
    /// What each tensor of the student is computed from.
    ///
    /// # Errors
    /// [`DeltaError`] names what does not fit.
    pub fn delta(self, plan: &LayerPlan) -> Result<Delta<'a, 'bytes>, DeltaError> {
        Ok(Delta { places: self.places(plan)?, parents: self })
    }

    fn places(&self, plan: &LayerPlan) -> Result<Vec<Place>, DeltaError> {
        let base = self.base.config;
        for (model, other) in [("student", self.student.config), ("variant", self.variant.config)] {
            if let Some(difference) = base.difference(other) {
                return Err(DeltaError::Different(model, difference));
            }
        }
        let (own, of_variant) = (self.student.config.tied, self.variant.config.tied);
        if own != of_variant {
            let difference = format!("tie_word_embeddings = {of_variant}, the student has {own}");
            return Err(DeltaError::Different("variant", difference));
        }
        let (base_layers, other_layers) = (base.n_layers(), self.variant.config.n_layers());
        if base_layers != other_layers {
            let difference = format!("{other_layers} layers instead of {base_layers}");
            return Err(DeltaError::Different("variant", difference));
        }
        let names = Names::of(self.student.config);
        let used = Used::by(self.student.config);
        let kept = plan.kept();
        let mut places = Vec::new();
        for (name, view) in self.student.checkpoint.tensors() {
            let at_teacher = match names.in_layer(name) {
                Some((layer, part)) if used.in_layer(part) => {
                    let Some(&layer) = kept.get(layer) else { continue };
                    names.of_layer_part(layer, part)
                }
                // Masks and similar buffers are recomputed when a model is loaded.
                Some(_) => continue,
                None => name.clone(),
            };
            let find = |model: &'static str, parent: Parent<'_, '_>| {
                let tensors = parent.checkpoint.tensors();
                // The head of a tied model is its embedding.
                let embedding = names.find("embedding.tokens.weight");
                let head = names.find("head.weight");
                let is_head = head.is_some_and(|head| head.names().any(|found| found == name));
                let stored = match tensors.contains_key(&at_teacher) {
                    true => Some(at_teacher.clone()),
                    false if is_head => embedding.and_then(|embedding| {
                        embedding.names().find(|name| tensors.contains_key(*name)).cloned()
                    }),
                    false => None,
                };
                let stored = stored.ok_or_else(|| DeltaError::Missing {
                    model,
                    name: at_teacher.clone(),
                    of: name.clone(),
                })?;
                let found = tensors[&stored].shape();
                if found != view.shape() {
                    return Err(DeltaError::Shape {
                        model,
                        name: stored,
                        found: found.to_vec(),
                        expected: view.shape().to_vec(),
                        of: name.clone(),
                    });
                }
                Ok(stored)
            };
            places.push(Place {
                of_student: name.clone(),
                of_base: find("base", self.base)?,
                of_variant: find("variant", self.variant)?,
            });
        }
        Ok(places)
    }
}

impl Delta<'_, '_> {
    /// Writes the weights of the variant's student, one tensor in memory at a time. Returns the sizes of the
    /// changes by tensor.
    ///
    /// # Errors
    /// [`CheckpointError`] for a number that is not finite, or an `out` that cannot be written.
    pub fn write(
        &self,
        precision: Precision,
        out: &mut dyn Write,
    ) -> Result<Vec<DeltaSizes>, CheckpointError> {
        let sizes = RefCell::new(Vec::with_capacity(self.places.len()));
        let tensors = self.places.iter().map(|place| {
            let (name, sizes) = (place.of_student.clone(), &sizes);
            let shape = self.parents.student.checkpoint.tensors[&name].shape().to_vec();
            let write = move |out: &mut dyn Write| {
                let (values, found) = self.parents.tensor(place)?;
                sizes.borrow_mut().push(found);
                precision.write(&place.of_student, &values, out)
            };
            OutputTensor { name, dtype: precision.dtype(), shape, write: Box::new(write) }
        });
        write_tensors(tensors.collect(), Some(("format", "pt")), out)?;
        let mut sizes = sizes.into_inner();
        sizes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(sizes)
    }
}

impl DeltaParents<'_, '_> {
    fn tensor(&self, place: &Place) -> Result<(Vec<f32>, DeltaSizes), CheckpointError> {
        let values = |parent: Parent<'_, '_>, name: &str| {
            let view = &parent.checkpoint.tensors()[name];
            let dtype: Dtype = view.dtype();
            to_f32(name, dtype, view.data())
        };
        let base = values(self.base, &place.of_base)?;
        let mut student = values(self.student, &place.of_student)?;
        let variant = values(self.variant, &place.of_variant)?;
        let mut sizes = DeltaSizes { name: place.of_student.clone(), ..DeltaSizes::default() };
        for ((student, base), variant) in student.iter_mut().zip(base).zip(variant) {
            let (distilled, post_trained) =
                (f64::from(*student) - f64::from(base), f64::from(variant) - f64::from(base));
            sizes.dot += distilled * post_trained;
            sizes.distilled += distilled * distilled;
            sizes.post_trained += post_trained * post_trained;
            *student = (f64::from(variant) + distilled) as f32;
        }
        Ok((student, sizes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use safetensors::tensor::TensorView;

    use super::super::Checkpoint;
    use super::*;
    use crate::config::ModelConfig;

    fn config(n_layers: usize) -> ModelConfig {
        let config = serde_json::json!({
            "model_type": "llama", "vocab_size": 3, "hidden_size": 2, "intermediate_size": 2,
            "num_hidden_layers": n_layers, "num_attention_heads": 1, "tie_word_embeddings": true,
        });
        ModelConfig::from_json(&config.to_string()).unwrap()
    }

    /// Every number of a layer is `of_layer(layer)`, of an end `of_layer(9)`.
    fn file(n_layers: usize, of_layer: impl Fn(usize) -> f32) -> Vec<u8> {
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, shape: &[usize], value: f32| {
            let n = shape.iter().product();
            let bytes: Vec<u8> = vec![value; n].iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.insert(name, (shape.to_vec(), bytes));
        };
        for layer in 0..n_layers {
            for part in ["q", "k", "v", "o"] {
                let name = format!("model.layers.{layer}.self_attn.{part}_proj.weight");
                add(name, &[2, 2], of_layer(layer));
            }
            for part in ["gate", "up", "down"] {
                add(
                    format!("model.layers.{layer}.mlp.{part}_proj.weight"),
                    &[2, 2],
                    of_layer(layer),
                );
            }
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                add(format!("model.layers.{layer}.{norm}.weight"), &[2], of_layer(layer));
            }
        }
        add("model.embed_tokens.weight".to_owned(), &[3, 2], of_layer(9));
        add("model.norm.weight".to_owned(), &[2], of_layer(9));
        let views = tensors.iter().map(|(name, (shape, bytes))| {
            (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn open(bytes: &[u8]) -> Checkpoint<'_> {
        Checkpoint::parse([("a.safetensors".to_owned(), bytes)]).unwrap()
    }

    #[test]
    fn layers_move_by_what_distillation_changed_at_their_place() {
        let plan = LayerPlan::keep(&[0, 2], 3).unwrap();
        let (of_teacher, of_student) = (config(3), config(2));
        let base = file(3, |layer| layer as f32);
        let variant = file(3, |layer| layer as f32 + 10.0 * (layer as f32 + 1.0));
        // Layers 0 and 1 of the student are layers 0 and 2 of its teacher, changed by 0.5 and -1.
        let student = file(2, |layer| [0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.25][layer]);
        let [base, variant, student] = [&base, &variant, &student].map(|bytes| open(bytes));
        let parents = DeltaParents {
            base: Parent { checkpoint: &base, config: &of_teacher },
            student: Parent { checkpoint: &student, config: &of_student },
            variant: Parent { checkpoint: &variant, config: &of_teacher },
        };
        let mut out = Vec::new();
        let sizes = parents.delta(&plan).unwrap().write(Precision::F32, &mut out).unwrap();
        let found = open(&out);
        found.check(&of_student).unwrap();
        let first = |name: &str| {
            let view = found.tensor(name).unwrap();
            f32::from_le_bytes(view.data()[..4].try_into().unwrap())
        };
        assert_eq!(first("model.layers.0.mlp.up_proj.weight"), 10.5);
        assert_eq!(first("model.layers.1.input_layernorm.weight"), 31.0);
        assert_eq!(first("model.embed_tokens.weight"), 109.25);
        let one = sizes.iter().find(|one| one.name == "model.layers.1.mlp.up_proj.weight").unwrap();
        assert!((one.cosine() + 1.0).abs() < 1e-12 && (one.norm_ratio() - 30.0).abs() < 1e-12);
        let total = DeltaSizes::total("all", &sizes);
        assert!(total.distilled > one.distilled && total.cosine() > -1.0);
    }

    #[test]
    fn models_that_do_not_fit_are_named() {
        let plan = LayerPlan::keep(&[0, 2], 3).unwrap();
        let (of_teacher, of_student) = (config(3), config(2));
        let [three, two] = [3, 2].map(|n_layers| file(n_layers, |layer| layer as f32));
        let (three, two) = (open(&three), open(&two));
        let teacher = Parent { checkpoint: &three, config: &of_teacher };
        let student = Parent { checkpoint: &two, config: &of_student };
        let error = |base, variant| {
            let parents = DeltaParents { base, student, variant };
            parents.delta(&plan).err().unwrap().to_string()
        };
        assert!(error(teacher, student).contains("2 layers instead of 3"));
        let missing = Parent { checkpoint: &two, config: &of_teacher };
        let sentence = error(teacher, missing);
        assert!(sentence.contains("the variant has no tensor model.layers.2."), "{sentence}");
    }
}
