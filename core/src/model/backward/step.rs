//! What training does to whole tensors: the losses' gradients, and the optimizer's step.

use boomerang_kernels::train as kernels;
use burn::tensor::{Tensor, TensorData};

use super::super::numbers::{change, numbers, numbers_of};

pub(crate) use kernels::{AdamW, HeadRow};

/// Sums of cross-entropy and KL divergence, and the gradient of the student's logits in their place;
/// the logits themselves as an error where their numbers are not found. `weights` are those of the two
/// terms, over labels and rows, and the temperature.
///
/// Shapes: logits are `[rows.len(), vocab]`.
pub(crate) fn head_loss(
    [cross_entropy, kl, temperature]: [f64; 3],
    rows: &[HeadRow],
    student: Tensor<2>,
    teacher: Option<Tensor<2>>,
) -> Result<([f64; 2], Tensor<2>), (Tensor<2>, Option<Tensor<2>>)> {
    if numbers(&student).is_none() || numbers_of(teacher.as_ref()).is_none() {
        return Err((student, teacher));
    }
    let loss = kernels::HeadLoss {
        cross_entropy: cross_entropy as f32,
        kl: kl as f32,
        temperature: temperature as f32,
    };
    let vocab = student.dims()[1];
    let mut sums = [0.0; 2];
    let gradient = change(student, |student| {
        let mut apply = |teacher: &mut [f32]| sums = loss.apply(vocab, rows, student, teacher);
        match teacher {
            // Its logits are used up.
            Some(teacher) => drop(change(teacher, apply)),
            None => apply(&mut []),
        }
    });
    match gradient {
        Ok(gradient) => Ok((sums, gradient)),
        Err(student) => Err((student, None)),
    }
}

/// The sum of cosine distances over the rows that count, `[1]`, and `gradient` with that of `weight`
/// times the sum added.
///
/// Shapes: states and gradient are `[rows, d_model]`.
pub(crate) fn cosine_distance(
    student: &Tensor<2>,
    teacher: &Tensor<2>,
    counts: &[bool],
    weight: f64,
    gradient: Tensor<2>,
) -> (Tensor<1>, Tensor<2>) {
    let [n_rows, width] = student.dims();
    let device = student.device();
    let fused = |gradient: Tensor<2>| {
        let (Some(own), Some(other)) = (numbers(student), numbers(teacher)) else {
            return Err(gradient);
        };
        let mut sum = 0.0;
        let changed = change(gradient, |gradient| {
            let weight = weight as f32;
            sum = kernels::cosine_distance(width, weight, counts, &own, &other, gradient);
        });
        changed.map(|changed| (Tensor::from_data([sum as f32], &device), changed))
    };
    fused(gradient).unwrap_or_else(|gradient| {
        /// Keeps the root's gradient finite at a zero vector.
        const FLOOR: f64 = 1e-12;
        let counts: Vec<f32> = counts.iter().map(|&flag| f32::from(u8::from(flag))).collect();
        let counts = Tensor::<2>::from_data(TensorData::new(counts, [n_rows, 1]), &device);
        let own = student.clone().square().sum_dim(1) + FLOOR;
        let other = teacher.clone().square().sum_dim(1) + FLOOR;
        let inverse = (own.clone() * other).sqrt().recip();
        let cosine = (student.clone() * teacher.clone()).sum_dim(1) * inverse.clone();
        let sum = ((-cosine.clone() + 1.0) * counts.clone()).sum();
        let slope = student.clone() * (cosine / own) - teacher.clone() * inverse;
        (sum, gradient + slope * counts * weight)
    })
}

/// The sum of all squares, `[1]`, and the tensor.
pub(crate) fn sum_of_squares<const D: usize>(x: Tensor<D>) -> (Tensor<1>, Tensor<D>) {
    let device = x.device();
    let mut sum = 0.0;
    match change(x, |x| sum = kernels::sum_of_squares(x)) {
        Ok(x) => (Tensor::from_data([sum as f32], &device), x),
        Err(x) => (x.clone().square().sum(), x),
    }
}

/// One step of AdamW on weights and moments; `factor` is what gradients are multiplied by first, `[1]`.
pub(crate) fn adamw<const D: usize>(
    settings: AdamW,
    factor: &Tensor<1>,
    weights: Tensor<D>,
    [m, v]: [Tensor<D>; 2],
    gradient: &Tensor<D>,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let of_factor = numbers(factor).and_then(|factor| factor.first().copied());
    if let (Some(gradient_scale), Some(gradient)) = (of_factor, numbers(gradient))
        && [&weights, &m, &v].into_iter().all(|x| numbers(x).is_some())
    {
        let settings = AdamW { gradient_scale, ..settings };
        let (mut m, mut v) = (Some(m), Some(v));
        let changed = change(weights, |weights| {
            m = m.take().and_then(|m| {
                let changed = change(m, |m| {
                    v = v
                        .take()
                        .and_then(|v| change(v, |v| settings.step(weights, m, v, &gradient)).ok());
                });
                changed.ok()
            });
        });
        let found = changed.ok().zip(m).zip(v);
        let ((weights, m), v) = found.expect("numbers that were found a moment ago");
        return (weights, [m, v]);
    }
    let gradient = gradient.clone() * factor.clone().unsqueeze();
    let [beta_1, beta_2] = [settings.beta_1, settings.beta_2].map(f64::from);
    let m = m * beta_1 + gradient.clone() * (1.0 - beta_1);
    let v = v * beta_2 + gradient.square() * (1.0 - beta_2);
    let [of_m, of_v] = settings.corrections.map(f64::from);
    let (learning_rate, epsilon) = (f64::from(settings.learning_rate), f64::from(settings.epsilon));
    let update = (m.clone() / of_m) / ((v.clone() / of_v).sqrt() + epsilon);
    let kept = 1.0 - learning_rate * f64::from(settings.weight_decay);
    (weights * kept - update * learning_rate, [m, v])
}
