//! The GPU of the visitor's machine, through WebGPU.

use burn::tensor::Device;

use crate::notice::{Notice, chain};

/// # Errors
/// [`Notice`] when the browser gives no GPU.
pub async fn open() -> Result<Device, Notice> {
    Device::wgpu_options().init_async().await.map_err(|error| {
        let next = "Use the CPU instead.";
        Notice::new("The GPU cannot be used.", chain(&error), next)
    })
}
