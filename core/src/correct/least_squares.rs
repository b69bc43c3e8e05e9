//! Linear regression in closed form: ridge regression by the normal equations, in f64.

use std::iter::once;

/// Sums over the rows of a regression, from which its solution follows; memory does not grow with
/// the rows.
#[derive(Clone, Debug)]
pub struct LeastSquares {
    n_inputs: usize,
    n_outputs: usize,
    has_shift: bool,
    n_rows: usize,
    /// Weighted sums of products of inputs, on and below the diagonal, row-major; a shift is one more input,
    /// which is always 1.
    gram: Vec<f64>,
    /// Weighted sums of products of inputs and targets, `[n_inputs (+ 1), n_outputs]`.
    cross: Vec<f64>,
    /// The weighted sum of all squared targets.
    squared_targets: f64,
}

/// `x · matrix + shift`, for a row `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearMap {
    /// Inputs and outputs.
    pub shape: [usize; 2],
    /// `[n_inputs, n_outputs]`, row-major.
    pub matrix: Vec<f32>,
    /// `[n_outputs]`; `None` in a regression without one.
    pub shift: Option<Vec<f32>>,
    /// The share of the (weighted) squared targets that the map explains on the rows it was fitted
    /// on: 0 for a map to 0, 1 for exact targets.
    pub explained: f64,
}

impl LeastSquares {
    /// Without any row yet.
    pub fn new(n_inputs: usize, n_outputs: usize, has_shift: bool) -> Self {
        let n = n_inputs + usize::from(has_shift);
        Self {
            n_inputs,
            n_outputs,
            has_shift,
            n_rows: 0,
            gram: vec![0.0; n * n],
            cross: vec![0.0; n * n_outputs],
            squared_targets: 0.0,
        }
    }

    /// Numbers of rows so far and of inputs.
    pub fn size(&self) -> (usize, usize) {
        (self.n_rows, self.n_inputs)
    }

    /// Adds a row, whose squared error counts `weight` times.
    ///
    /// # Panics
    /// If there are not `n_inputs` inputs and `n_outputs` targets.
    pub fn add(&mut self, weight: f64, inputs: &[f32], targets: &[f32]) {
        assert_eq!([inputs.len(), targets.len()], [self.n_inputs, self.n_outputs]);
        let shift = once(1.0).take(usize::from(self.has_shift));
        let inputs: Vec<f64> = inputs.iter().copied().map(f64::from).chain(shift).collect();
        let n = inputs.len();
        for (row, &of_row) in inputs.iter().enumerate() {
            let of_row = weight * of_row;
            let gram = &mut self.gram[row * n..=row * n + row];
            gram.iter_mut().zip(&inputs).for_each(|(sum, input)| *sum += of_row * input);
            let cross = &mut self.cross[row * self.n_outputs..(row + 1) * self.n_outputs];
            let products = targets.iter().map(|&target| of_row * f64::from(target));
            cross.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
        }
        self.squared_targets +=
            weight * targets.iter().map(|&it| f64::from(it).powi(2)).sum::<f64>();
        self.n_rows += 1;
    }

    /// The map that minimizes the squared error plus `ridge · s · ‖matrix‖²`, where `s` is the mean
    /// over inputs of their sum of squares; the shift is not penalized.
    ///
    /// `None` unless the rows determine it: too few rows or inputs that depend on each other, with
    /// a ridge of 0; or inputs that are all 0.
    pub fn solve(&self, ridge: f64) -> Option<LinearMap> {
        let n = self.n_inputs + usize::from(self.has_shift);
        let mut gram = self.gram.clone();
        let squares: f64 = (0..self.n_inputs).map(|input| gram[input * n + input]).sum();
        let penalty = ridge * squares / self.n_inputs.max(1) as f64;
        (0..self.n_inputs).for_each(|input| gram[input * n + input] += penalty);
        let factor = cholesky(gram, n)?;
        let mut solution = self.cross.clone();
        substitute(&factor, n, &mut solution, self.n_outputs);
        let explained = self.explained(&solution);
        let matrix: Vec<f32> = solution.iter().map(|&value| value as f32).collect();
        let (matrix, shift) = matrix.split_at(self.n_inputs * self.n_outputs);
        let is_finite = matrix.iter().chain(shift).all(|value| value.is_finite());
        is_finite.then(|| LinearMap {
            shape: [self.n_inputs, self.n_outputs],
            matrix: matrix.to_vec(),
            shift: self.has_shift.then(|| shift.to_vec()),
            explained,
        })
    }

    /// 1 - squared error / squared targets.
    fn explained(&self, solution: &[f64]) -> f64 {
        let n = self.n_inputs + usize::from(self.has_shift);
        let row = |input: usize| &solution[input * self.n_outputs..(input + 1) * self.n_outputs];
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut explained = 2.0 * dot(solution, &self.cross);
        for one in 0..n {
            for other in 0..=one {
                let twice = if one == other { 1.0 } else { 2.0 };
                explained -= twice * self.gram[one * n + other] * dot(row(one), row(other));
            }
        }
        // Nothing has to be explained.
        if self.squared_targets == 0.0 { 1.0 } else { explained / self.squared_targets }
    }
}

/// A pivot below this share of its diagonal element is a rounding error.
const SMALLEST_PIVOT: f64 = 1e-13;

/// The lower triangle `L` of a symmetric matrix `L · Lᵀ` whose lower triangle is given; `None`
/// unless it is positive definite.
fn cholesky(mut matrix: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for row in 0..n {
        for column in 0..=row {
            let [of_row, of_column] =
                [row, column].map(|start| &matrix[start * n..start * n + column]);
            let dot: f64 = of_row.iter().zip(of_column).map(|(a, b)| a * b).sum();
            let diagonal = matrix[row * n + row];
            let rest = matrix[row * n + column] - dot;
            matrix[row * n + column] = if column < row {
                rest / matrix[column * n + column]
            } else if rest > SMALLEST_PIVOT * diagonal {
                rest.sqrt()
            } else {
                return None;
            };
        }
    }
    Some(matrix)
}

/// Solves `L · Lᵀ · X = B` in place of `B`, `[n, width]`.
fn substitute(factor: &[f64], n: usize, b: &mut [f64], width: usize) {
    for row in 0..n {
        let (solved, rest) = b.split_at_mut(row * width);
        let rest = &mut rest[..width];
        for (column, solved) in solved.chunks_exact(width).enumerate() {
            subtract(rest, factor[row * n + column], solved);
        }
        rest.iter_mut().for_each(|value| *value /= factor[row * n + row]);
    }
    for row in (0..n).rev() {
        let (rest, solved) = b.split_at_mut((row + 1) * width);
        let rest = &mut rest[row * width..];
        for (below, solved) in solved.chunks_exact(width).enumerate() {
            subtract(rest, factor[(row + 1 + below) * n + row], solved);
        }
        rest.iter_mut().for_each(|value| *value /= factor[row * n + row]);
    }
}

fn subtract(from: &mut [f64], factor: f64, values: &[f64]) {
    from.iter_mut().zip(values).for_each(|(from, value)| *from -= factor * value);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const N_INPUTS: usize = 4;
    const N_OUTPUTS: usize = 3;

    /// Rows of inputs, and the targets that a map gives them.
    fn rows() -> impl Strategy<Value = Vec<Vec<f32>>> {
        vec(vec(-2.0_f32..2.0, N_INPUTS), 12..30)
    }

    fn targets(inputs: &[f32], matrix: &[f32], shift: &[f32]) -> Vec<f32> {
        let target = |output: usize| {
            let products = inputs.iter().zip(matrix.iter().skip(output).step_by(N_OUTPUTS));
            products.map(|(input, weight)| input * weight).sum::<f32>() + shift[output]
        };
        (0..N_OUTPUTS).map(target).collect()
    }

    fn fitted(rows: &[Vec<f32>], targets: &[Vec<f32>], has_shift: bool) -> LeastSquares {
        let mut fit = LeastSquares::new(N_INPUTS, N_OUTPUTS, has_shift);
        rows.iter().zip(targets).for_each(|(inputs, targets)| fit.add(1.0, inputs, targets));
        fit
    }

    proptest! {
        #[test]
        fn an_affine_map_is_found_from_what_it_gives(
            rows in rows(),
            matrix in vec(-3.0_f32..3.0, N_INPUTS * N_OUTPUTS),
            shift in vec(-3.0_f32..3.0, N_OUTPUTS),
        ) {
            let targets: Vec<_> = rows.iter().map(|row| targets(row, &matrix, &shift)).collect();
            // Few rows may lie close to a plane.
            if let Some(found) = fitted(&rows, &targets, true).solve(1e-12) {
                prop_assert!(found.explained > 0.999_999);
                for (row, targets) in rows.iter().zip(&targets) {
                    let found = self::targets(row, &found.matrix, found.shift.as_ref().unwrap());
                    for (found, target) in found.iter().zip(targets) {
                        prop_assert!((found - target).abs() < 1e-3, "{found} for {target}");
                    }
                }
            }
        }

        /// `Xᵀ (Y - X W) = λ W`: the gradient of what is minimized is 0.
        #[test]
        fn the_solution_solves_the_normal_equations(
            rows in rows(),
            targets in vec(vec(-3.0_f32..3.0, N_OUTPUTS), 30),
            ridge in 0.01_f64..1.0,
        ) {
            let found = fitted(&rows, &targets, false).solve(ridge).unwrap();
            let squares: f64 = rows.iter().flatten().map(|&it| f64::from(it).powi(2)).sum();
            let penalty = ridge * squares / N_INPUTS as f64;
            for input in 0..N_INPUTS {
                for output in 0..N_OUTPUTS {
                    let of_rows = rows.iter().zip(&targets).map(|(row, target)| {
                        let found = self::targets(row, &found.matrix, &[0.0; N_OUTPUTS]);
                        f64::from(row[input]) * f64::from(target[output] - found[output])
                    });
                    let weight = f64::from(found.matrix[input * N_OUTPUTS + output]);
                    let gradient = of_rows.sum::<f64>() - penalty * weight;
                    prop_assert!(gradient.abs() < 1e-3, "{gradient}");
                }
            }
        }
    }

    #[test]
    fn inputs_that_depend_on_each_other_determine_a_map_only_with_a_ridge() {
        let mut fit = LeastSquares::new(2, 1, false);
        for value in [1.0, -2.0, 0.5] {
            fit.add(1.0, &[value, 2.0 * value], &[value]);
        }
        assert_eq!(fit.solve(0.0), None);
        // The smallest of the maps that fit: (1, 2) / 5.
        let found = fit.solve(1e-9).unwrap();
        assert!((found.matrix[0] - 0.2).abs() < 1e-4 && (found.matrix[1] - 0.4).abs() < 1e-4);
    }

    #[test]
    fn a_row_of_weight_2_is_that_row_twice() {
        let mut weighted = LeastSquares::new(1, 1, true);
        let mut twice = weighted.clone();
        for (weight, input, target) in [(2, 1.0, 3.0), (1, 2.0, -1.0), (1, -1.0, 0.5)] {
            weighted.add(f64::from(weight), &[input], &[target]);
            (0..weight).for_each(|_| twice.add(1.0, &[input], &[target]));
        }
        assert_eq!(weighted.solve(1e-3), twice.solve(1e-3));
    }

    #[test]
    fn without_rows_there_is_no_map() {
        assert_eq!(LeastSquares::new(2, 1, true).solve(1.0), None);
    }

    #[test]
    fn what_is_explained_is_the_share_of_squares() {
        // The best constant for 1 and 3 is 2: it leaves 2 of 10.
        let mut fit = LeastSquares::new(0, 1, true);
        fit.add(1.0, &[], &[1.0]);
        fit.add(1.0, &[], &[3.0]);
        let found = fit.solve(0.0).unwrap();
        assert_eq!(found.shift, Some(vec![2.0]));
        assert!((found.explained - 0.8).abs() < 1e-12, "{}", found.explained);
    }
}
