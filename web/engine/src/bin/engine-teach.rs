//! Distillation of the small family, in a web worker of its own.

use boomerang_engine::distillation::worker::serve;
use burn::tensor::Device;

fn main() {
    serve(Device::flex());
}
