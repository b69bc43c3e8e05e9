//! Sums of whole tensors, and the step of the optimizer.

use super::lanes::{FLAT, LANES, flat, lanes1};
use crate::blocks::for_blocks_of;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::numbers;

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
