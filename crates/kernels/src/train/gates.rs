//! Activations, with what they are multiplied by, and their gradients.

use super::lanes::{FLAT, flat};
use crate::blocks::for_blocks_of;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::{along, assert_gradient, numbers};

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
}
