//! The model on the CPU, in a web worker.

use boomerang_web::engine::worker::serve;
use burn::tensor::Device;

fn main() {
    serve(async { Ok(Device::flex()) });
}
