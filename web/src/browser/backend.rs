//! Which build of the engine runs, and why.

use boomerang_client::budget::Budget;
use boomerang_engine::notice::Notice;
use js_sys::Reflect;
use leptos::prelude::{document, window};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use crate::browser::js::{call, promised, property};
use crate::browser::location::query;
use crate::text::format;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backend {
    Cpu,
    WebGpu,
}

/// What runs the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendChoice {
    pub backend: Backend,
    pub reason: String,
    /// Requested in the address; then there is no fallback when it fails.
    pub is_forced: bool,
}

/// What the browser reports about its GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gpu {
    /// WebGPU is hidden from pages that came over plain http.
    Insecure,
    Unsupported,
    NoAdapter,
    Adapter {
        name: String,
        is_software: bool,
        max_binding_bytes: u64,
        max_buffer_bytes: u64,
        /// Whether its shaders support 16-bit floats.
        has_f16: bool,
    },
}

impl Backend {
    /// As in `?device=` and in `data-backend`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::WebGpu => "webgpu",
        }
    }

    /// The memory for weights.
    pub fn budget(self) -> Budget {
        match self {
            Self::Cpu => Budget::of_cpu(),
            Self::WebGpu => Budget::GPU,
        }
    }

    /// The script that starts the worker, beside the page.
    pub fn script(self) -> &'static str {
        match self {
            Self::Cpu => "engine-cpu_loader.js",
            Self::WebGpu => "engine-gpu_loader.js",
        }
    }

    /// The script that starts a worker that distills.
    pub fn distillation_script(self) -> &'static str {
        match self {
            Self::Cpu => "engine-teach_loader.js",
            Self::WebGpu => "engine-teach-gpu_loader.js",
        }
    }

    fn requested() -> Option<Self> {
        let device = query("device")?;
        [Self::Cpu, Self::WebGpu].into_iter().find(|backend| backend.name() == device)
    }
}

impl BackendChoice {
    /// Asks the browser; `largest_tensor_bytes` has to fit into one of the GPU's buffers.
    ///
    /// # Errors
    /// The choice and a [`Notice`] when the address requests a build that this site does not have.
    pub async fn make(largest_tensor_bytes: u64) -> Result<Self, (Self, Notice)> {
        match Backend::requested() {
            Some(backend) => {
                let reason = format!("as requested by ?device={}", backend.name());
                let choice = Self { backend, reason, is_forced: true };
                match backend {
                    Backend::WebGpu if !has_gpu_worker() => Err((choice, no_gpu_worker())),
                    _ => Ok(choice),
                }
            }
            None if !has_gpu_worker() => Ok(Self {
                backend: Backend::Cpu,
                reason: "because this site has no build for WebGPU".to_owned(),
                is_forced: false,
            }),
            None => Ok(Self::for_gpu(&look_for_gpu().await, largest_tensor_bytes)),
        }
    }

    /// The CPU, after the GPU has failed.
    pub fn after_failure(why: &str) -> Self {
        Self {
            backend: Backend::Cpu,
            reason: format!("because WebGPU failed: {why}"),
            is_forced: false,
        }
    }

    fn for_gpu(gpu: &Gpu, largest_tensor_bytes: u64) -> Self {
        let cpu = |reason: String| Self { backend: Backend::Cpu, reason, is_forced: false };
        match gpu {
            Gpu::Insecure => {
                cpu("because browsers offer WebGPU only over https or on localhost".to_owned())
            }
            Gpu::Unsupported => cpu("because this browser has no WebGPU".to_owned()),
            Gpu::NoAdapter => {
                cpu("because this browser supports WebGPU, but found no GPU".to_owned())
            }
            Gpu::Adapter { name, is_software: true, .. } => {
                cpu(format!("because the only WebGPU adapter, {name}, is software"))
            }
            Gpu::Adapter { name, max_binding_bytes, .. }
                if *max_binding_bytes < largest_tensor_bytes =>
            {
                cpu(format!(
                    "because the largest matrix has {}, and {name} supports at most {}",
                    format::bytes(largest_tensor_bytes),
                    format::bytes(*max_binding_bytes),
                ))
            }
            Gpu::Adapter { name, .. } => {
                Self { backend: Backend::WebGpu, reason: format!("on {name}"), is_forced: false }
            }
        }
    }
}

/// Whether the site has the worker for WebGPU, as `cargo xtask page` notes it in the page.
fn has_gpu_worker() -> bool {
    let noted = document().query_selector("meta[name=boomerang-workers]").ok().flatten();
    let workers = noted.and_then(|noted| noted.get_attribute("content"));
    workers.is_none_or(|workers| lists(&workers, "gpu"))
}

/// Whether a list with commas has this item.
fn lists(items: &str, wanted: &str) -> bool {
    items.split(',').any(|item| item.trim() == wanted)
}

fn no_gpu_worker() -> Notice {
    let why = "it was built without the worker for WebGPU, which ?device=webgpu requests";
    let next = "Use the CPU, or build the site with `cargo xtask page`, which builds both.";
    Notice::new("This site has no build for WebGPU.", why, next)
}

pub(crate) async fn look_for_gpu() -> Gpu {
    if !window().is_secure_context() {
        return Gpu::Insecure;
    }
    let Some(gpu) = property(&window().navigator(), "gpu") else { return Gpu::Unsupported };
    let Some(adapter) = request_adapter(&gpu).await else { return Gpu::NoAdapter };
    let info = property(&adapter, "info").unwrap_or(JsValue::NULL);
    let words = ["vendor", "architecture", "device", "description"];
    let words = words.map(|word| property(&info, word).and_then(|word| word.as_string()));
    let name = adapter_name(&words.map(Option::unwrap_or_default));
    // In newer browsers the flag is in the adapter's info.
    let is_fallback = [&adapter, &info]
        .into_iter()
        .any(|object| property(object, "isFallbackAdapter").is_some_and(|flag| flag.is_truthy()));
    let limits = property(&adapter, "limits").unwrap_or(JsValue::NULL);
    let limit = |name| {
        let limit = property(&limits, name).and_then(|limit| limit.as_f64());
        limit.unwrap_or(0.0) as u64
    };
    let max_binding_bytes = limit("maxStorageBufferBindingSize");
    let max_buffer_bytes = limit("maxBufferSize");
    let has_f16 = has_feature(&adapter, "shader-f16").unwrap_or(false);
    let is_software = is_fallback || is_software_renderer(&name);
    Gpu::Adapter { name, is_software, max_binding_bytes, max_buffer_bytes, has_f16 }
}

/// `adapter.features.has(name)`
fn has_feature(adapter: &JsValue, name: &str) -> Option<bool> {
    let features = property(adapter, "features")?;
    call(&features, "has", &[name.into()]).ok()?.as_bool()
}

async fn request_adapter(gpu: &JsValue) -> Option<JsValue> {
    let options = js_sys::Object::new();
    Reflect::set(&options, &"powerPreference".into(), &"high-performance".into()).ok()?;
    let adapter = promised(gpu, "requestAdapter", &[options.into()]).await.ok()?;
    (!adapter.is_null() && !adapter.is_undefined()).then_some(adapter)
}

/// The words that browsers report, each once.
fn adapter_name(words: &[String]) -> String {
    let mut name = String::new();
    for word in words.iter().filter(|word| !word.is_empty()) {
        if !name.to_ascii_lowercase().contains(&word.to_ascii_lowercase()) {
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(word);
        }
    }
    if name.is_empty() { "an unnamed GPU".to_owned() } else { name }
}

fn is_software_renderer(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let renderers = ["swiftshader", "llvmpipe", "lavapipe", "basic render"];
    renderers.iter().any(|renderer| name.contains(renderer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(is_software: bool, max_binding_bytes: u64) -> Gpu {
        let name = "acme one".to_owned();
        let (max_buffer_bytes, has_f16) = (max_binding_bytes, false);
        Gpu::Adapter { name, is_software, max_binding_bytes, max_buffer_bytes, has_f16 }
    }

    #[test]
    fn the_workers_of_a_site_are_listed() {
        assert!(lists("cpu,gpu", "gpu") && lists("gpu", "gpu"));
        assert!(!lists("cpu, teach", "gpu") && !lists("", "gpu"));
    }

    #[test]
    fn only_a_real_adapter_with_large_buffers_is_chosen() {
        let choose = |gpu: Gpu| BackendChoice::for_gpu(&gpu, 100).backend;
        assert_eq!(choose(adapter(false, 100)), Backend::WebGpu);
        assert_eq!(choose(adapter(false, 99)), Backend::Cpu);
        assert_eq!(choose(adapter(true, 100)), Backend::Cpu);
        assert_eq!(choose(Gpu::NoAdapter), Backend::Cpu);
        assert_eq!(choose(Gpu::Unsupported), Backend::Cpu);
    }

    #[test]
    fn a_software_adapter_is_recognized_by_its_name() {
        assert!(is_software_renderer("google SwiftShader"));
        assert!(!is_software_renderer("nvidia ampere"));
    }

    #[test]
    fn the_name_of_an_adapter_has_each_word_once() {
        let words = ["google", "swiftshader", "", "SwiftShader driver"].map(str::to_owned);
        assert_eq!(adapter_name(&words), "google swiftshader SwiftShader driver");
        assert_eq!(adapter_name(&["acme".to_owned(), "acme".to_owned()]), "acme");
    }
}
