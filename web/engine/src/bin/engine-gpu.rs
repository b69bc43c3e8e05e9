//! The model on the GPU through WebGPU, in a web worker.

use boomerang_core::model::WeightFormat;
use boomerang_engine::notice::{Notice, chain};
use boomerang_engine::worker::serve;
use burn::tensor::Device;

fn main() {
    serve(WeightFormat::F32, async {
        Device::wgpu_options().init_async().await.map_err(|error| {
            let next = "Use the CPU instead.";
            Notice::new("The GPU cannot be used.", chain(&error), next)
        })
    });
}
