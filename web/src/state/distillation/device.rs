//! What computes the steps of a run: the GPU through WebGPU, where the browser has a real one and unless
//! the visitor chooses the CPU.

use leptos::prelude::*;
use leptos::task::spawn_local;

use super::Distillation;
use crate::browser::backend::{Backend, BackendChoice};

impl Distillation {
    /// Asks the browser for a GPU whose buffers hold the largest matrix; until it has answered, runs are
    /// started on the CPU.
    pub fn look_for_gpu(self, largest_tensor_bytes: u64) {
        spawn_local(async move {
            let choice = BackendChoice::make(largest_tensor_bytes).await;
            // A site without the programs for WebGPU has the CPU.
            self.choice.set(choice.ok());
        });
    }

    /// Whether runs can be computed on the GPU.
    pub fn has_gpu(self) -> bool {
        self.choice.with(|choice| choice.as_ref().is_some_and(|it| it.backend == Backend::WebGpu))
    }

    /// What computes the next run.
    pub fn backend(self) -> Backend {
        if self.has_gpu() { self.settings.backend.get() } else { Backend::Cpu }
    }

    /// The same in a sentence; `None` until the browser has answered.
    pub fn device_in_words(self) -> Option<String> {
        let reason = self.choice.with(|choice| choice.as_ref().map(|it| it.reason.clone()))?;
        Some(match (self.has_gpu(), self.backend()) {
            (true, Backend::WebGpu) => format!("Computed by WebGPU, {reason}."),
            (true, Backend::Cpu) => "Computed on the CPU, as you chose.".to_owned(),
            (false, _) => format!("Computed on the CPU, {reason}."),
        })
    }

    /// What computes a run from now on: one that began on the GPU continues on the CPU where a later visit
    /// has no GPU, or where the visitor has chosen the CPU since.
    pub(super) fn backend_of(self, key: &str) -> Backend {
        let began_on = self.with_run(key, |run| run.record.backend);
        let backend = match (began_on, untrack(|| self.backend())) {
            (Some(Backend::WebGpu), Backend::WebGpu) => Backend::WebGpu,
            _ => Backend::Cpu,
        };
        self.update(key, |run| run.record.backend = backend);
        backend
    }
}
