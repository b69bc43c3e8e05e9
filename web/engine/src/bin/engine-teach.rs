//! Distillation on the CPU, in a web worker of its own.

use boomerang_engine::distillation::worker::serve;
use burn::tensor::Device;

fn main() {
    serve(async { Ok(Device::flex()) });
}
