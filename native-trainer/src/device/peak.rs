//! How fast a device multiplies matrices: what the speed of training is compared with.

use std::time::{Duration, Instant};

use burn::tensor::{DType, Device, Tensor};
use futures_lite::future::block_on;

/// Sides of the matrices, from the smallest on.
const SIDES: [usize; 5] = [256, 512, 1024, 2048, 4096];

/// A product that takes as long is large enough.
const ENOUGH: Duration = Duration::from_millis(10);

/// Floating-point operations per second of a product of two square matrices of this format, the best of
/// three; takes about a tenth of a second. `None` where the device is lost.
pub fn measured_peak(device: &Device, dtype: DType) -> Option<f64> {
    let product = |side: usize| {
        let matrix = Tensor::<2>::ones([side, side], device).cast(dtype);
        let started = Instant::now();
        let corner = matrix.clone().matmul(matrix).slice([0..1, 0..1]);
        // The result is there when it has been read.
        block_on(corner.into_data_async()).ok().map(|_| started.elapsed())
    };
    for side in SIDES {
        let [first, second, third] = [(); 3].map(|()| product(side));
        let fastest = first?.min(second?).min(third?);
        if fastest >= ENOUGH || Some(&side) == SIDES.last() {
            return Some(2.0 * (side as f64).powi(3) / fastest.as_secs_f64());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_multiplies_faster_than_one_operation_a_nanosecond() {
        let peak = measured_peak(&crate::device::cpu(), DType::F32).unwrap();
        assert!(peak > 1e8 && peak < 1e15, "{peak}");
    }
}
