//! The losses of logits and of states, with their gradients.

use super::lanes::{LANES, lanes1, lanes2, largest, row};
use crate::blocks::{for_blocks, for_blocks_of};
use crate::exp::exp;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::{assert_gradient, numbers};

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
            assert!(
                of(&teacher).0.abs() < 1e-6 || cross_entropy > 0.0,
                "no divergence from itself"
            );
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
}
