//! The model on the CPU, in a web worker.

use boomerang_engine::worker::serve;
use burn::tensor::Device;

fn main() {
    serve(async { Ok(Device::flex()) });
}
