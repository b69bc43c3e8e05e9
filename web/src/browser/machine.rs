//! What the browser reports about this machine.

use leptos::prelude::window;
use wasm_bindgen::JsValue;

use crate::browser::backend::{Backend, BackendChoice, Gpu, look_for_gpu};
use crate::browser::js::{promised, property};
use crate::text::format;

/// One property of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// The properties of a machine, as far as its browser reports them.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    browser: String,
    /// Loaded over https or from this machine.
    is_secure: bool,
    n_threads: Option<f64>,
    /// Rounded, and at most 8.
    memory_gib: Option<f64>,
    gpu: Gpu,
    storage: Option<Storage>,
}

/// The storage quota of this page.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Storage {
    used_bytes: f64,
    most_bytes: f64,
}

impl Machine {
    pub async fn detect() -> Self {
        let navigator = window().navigator();
        let number = |name| property(&navigator, name).and_then(|value| value.as_f64());
        Self {
            browser: navigator.user_agent().unwrap_or_default(),
            is_secure: window().is_secure_context(),
            n_threads: number("hardwareConcurrency"),
            memory_gib: number("deviceMemory"),
            gpu: look_for_gpu().await,
            storage: estimate(&navigator).await,
        }
    }

    /// Line by line; `choice` is what runs the model.
    pub fn facts(&self, choice: Option<&BackendChoice>) -> Vec<Fact> {
        let mut facts = vec![
            Fact { name: "The model runs on", value: device_in_words(choice) },
            Fact { name: "Graphics processor", value: self.gpu_in_words() },
        ];
        if let Gpu::Adapter { max_binding_bytes, max_buffer_bytes, has_f16, .. } = &self.gpu {
            facts.push(Fact {
                name: "Largest supported matrix",
                value: format!(
                    "{} (buffers up to {})",
                    format::bytes(*max_binding_bytes),
                    format::bytes(*max_buffer_bytes)
                ),
            });
            let value = if *has_f16 { "yes" } else { "no" };
            facts.push(Fact { name: "16-bit floats on the GPU", value: value.to_owned() });
        }
        let unknown = || "not reported by this browser".to_owned();
        let threads = self.n_threads.map(|n| format!("{n:.0}; the model uses one"));
        let memory = self.memory_gib.map(|gib| match gib {
            // Browsers report at most 8.
            gib if gib >= 8.0 => "8 GiB or more".to_owned(),
            gib => format!("about {gib} GiB"),
        });
        let storage = self.storage.map(|storage| {
            format!(
                "{} used of {}",
                format::bytes(storage.used_bytes as u64),
                format::bytes(storage.most_bytes as u64)
            )
        });
        let secure = if self.is_secure {
            "yes"
        } else {
            "no: over plain http, WebGPU, storage and the clipboard are unavailable"
        };
        let rest = [
            ("Processor threads", threads.unwrap_or_else(unknown)),
            ("Memory", memory.unwrap_or_else(unknown)),
            ("Storage for this page", storage.unwrap_or_else(unknown)),
            ("Secure context", secure.to_owned()),
            ("Browser", self.browser.clone()),
        ];
        facts.extend(rest.map(|(name, value)| Fact { name, value }));
        facts
    }

    fn gpu_in_words(&self) -> String {
        match &self.gpu {
            Gpu::Insecure => "unavailable over plain http".to_owned(),
            Gpu::Unsupported => "this browser has no WebGPU".to_owned(),
            Gpu::NoAdapter => "WebGPU supported; no GPU found".to_owned(),
            Gpu::Adapter { name, is_software: true, .. } => format!("{name} (software)"),
            Gpu::Adapter { name, .. } => name.clone(),
        }
    }
}

fn device_in_words(choice: Option<&BackendChoice>) -> String {
    match choice {
        Some(BackendChoice { backend: Backend::Cpu, reason, .. }) => {
            format!("the processor, in WebAssembly, {reason}")
        }
        Some(BackendChoice { backend: Backend::WebGpu, reason, .. }) => {
            format!("the graphics processor, with WebGPU, {reason}")
        }
        None => "not loaded yet".to_owned(),
    }
}

/// `navigator.storage.estimate()`
async fn estimate(navigator: &JsValue) -> Option<Storage> {
    let storage = property(navigator, "storage")?;
    let estimate = promised(&storage, "estimate", &[]).await.ok()?;
    let number = |name: &str| property(&estimate, name)?.as_f64();
    Some(Storage { used_bytes: number("usage")?, most_bytes: number("quota")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(gpu: Gpu) -> Machine {
        Machine {
            browser: "Browser 1.0".to_owned(),
            is_secure: true,
            n_threads: Some(4.0),
            memory_gib: None,
            gpu,
            storage: Some(Storage { used_bytes: 1e6, most_bytes: 2e9 }),
        }
    }

    fn value(facts: &[Fact], name: &str) -> Option<String> {
        facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone())
    }

    #[test]
    fn without_webgpu_there_are_no_gpu_limits() {
        let facts = machine(Gpu::Unsupported).facts(None);
        assert_eq!(value(&facts, "Largest supported matrix"), None);
        assert_eq!(value(&facts, "Memory").unwrap(), "not reported by this browser");
        assert_eq!(value(&facts, "Storage for this page").unwrap(), "1.0 MB used of 2.00 GB");
        assert_eq!(value(&facts, "The model runs on").unwrap(), "not loaded yet");
    }

    #[test]
    fn the_limits_of_an_adapter_are_listed() {
        let gpu = Gpu::Adapter {
            name: "acme one".to_owned(),
            is_software: false,
            max_binding_bytes: 2_000_000_000,
            max_buffer_bytes: 4_000_000_000,
            has_f16: true,
        };
        let choice = BackendChoice {
            backend: Backend::WebGpu,
            reason: "on acme one".to_owned(),
            is_forced: false,
        };
        let facts = machine(gpu).facts(Some(&choice));
        assert_eq!(
            value(&facts, "Largest supported matrix").unwrap(),
            "2.00 GB (buffers up to 4.00 GB)"
        );
        assert_eq!(value(&facts, "16-bit floats on the GPU").unwrap(), "yes");
        assert!(value(&facts, "The model runs on").unwrap().ends_with("on acme one"));
    }
}
