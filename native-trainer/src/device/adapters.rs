//! The adapters of this machine that wgpu reaches, with what decides whether a model runs there.

use std::fmt;

use serde::Serialize;

/// A GPU, or a software implementation of one, behind one graphics API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adapter {
    pub name: String,
    pub kind: AdapterKind,
    pub api: Api,
    pub driver: String,
    pub limits: Limits,
    /// Shaders can compute in f16 (`shader-f16`).
    pub f16: bool,
    /// Lanes that exchange values directly, fewest and most; `None` when shaders cannot use them.
    pub subgroups: Option<(u32, u32)>,
    /// Index among the adapters of the same kind and API.
    #[serde(skip)]
    pub index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    DiscreteGpu,
    IntegratedGpu,
    /// A GPU that a virtual machine passes on.
    VirtualGpu,
    /// The CPU behind a graphics API, for tests.
    Software,
    /// The driver does not report a kind.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    Vulkan,
    Metal,
    Dx12,
    OpenGl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    pub max_buffer_bytes: u64,
    /// The largest tensor that a shader can read as one.
    pub max_storage_binding_bytes: u64,
    pub max_workgroup_size: [u32; 3],
    pub max_workgroup_invocations: u32,
}

impl AdapterKind {
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::DiscreteGpu | Self::IntegratedGpu | Self::VirtualGpu)
    }
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::DiscreteGpu => "discrete GPU",
            Self::IntegratedGpu => "integrated GPU",
            Self::VirtualGpu => "virtual GPU",
            Self::Software => "software",
            Self::Other => "adapter of unknown kind",
        })
    }
}

impl fmt::Display for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Vulkan => "Vulkan",
            Self::Metal => "Metal",
            Self::Dx12 => "DX12",
            Self::OpenGl => "OpenGL",
        })
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {} through {}", self.name, self.kind, self.api)?;
        match self.driver.as_str() {
            "" => Ok(()),
            driver => write!(formatter, ", driver {driver}"),
        }
    }
}

/// Every adapter, as the system lists them; looked up once. Empty in a build without wgpu.
pub fn adapters() -> &'static [Adapter] {
    #[cfg(feature = "wgpu")]
    {
        static FOUND: std::sync::OnceLock<Vec<Adapter>> = std::sync::OnceLock::new();
        FOUND.get_or_init(super::gpu::enumerate)
    }
    #[cfg(not(feature = "wgpu"))]
    &[]
}
