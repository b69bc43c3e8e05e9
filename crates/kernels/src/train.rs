//! The steps of training that are not products of matrices: each reads and writes its numbers once.
//!
//! All rows are contiguous. Functions that end in `_backward` take the gradient with respect to what
//! the function before them gives, and give that with respect to its input.

use crate::blocks::{for_blocks, for_blocks_of, sum_of};
use crate::exp::{erf, exp, sigmoid, tanh};

/// What stands between the two matrices of a feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Silu,
    /// With the error function.
    Gelu,
    /// With its approximation by tanh.
    GeluTanh,
    Relu,
}

/// A norm over rows: what is divided by, and whether the mean is taken away before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormShape {
    pub epsilon: f32,
    pub centers: bool,
}

/// `y = (x - mean) / root · gamma + beta`; without `centers` the mean counts as 0.
pub fn norm(shape: NormShape, x: &[f32], gamma: &[f32], beta: Option<&[f32]>, y: &mut [f32]) {
    let width = gamma.len();
    for_blocks([y], [width], |first, [y]| {
        for (number, y) in y.chunks_exact_mut(width).enumerate() {
            let x = row(x, first + number, width);
            let (mean, inverse) = shape.of(x);
            for index in 0..width {
                y[index] = (x[index] - mean) * inverse * gamma[index];
            }
            if let Some(beta) = beta {
                for (y, beta) in y.iter_mut().zip(beta) {
                    *y += beta;
                }
            }
        }
    });
}

/// Writes the gradient of the norm's input to `dx`; returns those of gamma and beta.
pub fn norm_backward(
    shape: NormShape,
    x: &[f32],
    gamma: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> [Vec<f32>; 2] {
    let width = gamma.len();
    let parts = for_blocks([dx], [width], |first, [dx]| {
        let (mut dgamma, mut dbeta) = (vec![0.0; width], vec![0.0; width]);
        for (number, dx) in dx.chunks_exact_mut(width).enumerate() {
            let (x, dy) = (row(x, first + number, width), row(dy, first + number, width));
            let (mean, inverse) = shape.of(x);
            for index in 0..width {
                // The normalized number waits in `dx`.
                let normalized = (x[index] - mean) * inverse;
                dx[index] = normalized;
                dgamma[index] += dy[index] * normalized;
                dbeta[index] += dy[index];
            }
            let (mut sum, mut along) = ([0.0; LANES], [0.0; LANES]);
            lanes3(dx, dy, gamma, |lane, normalized, dy, gamma| {
                sum[lane] += dy * gamma;
                along[lane] += dy * gamma * normalized;
            });
            let mean_along = along.iter().sum::<f32>() / width as f32;
            let mean_of = if shape.centers { sum.iter().sum::<f32>() / width as f32 } else { 0.0 };
            for index in 0..width {
                let scaled = dy[index] * gamma[index];
                dx[index] = inverse * (scaled - mean_of - dx[index] * mean_along);
            }
        }
        [dgamma, dbeta]
    });
    let (dgamma, dbeta) = parts.into_iter().map(|[dgamma, dbeta]| (dgamma, dbeta)).unzip();
    [sum_of(dgamma, width), sum_of(dbeta, width)]
}

/// `y = activation(gate) · up`, or `activation(gate)` without an `up`.
pub fn gated(activation: Activation, gate: &[f32], up: Option<&[f32]>, y: &mut [f32]) {
    for_blocks_of(1, [y], [FLAT], |first, [y]| {
        let (gate, up) = (flat(gate, first, y.len()), up.map(|up| flat(up, first, y.len())));
        match activation {
            Activation::Silu => gated_by(gate, up, y, |x| x * sigmoid(x)),
            Activation::Gelu => gated_by(gate, up, y, |x| x * normal(x)),
            Activation::GeluTanh => gated_by(gate, up, y, |x| 0.5 * x * (1.0 + tanh(inner(x)))),
            Activation::Relu => gated_by(gate, up, y, |x| x.max(0.0)),
        }
    });
}

#[inline(always)]
fn gated_by(gate: &[f32], up: Option<&[f32]>, y: &mut [f32], of: impl Fn(f32) -> f32) {
    match up {
        Some(up) => y.iter_mut().zip(gate).zip(up).for_each(|((y, gate), up)| *y = of(*gate) * up),
        None => y.iter_mut().zip(gate).for_each(|(y, gate)| *y = of(*gate)),
    }
}

/// Writes the gradient of `gate` in place of that of the result, and the gradient of `up` in place of
/// `up` itself.
pub fn gated_backward(
    activation: Activation,
    gate: &[f32],
    up: Option<&mut [f32]>,
    dy: &mut [f32],
) {
    // The value and its derivative.
    let of = |x: f32| match activation {
        Activation::Silu => {
            let sigmoid = sigmoid(x);
            (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid)))
        }
        Activation::Gelu => {
            let normal = normal(x);
            (x * normal, normal + x * INVERSE_ROOT_2_PI * exp(-0.5 * x * x))
        }
        Activation::GeluTanh => {
            let tanh = tanh(inner(x));
            let slope = ROOT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x);
            (0.5 * x * (1.0 + tanh), 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * slope)
        }
        Activation::Relu => (x.max(0.0), f32::from(u8::from(x > 0.0))),
    };
    match up {
        Some(up) => {
            for_blocks_of(1, [dy, up], [FLAT; 2], |first, [dy, up]| {
                let gate = flat(gate, first, dy.len());
                for ((dy, up), gate) in dy.iter_mut().zip(up.iter_mut()).zip(gate) {
                    let (value, slope) = of(*gate);
                    (*dy, *up) = (*dy * *up * slope, *dy * value);
                }
            });
        }
        None => {
            for_blocks_of(1, [dy], [FLAT], |first, [dy]| {
                let gate = flat(gate, first, dy.len());
                dy.iter_mut().zip(gate).for_each(|(dy, gate)| *dy *= of(*gate).1);
            });
        }
    }
}

const ROOT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;
const INVERSE_ROOT_2_PI: f32 = 0.398_942_3;

#[inline(always)]
fn inner(x: f32) -> f32 {
    ROOT_2_OVER_PI * (x + CUBIC * x * x * x)
}

/// The normal distribution up to `x`.
#[inline(always)]
fn normal(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// How scores become weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreShape {
    /// Keys per query.
    pub n_keys: usize,
    /// Scores are multiplied by it first.
    pub scale: f32,
    /// `cap · tanh(score / cap)` after that.
    pub softcap: Option<f32>,
}

/// Scores of queries as shares of their sum, in place. `bias` is added to them: `bias_of` tells at
/// which of its rows those of a query are.
pub fn weights(
    shape: ScoreShape,
    scores: &mut [f32],
    bias: &[f32],
    bias_of: impl Fn(usize) -> usize + Sync,
) {
    let ScoreShape { n_keys, scale, softcap } = shape;
    for_blocks([scores], [n_keys], |first, [scores]| {
        for (number, scores) in scores.chunks_exact_mut(n_keys).enumerate() {
            let start = bias_of(first + number);
            let bias = &bias[start..start + n_keys];
            match softcap {
                None => scores.iter_mut().zip(bias).for_each(|(x, bias)| *x = *x * scale + bias),
                Some(cap) => scores
                    .iter_mut()
                    .zip(bias)
                    .for_each(|(x, bias)| *x = cap * tanh(*x * scale / cap) + bias),
            }
            softmax(scores);
        }
    });
}

/// Writes the gradient of the scores in place of that of the weights. With a softcap `scores` are
/// those before it.
pub fn weights_backward(
    shape: ScoreShape,
    weights: &[f32],
    scores: Option<&[f32]>,
    gradient: &mut [f32],
) {
    let ScoreShape { n_keys, scale, softcap } = shape;
    for_blocks([gradient], [n_keys], |first, [gradient]| {
        for (number, gradient) in gradient.chunks_exact_mut(n_keys).enumerate() {
            let weights = row(weights, first + number, n_keys);
            let mut along = [0.0; LANES];
            lanes2(weights, gradient, |lane, weight, gradient| along[lane] += weight * gradient);
            let along = along.iter().sum::<f32>();
            for (gradient, weight) in gradient.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - along) * scale;
            }
            if let (Some(cap), Some(scores)) = (softcap, scores) {
                let scores = row(scores, first + number, n_keys);
                for (gradient, score) in gradient.iter_mut().zip(scores) {
                    let tanh = tanh(score * scale / cap);
                    *gradient *= 1.0 - tanh * tanh;
                }
            }
        }
    });
}

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in row.iter_mut() {
        *x = exp(*x - largest);
    }
    let mut sums = [0.0; LANES];
    lanes1(row, |lane, x| sums[lane] += x);
    let inverse = 1.0 / sums.iter().sum::<f32>();
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

/// What each head of a row is rotated by: cosines and sines by position, in tables of `width` numbers
/// a row; `position_of` gives the position of a row. `sign` is 1 to rotate, and -1 to rotate back.
pub fn rotate_rows(
    x: &mut [f32],
    [row_width, d_head, width]: [usize; 3],
    [cos, sin]: [&[f32]; 2],
    position_of: impl Fn(usize) -> usize + Sync,
    sign: f32,
) {
    let half = width / 2;
    for_blocks([x], [row_width], |first, [x]| {
        for (number, x) in x.chunks_exact_mut(row_width).enumerate() {
            let position = position_of(first + number);
            let (cos, sin) = (row(cos, position, width), row(sin, position, width));
            for head in x.chunks_exact_mut(d_head) {
                let (a, b) = head[..width].split_at_mut(half);
                for index in 0..half {
                    let (first, second) = (a[index], b[index]);
                    a[index] = first * cos[index] - sign * second * sin[index];
                    b[index] = second * cos[index] + sign * first * sin[index];
                }
            }
        }
    });
}

/// `x += y`
pub fn add(x: &mut [f32], y: &[f32]) {
    for_blocks_of(1, [x], [FLAT], |first, [x]| {
        let y = flat(y, first, x.len());
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    });
}

/// The sum of all squares.
pub fn sum_of_squares(x: &mut [f32]) -> f64 {
    let parts = for_blocks_of(1, [x], [FLAT], |_, [x]| {
        let mut sums = [0.0; LANES];
        lanes1(x, |lane, x| sums[lane] += x * x);
        f64::from(sums.iter().sum::<f32>())
    });
    parts.into_iter().sum()
}

/// One step of AdamW (arXiv:1711.05101).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub learning_rate: f32,
    pub beta_1: f32,
    pub beta_2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
    /// What the gradient is multiplied by first: the mean over micro-batches, and clipping.
    pub gradient_scale: f32,
    /// `1 - beta^step` of both moments.
    pub corrections: [f32; 2],
}

impl AdamW {
    /// Changes parameters and moments in place.
    pub fn step(&self, x: &mut [f32], m: &mut [f32], v: &mut [f32], gradient: &[f32]) {
        let [of_m, of_v] = self.corrections;
        let kept = 1.0 - self.learning_rate * self.weight_decay;
        for_blocks_of(1, [x, m, v], [FLAT; 3], |first, [x, m, v]| {
            let gradient = flat(gradient, first, x.len());
            let rest = m.iter_mut().zip(v.iter_mut()).zip(gradient);
            for (x, ((m, v), gradient)) in x.iter_mut().zip(rest) {
                let gradient = gradient * self.gradient_scale;
                *m = *m * self.beta_1 + gradient * (1.0 - self.beta_1);
                *v = *v * self.beta_2 + gradient * gradient * (1.0 - self.beta_2);
                let update = (*m / of_m) / ((*v / of_v).sqrt() + self.epsilon);
                *x = *x * kept - self.learning_rate * update;
            }
        });
    }
}

/// Which loss terms the logits of a row count in, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadLoss {
    /// Weight of the cross-entropy over the number of labels.
    pub cross_entropy: f32,
    /// Weight of the KL divergence over the number of rows.
    pub kl: f32,
    pub temperature: f32,
}

/// A row of the head: whether it has a label and which, and whether it counts in the KL divergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadRow {
    pub label: Option<u32>,
    pub counts: bool,
}

impl HeadLoss {
    /// Writes the gradient of the weighted losses in place of the student's logits. Returns the sums of
    /// cross-entropy and KL divergence over the rows, before their weights. `teacher` may be empty when
    /// the KL divergence has no weight; its logits are used up.
    pub fn apply(
        &self,
        vocab: usize,
        rows: &[HeadRow],
        student: &mut [f32],
        teacher: &mut [f32],
    ) -> [f64; 2] {
        let sums = if teacher.is_empty() {
            for_blocks_of(8, [student], [vocab], |first, [student]| {
                let logits = student.chunks_exact_mut(vocab).zip(&rows[first..]);
                logits.map(|(student, row)| self.row(*row, student, None)).collect::<Vec<_>>()
            })
        } else {
            for_blocks_of(8, [student, teacher], [vocab; 2], |first, [student, teacher]| {
                let teacher = teacher.chunks_exact_mut(vocab);
                let logits = student.chunks_exact_mut(vocab).zip(teacher).zip(&rows[first..]);
                let of_row = |((student, teacher), row): ((&mut [f32], &mut [f32]), &HeadRow)| {
                    self.row(*row, student, Some(teacher))
                };
                logits.map(of_row).collect::<Vec<_>>()
            })
        };
        let mut total = [0.0; 2];
        for [cross_entropy, kl] in sums.into_iter().flatten() {
            total[0] += cross_entropy;
            total[1] += kl;
        }
        total
    }

    #[inline(always)]
    fn row(&self, row: HeadRow, student: &mut [f32], teacher: Option<&mut [f32]>) -> [f64; 2] {
        let is_soft = self.temperature != 1.0;
        let kl = if row.counts && self.kl != 0.0 { teacher } else { None };
        let label = row.label.filter(|_| self.cross_entropy != 0.0);
        // Of the logits as they are, for the cross-entropy.
        let mut losses = [0.0; 2];
        let label_logit = label.map(|label| student[label as usize]);
        let largest = largest(student);
        let log_sum = |logits: &[f32], largest: f32, divisor: f32| {
            let mut sums = [0.0; LANES];
            lanes1(logits, |lane, x| sums[lane] += exp((x - largest) / divisor));
            sums.iter().sum::<f32>()
        };
        let sum = if label.is_some() || !is_soft { log_sum(student, largest, 1.0) } else { 1.0 };
        if let Some(logit) = label_logit {
            losses[0] = f64::from(largest) + f64::from(sum).ln() - f64::from(logit);
        }
        let of_label = if label.is_some() { self.cross_entropy } else { 0.0 };
        let inverse = of_label / sum;
        match kl {
            None => student.iter_mut().for_each(|x| *x = exp(*x - largest) * inverse),
            Some(teacher) => {
                let temperature = self.temperature;
                let soft_sum = if is_soft { log_sum(student, largest, temperature) } else { sum };
                let teacher_largest = self::largest(teacher);
                let teacher_sum = log_sum(teacher, teacher_largest, temperature);
                // KL = sum of p_teacher (log p_teacher - log p_student)
                let offset = (f64::from(soft_sum).ln() - f64::from(teacher_sum).ln()) as f32
                    + (largest - teacher_largest) / temperature;
                let (of_student, of_teacher) =
                    (self.kl * temperature / soft_sum, self.kl * temperature / teacher_sum);
                let mut divergence = [0.0; LANES];
                let inverse_teacher = 1.0 / teacher_sum;
                for (chunk, teacher) in student.chunks_mut(LANES).zip(teacher.chunks(LANES)) {
                    for (lane, (x, teacher)) in chunk.iter_mut().zip(teacher).enumerate() {
                        let at_teacher = exp((teacher - teacher_largest) / temperature);
                        let difference = (teacher - *x) / temperature + offset;
                        divergence[lane] += at_teacher * inverse_teacher * difference;
                        let at_student = exp((*x - largest) / temperature);
                        let plain = if is_soft { exp(*x - largest) } else { at_student };
                        *x = plain * inverse + at_student * of_student - at_teacher * of_teacher;
                    }
                }
                let squared = f64::from(temperature) * f64::from(temperature);
                losses[1] = f64::from(divergence.iter().sum::<f32>()) * squared;
            }
        }
        if let Some(label) = label {
            student[label as usize] -= of_label;
        }
        losses
    }
}

/// Cosine distances of rows: the sum over those that count is returned, and the gradient of
/// `weight` times that sum is added to `gradient`.
pub fn cosine_distance(
    width: usize,
    weight: f32,
    counts: &[bool],
    student: &[f32],
    teacher: &[f32],
    gradient: &mut [f32],
) -> f64 {
    const FLOOR: f32 = 1e-12;
    let parts = for_blocks([gradient], [width], |first, [gradient]| {
        let mut sum = 0.0;
        for (number, gradient) in gradient.chunks_exact_mut(width).enumerate() {
            let index = first + number;
            if !counts[index] {
                continue;
            }
            let (student, teacher) = (row(student, index, width), row(teacher, index, width));
            let (mut dot, mut own, mut other) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            lanes2(student, teacher, |lane, student, teacher| {
                dot[lane] += student * teacher;
                own[lane] += student * student;
                other[lane] += teacher * teacher;
            });
            let [dot, own, other] = [dot, own, other].map(|sums| sums.iter().sum::<f32>());
            let inverse = 1.0 / ((own + FLOOR) * (other + FLOOR)).sqrt();
            let cosine = dot * inverse;
            sum += 1.0 - f64::from(cosine);
            let (of_teacher, of_student) = (-weight * inverse, weight * cosine / (own + FLOOR));
            let states = student.iter().zip(teacher);
            for (gradient, (student, teacher)) in gradient.iter_mut().zip(states) {
                *gradient += of_teacher * teacher + of_student * student;
            }
        }
        sum
    });
    parts.into_iter().sum()
}

/// Sums that run beside each other, as wide as the widest vector registers.
const LANES: usize = 16;

/// Numbers of a block where rows do not matter.
const FLAT: usize = 1 << 14;

#[inline(always)]
fn row(x: &[f32], index: usize, width: usize) -> &[f32] {
    &x[index * width..(index + 1) * width]
}

#[inline(always)]
fn flat(x: &[f32], block: usize, len: usize) -> &[f32] {
    &x[block * FLAT..block * FLAT + len]
}

#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    lanes1(x, |lane, x| largest[lane] = largest[lane].max(x));
    largest.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn lanes1(x: &[f32], mut each: impl FnMut(usize, f32)) {
    let (chunks, rest) = x.as_chunks::<LANES>();
    for x in chunks {
        for lane in 0..LANES {
            each(lane, x[lane]);
        }
    }
    rest.iter().enumerate().for_each(|(lane, x)| each(lane, *x));
}

#[inline(always)]
fn lanes2(x: &[f32], y: &[f32], mut each: impl FnMut(usize, f32, f32)) {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in x.iter().zip(y) {
        for lane in 0..LANES {
            each(lane, x[lane], y[lane]);
        }
    }
    x_rest.iter().zip(y_rest).enumerate().for_each(|(lane, (x, y))| each(lane, *x, *y));
}

#[inline(always)]
fn lanes3(x: &[f32], y: &[f32], z: &[f32], mut each: impl FnMut(usize, f32, f32, f32)) {
    let (x, x_rest) = x.as_chunks::<LANES>();
    let ((y, y_rest), (z, z_rest)) = (y.as_chunks::<LANES>(), z.as_chunks::<LANES>());
    for ((x, y), z) in x.iter().zip(y).zip(z) {
        for lane in 0..LANES {
            each(lane, x[lane], y[lane], z[lane]);
        }
    }
    let rest = x_rest.iter().zip(y_rest).zip(z_rest);
    rest.enumerate().for_each(|(lane, ((x, y), z))| each(lane, *x, *y, *z));
}

impl NormShape {
    /// The mean, and what to multiply by.
    #[inline(always)]
    fn of(self, x: &[f32]) -> (f32, f32) {
        let width = x.len() as f32;
        let mut sums = [0.0; LANES];
        let mean = if self.centers {
            lanes1(x, |lane, x| sums[lane] += x);
            sums.iter().sum::<f32>() / width
        } else {
            0.0
        };
        let mut squares = [0.0; LANES];
        lanes1(x, |lane, x| squares[lane] += (x - mean) * (x - mean));
        (mean, 1.0 / (squares.iter().sum::<f32>() / width + self.epsilon).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -2 and 2 without a pattern.
    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 22) as f32 - 2.0
            })
            .collect()
    }

    /// Compares gradients with differences of `loss`, which is linear in what the function gives:
    /// the sum of its numbers times `along`.
    fn assert_gradient(x: &[f32], gradient: &[f32], loss: impl Fn(&[f32]) -> f64) {
        for index in 0..x.len() {
            const STEP: f32 = 1e-2;
            let at = |change: f32| {
                let mut x = x.to_vec();
                x[index] += change;
                loss(&x)
            };
            let slope = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
            let found = f64::from(gradient[index]);
            assert!((found - slope).abs() < 2e-3 * slope.abs().max(1.0), "{index}: {found} {slope}");
        }
    }

    fn along(y: &[f32], by: &[f32]) -> f64 {
        y.iter().zip(by).map(|(y, by)| f64::from(*y) * f64::from(*by)).sum()
    }

    #[test]
    fn norms_have_their_gradients() {
        const WIDTH: usize = 21;
        let (x, gamma, by) = (numbers(3 * WIDTH, 1), numbers(WIDTH, 2), numbers(3 * WIDTH, 3));
        let beta = numbers(WIDTH, 4);
        for centers in [false, true] {
            let shape = NormShape { epsilon: 1e-5, centers };
            let loss = |x: &[f32], gamma: &[f32], beta: &[f32]| {
                let mut y = vec![0.0; x.len()];
                norm(shape, x, gamma, Some(beta), &mut y);
                along(&y, &by)
            };
            let mut dx = vec![0.0; x.len()];
            let [dgamma, dbeta] = norm_backward(shape, &x, &gamma, &by, &mut dx);
            assert_gradient(&x, &dx, |x| loss(x, &gamma, &beta));
            assert_gradient(&gamma, &dgamma, |gamma| loss(&x, gamma, &beta));
            assert_gradient(&beta, &dbeta, |beta| loss(&x, &gamma, beta));
        }
    }

    #[test]
    fn gates_have_their_gradients() {
        let (gate, up, by) = (numbers(37, 1), numbers(37, 2), numbers(37, 3));
        // A step of the differences must not cross the bend of ReLU.
        let gate: Vec<f32> =
            gate.into_iter().map(|x| if x.abs() < 0.05 { x + 0.1 } else { x }).collect();
        for activation in
            [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu]
        {
            let loss = |gate: &[f32], up: Option<&[f32]>| {
                let mut y = vec![0.0; gate.len()];
                gated(activation, gate, up, &mut y);
                along(&y, &by)
            };
            let (mut dgate, mut dup) = (by.clone(), up.clone());
            gated_backward(activation, &gate, Some(&mut dup), &mut dgate);
            assert_gradient(&gate, &dgate, |gate| loss(gate, Some(&up)));
            assert_gradient(&up, &dup, |up| loss(&gate, Some(up)));
            let mut dgate = by.clone();
            gated_backward(activation, &gate, None, &mut dgate);
            assert_gradient(&gate, &dgate, |gate| loss(gate, None));
        }
    }

    #[test]
    fn attention_weights_have_their_gradients() {
        const N_KEYS: usize = 19;
        let (scores, by) = (numbers(2 * N_KEYS, 1), numbers(2 * N_KEYS, 2));
        let mut bias = vec![0.0; N_KEYS];
        bias[N_KEYS - 1] = f32::MIN;
        for softcap in [None, Some(1.5)] {
            let shape = ScoreShape { n_keys: N_KEYS, scale: 0.7, softcap };
            let of = |scores: &[f32]| {
                let mut found = scores.to_vec();
                weights(shape, &mut found, &bias, |_| 0);
                found
            };
            let (found, mut gradient) = (of(&scores), by.clone());
            assert!((found[..N_KEYS].iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert_eq!(found[N_KEYS - 1], 0.0);
            weights_backward(shape, &found, Some(&scores), &mut gradient);
            assert_gradient(&scores, &gradient, |scores| along(&of(scores), &by));
        }
    }

    #[test]
    fn a_rotation_back_undoes_a_rotation() {
        let x = numbers(2 * 12, 1);
        let angles = numbers(2 * 2, 2);
        let table = |of: fn(f32) -> f32| -> Vec<f32> {
            let row = |angles: &[f32]| [angles, angles].concat();
            angles.chunks(2).flat_map(row).map(of).collect()
        };
        let (cos, sin) = (table(f32::cos), table(f32::sin));
        let mut turned = x.clone();
        for sign in [1.0, -1.0] {
            rotate_rows(&mut turned, [12, 6, 4], [&cos, &sin], |row| row, sign);
        }
        for (x, turned) in x.iter().zip(turned) {
            assert!((x - turned).abs() < 1e-5);
        }
    }

    #[test]
    fn the_heads_losses_have_their_gradients() {
        const VOCAB: usize = 23;
        let (student, teacher) = (numbers(3 * VOCAB, 1), numbers(3 * VOCAB, 2));
        let rows = [
            HeadRow { label: Some(4), counts: true },
            HeadRow { label: None, counts: true },
            HeadRow { label: Some(22), counts: false },
        ];
        for (cross_entropy, kl, temperature) in
            [(0.5, 0.25, 1.0), (0.5, 0.25, 2.0), (0.0, 1.0, 1.5), (1.0, 0.0, 1.0)]
        {
            let loss = HeadLoss { cross_entropy, kl, temperature };
            let of = |student: &[f32]| {
                let (mut gradient, mut teacher) = (student.to_vec(), teacher.clone());
                let sums = loss.apply(VOCAB, &rows, &mut gradient, &mut teacher);
                (f64::from(cross_entropy) * sums[0] + f64::from(kl) * sums[1], gradient)
            };
            assert_gradient(&student, &of(&student).1, |student| of(student).0);
            assert!(of(&teacher).0.abs() < 1e-6 || cross_entropy > 0.0, "no divergence from itself");
        }
    }

    #[test]
    fn cosine_distances_have_their_gradients() {
        const WIDTH: usize = 18;
        let (student, teacher) = (numbers(2 * WIDTH, 1), numbers(2 * WIDTH, 2));
        let of = |student: &[f32]| {
            let mut gradient = vec![0.0; student.len()];
            let counts = [true, false];
            let sum = cosine_distance(WIDTH, 3.0, &counts, student, &teacher, &mut gradient);
            (3.0 * sum, gradient)
        };
        assert_gradient(&student, &of(&student).1, |student| of(student).0);
    }

    #[test]
    fn a_step_of_adamw_is_that_of_its_paper() {
        let adamw = AdamW {
            learning_rate: 0.1,
            beta_1: 0.9,
            beta_2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.5,
            gradient_scale: 2.0,
            corrections: [1.0 - 0.9, 1.0 - 0.95],
        };
        let (mut x, mut m, mut v) = ([1.0], [0.0], [0.0]);
        adamw.step(&mut x, &mut m, &mut v, &[3.0]);
        // The first update is the sign of the gradient.
        assert!((x[0] - (1.0 - 0.1 * 0.5 - 0.1)).abs() < 1e-6, "{x:?}");
        assert!((m[0] - 0.6).abs() < 1e-6 && (v[0] - 1.8).abs() < 1e-5, "{m:?} {v:?}");
    }

    #[test]
    fn long_rows_are_shared_out_and_give_the_same() {
        let x = numbers(100_000, 1);
        let (mut sum, y) = (x.clone(), numbers(100_000, 2));
        add(&mut sum, &y);
        assert!(sum.iter().zip(x.iter().zip(&y)).all(|(sum, (x, y))| *sum == x + y));
        let expected: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((sum_of_squares(&mut x.clone()) / expected - 1.0).abs() < 1e-5);
    }
}
