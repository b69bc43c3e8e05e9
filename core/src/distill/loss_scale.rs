//! Loss scaling (Micikevicius et al., arXiv:1710.03740): losses are multiplied by a factor before their
//! gradients are taken, and gradients divided by it afterwards, so that f16 does not round them to zero.

/// The factor, which is halved when a gradient overflows and doubled after many that did not, as
/// `torch.amp.GradScaler` does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LossScale {
    value: f32,
    /// Steps since it was changed.
    n_steps: u32,
}

const FIRST: f32 = 65536.0;
const STEPS_TO_DOUBLE: u32 = 2000;

impl Default for LossScale {
    fn default() -> Self {
        Self { value: FIRST, n_steps: 0 }
    }
}

impl LossScale {
    pub(super) fn value(&self) -> f64 {
        f64::from(self.value)
    }

    /// After a gradient that was finite.
    pub(super) fn keep(&mut self) {
        self.n_steps += 1;
        if self.n_steps >= STEPS_TO_DOUBLE {
            *self = Self { value: self.value * 2.0, n_steps: 0 };
        }
    }

    /// After a gradient that was not. Returns whether the step is worth another try: with a factor of 1
    /// the loss itself is at fault.
    pub(super) fn lower(&mut self) -> bool {
        if self.value <= 1.0 {
            return false;
        }
        *self = Self { value: self.value / 2.0, n_steps: 0 };
        true
    }

    /// To resume from.
    pub(super) fn to_numbers(self) -> [f32; 2] {
        [self.value, self.n_steps as f32]
    }

    pub(super) fn from_numbers([value, n_steps]: [f32; 2]) -> Self {
        Self { value, n_steps: n_steps as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_halved_by_an_overflow_and_doubled_after_many_steps() {
        let mut scale = LossScale::default();
        assert!(scale.lower());
        for _ in 0..STEPS_TO_DOUBLE - 1 {
            scale.keep();
        }
        assert_eq!(scale.value(), 32768.0);
        assert_eq!(LossScale::from_numbers(scale.to_numbers()), scale);
        scale.keep();
        assert_eq!(scale.value(), 65536.0);
    }

    #[test]
    fn it_is_never_below_one() {
        let mut scale = LossScale::default();
        let n_halvings = (0..100).take_while(|_| scale.lower()).count();
        assert_eq!((n_halvings, scale.value()), (16, 1.0));
    }
}
