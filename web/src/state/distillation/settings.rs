//! The settings of a distillation run.

use boomerang_core::corpus::distill_recipe;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::plan::{KeepRule, LayerPlan, PlanError};
use boomerang_engine::distillation::messages::DistillSettings;
use leptos::prelude::*;

use crate::browser::files::NamedFile;

pub const MOST_STEPS: usize = 500;
/// A minute on a slow machine.
pub const DEFAULT_STEPS: usize = 100;
const LARGEST_RATE: f64 = 0.1;

/// The controls and their current values.
#[derive(Clone, Copy)]
pub struct Settings {
    /// `None` for the plan of the family on the dial.
    pub plan: RwSignal<Option<LayerPlan>>,
    pub n_steps: RwSignal<usize>,
    pub learning_rate: RwSignal<f64>,
    pub loss: RwSignal<LossWeights>,
    pub seed: RwSignal<u64>,
    /// Training texts; none for the generated corpus.
    pub texts: RwSignal<Vec<NamedFile>, LocalStorage>,
}

/// A rule by which layers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    EverySecond,
    EveryThird,
    First(usize),
    Last(usize),
}

impl Keep {
    /// # Errors
    /// [`PlanError`] when nothing is kept.
    pub fn plan(self, n_teacher_layers: usize) -> Result<LayerPlan, PlanError> {
        let rule = match self {
            Self::EverySecond => KeepRule::default(),
            Self::EveryThird => KeepRule { every: 3, ..KeepRule::default() },
            Self::First(n_kept) => KeepRule::first_layers(n_kept, n_teacher_layers),
            Self::Last(n_kept) => KeepRule::last_layers(n_kept, n_teacher_layers),
        };
        LayerPlan::by_rule(rule, n_teacher_layers)
    }
}

/// The plan with one layer added or removed; the first layer stays.
pub fn toggled(plan: &LayerPlan, layer: usize) -> LayerPlan {
    let mut kept = plan.kept();
    match kept.binary_search(&layer) {
        Ok(index) => {
            kept.remove(index);
        }
        Err(index) => kept.insert(index, layer),
    }
    LayerPlan::keep(&kept, plan.n_teacher_layers()).unwrap_or_else(|_| plan.clone())
}

impl Settings {
    pub fn new() -> Self {
        Self {
            plan: RwSignal::new(None),
            n_steps: RwSignal::new(DEFAULT_STEPS),
            learning_rate: RwSignal::new(distill_recipe::LEARNING_RATE),
            loss: RwSignal::new(distill_recipe::loss_weights()),
            seed: RwSignal::new(0),
            texts: RwSignal::new_local(Vec::new()),
        }
    }

    /// Sets the number of steps that was typed; an invalid one changes nothing.
    pub fn type_steps(self, typed: &str) {
        if let Ok(wanted) = typed.parse::<usize>() {
            self.n_steps.set(wanted.clamp(1, MOST_STEPS));
        }
        // The field shows an unchanged number again.
        self.n_steps.notify();
    }

    /// Sets the learning rate that was typed.
    pub fn type_learning_rate(self, typed: &str) {
        if let Some(wanted) = typed.parse::<f64>().ok().filter(|rate| rate.is_finite()) {
            self.learning_rate.set(wanted.clamp(0.0, LARGEST_RATE));
        }
        self.learning_rate.notify();
    }

    /// Sets the seed that was typed.
    pub fn type_seed(self, typed: &str) {
        if let Ok(wanted) = typed.parse::<u32>() {
            self.seed.set(wanted.into());
        }
        self.seed.notify();
    }

    /// Whether at least one loss term has a weight above 0.
    pub fn has_term(self) -> bool {
        self.loss.with(|loss| loss.terms().next().is_some())
    }

    /// The training data.
    pub fn texts_in_words(self) -> String {
        self.texts.with(|texts| {
            let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
            match names[..] {
                [] => "The student is trained on the page's generated corpus.".to_owned(),
                _ => format!(
                    "The student is trained on {}, which is read here and never uploaded.",
                    names.join(", ")
                ),
            }
        })
    }

    /// The settings of a run started now; `plan` is that of the family on the dial.
    pub fn of_run(self, plan: &LayerPlan) -> DistillSettings {
        untrack(|| DistillSettings {
            plan: self.plan.get().unwrap_or_else(|| plan.clone()),
            n_steps: self.n_steps.get(),
            learning_rate: self.learning_rate.get(),
            loss: self.loss.get(),
            seed: self.seed.get(),
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(keep: Keep) -> Vec<usize> {
        keep.plan(12).unwrap().kept()
    }

    #[test]
    fn every_rule_keeps_the_layers_that_it_names() {
        assert_eq!(kept(Keep::EverySecond), [0, 2, 4, 6, 8, 10, 11]);
        assert_eq!(kept(Keep::EveryThird), [0, 3, 6, 9, 10, 11]);
        assert_eq!(kept(Keep::First(3)), [0, 1, 2]);
        assert_eq!(kept(Keep::Last(3)), [0, 9, 10, 11]);
        assert!(Keep::First(0).plan(12).is_err());
    }

    #[test]
    fn layers_are_added_and_removed_but_the_first_stays() {
        let plan = LayerPlan::keep(&[0, 4], 6).unwrap();
        assert_eq!(toggled(&plan, 2).kept(), [0, 2, 4]);
        assert_eq!(toggled(&plan, 4).kept(), [0]);
        assert_eq!(toggled(&plan, 0), plan);
    }

    #[test]
    fn impossible_settings_become_the_nearest_possible_ones() {
        Owner::new().with(|| {
            let settings = Settings::new();
            settings.type_steps("100000");
            settings.type_learning_rate("-1");
            settings.type_seed("x");
            let settings = settings.of_run(&LayerPlan::keep(&[0], 2).unwrap());
            let found = (settings.n_steps, settings.learning_rate, settings.seed);
            assert_eq!(found, (MOST_STEPS, 0.0, 0));
        });
    }
}
