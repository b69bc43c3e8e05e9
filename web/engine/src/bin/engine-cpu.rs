//! The model on the CPU, in a web worker.

use boomerang_core::model::WeightFormat;
use boomerang_engine::worker::serve;
use burn::tensor::Device;

fn main() {
    serve(WeightFormat::Stored, async { Ok(Device::flex()) });
}
