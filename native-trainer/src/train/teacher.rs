//! A teacher that is read from its files while a student is trained.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::Context as _;
use boomerang_core::distill::TeacherSource;
use boomerang_core::model::LanguageModel;
use burn::tensor::Device;

use crate::files::ModelFolder;

/// The teacher in `folder` around its `ends`, one layer in use and the next being read by a thread of
/// its own.
///
/// Files that change meanwhile are an error of the step that reads them.
///
/// # Errors
/// When the system does not tell the state of its files, or gives no thread.
pub fn streamed_teacher(
    folder: &Arc<ModelFolder>,
    ends: LanguageModel,
    device: &Device,
) -> anyhow::Result<TeacherSource> {
    let config = folder.config().clone();
    let n_layers = config.n_layers();
    // No buffer: one layer is in use, and one has been read.
    let (send, receive) = sync_channel(0);
    let (folder, device) = (Arc::clone(folder), device.clone());
    let stamp = folder.stamp()?;
    let read_all = move || {
        for number in (0..n_layers).cycle() {
            let layer = folder.check_unchanged(&stamp).and_then(|()| folder.layer(number, &device));
            let is_last = layer.is_err();
            if send.send((number, layer)).is_err() || is_last {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("teacher".to_owned())
        .spawn(read_all)
        .context("reading a teacher")?;
    Ok(TeacherSource::streamed(ends, config, move |asked| {
        let (number, layer) = receive.recv()?;
        debug_assert_eq!(number, asked, "a pass takes the layers in their order");
        Ok(layer?)
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use boomerang_core::checkpoint::{Precision, model_to_bytes};
    use boomerang_core::config::ModelConfig;
    use boomerang_core::distill::loss::LossWeights;
    use boomerang_core::distill::{
        Batch, DistillSettings, Distiller, Initialization, Layout, Row, Schedule, UpdateSettings,
    };
    use boomerang_core::plan::LayerPlan;
    use futures_lite::future::block_on;

    use super::*;
    use crate::exit::describe;

    const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 16, "hidden_size": 4,
        "intermediate_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2}"#;

    fn folder() -> tempfile::TempDir {
        let config = ModelConfig::from_json(CONFIG).unwrap();
        let start = Initialization::HuggingFace;
        let model = LanguageModel::random(&config, start, 1, &Device::flex());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), CONFIG).unwrap();
        let weights = model_to_bytes(&model, Precision::F32).unwrap();
        fs::write(folder.path().join("model.safetensors"), weights).unwrap();
        folder
    }

    fn distiller(teacher: impl Into<TeacherSource>, folder: &ModelFolder) -> Distiller {
        let plan = LayerPlan::keep(&[0, 2], 3).unwrap();
        let student =
            folder.pruned(&folder.ends(&Device::flex()).unwrap(), &plan, &Device::flex()).unwrap();
        let update = UpdateSettings::new(Schedule::cosine(1e-2, 4));
        let settings = DistillSettings { loss: LossWeights::default(), update, alignment: None };
        Distiller::new(teacher, student, settings, 0)
    }

    fn source(folder: &Arc<ModelFolder>) -> TeacherSource {
        let device = Device::flex();
        streamed_teacher(folder, folder.ends(&device).unwrap(), &device).unwrap()
    }

    fn batch() -> Batch {
        Batch::new(vec![Row::new(vec![1, 2, 3, 4, 5], vec![1; 5])], Layout::Packed)
    }

    #[test]
    fn steps_are_those_of_a_teacher_in_memory() {
        let (here, device) = (folder(), Device::flex());
        let folder = Arc::new(ModelFolder::open(here.path()).unwrap());
        let teacher = folder.teacher(&device).unwrap();
        let mut resident = distiller(teacher, &folder);
        let mut streamed = distiller(source(&folder), &folder);
        for _ in 0..2 {
            let expected = block_on(resident.step(&[batch(), batch()])).unwrap();
            assert_eq!(block_on(streamed.step(&[batch(), batch()])).unwrap(), expected);
        }
    }

    #[test]
    fn a_student_of_some_layers_is_that_of_a_teacher_in_memory() {
        let (here, device) = (folder(), Device::flex());
        let folder = ModelFolder::open(here.path()).unwrap();
        let plan = LayerPlan::keep(&[0, 2], 3).unwrap();
        let models = [
            folder.pruned(&folder.ends(&device).unwrap(), &plan, &device).unwrap(),
            folder.teacher(&device).unwrap().prune(&plan).unwrap(),
        ];
        let [found, expected] = models.each_ref().map(|student| {
            let model = student.model();
            (model.config().to_json(), model_to_bytes(model, Precision::F32).unwrap())
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn files_that_change_are_named() {
        let here = folder();
        let folder = Arc::new(ModelFolder::open(here.path()).unwrap());
        let mut distiller = distiller(source(&folder), &folder);
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(here.path().join("model.safetensors"))
            .unwrap();
        std::io::Write::write_all(&mut file, b"more").unwrap();
        // Two layers may have been read before.
        let error = block_on(distiller.step(&[batch()])).unwrap_err();
        let sentence = describe(&error.into());
        assert!(sentence.contains("of the teacher cannot be read"), "{sentence}");
        assert!(sentence.contains("model.safetensors changed"), "{sentence}");
    }
}
