//! The model on the GPU through WebGPU, in a web worker.

use boomerang_core::model::WeightFormat;
use boomerang_engine::gpu;
use boomerang_engine::worker::serve;

fn main() {
    serve(WeightFormat::F32, gpu::open());
}
