//! Distillation on the GPU through WebGPU, in a web worker of its own.

use boomerang_engine::distillation::worker::serve;
use boomerang_engine::gpu;

fn main() {
    serve(gpu::open());
}
