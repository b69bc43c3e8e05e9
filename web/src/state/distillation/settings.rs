//! The settings of a distillation run.

use boomerang_core::corpus::distill_recipe;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::plan::{KeepRule, LayerPlan, PlanError};
use boomerang_engine::distillation::messages::DistillSettings;
use leptos::prelude::*;

use crate::browser::backend::Backend;
use crate::browser::files::NamedFile;
use crate::state::typed_number::TypedNumber;

pub const MOST_STEPS: usize = 500;
/// As [`Preset::Short`].
pub const DEFAULT_STEPS: usize = 10;
const LARGEST_RATE: f64 = 0.1;

/// The controls and their current values.
#[derive(Clone, Copy)]
pub struct Settings {
    /// `None` for the plan of the family on the dial.
    pub plan: RwSignal<Option<LayerPlan>>,
    pub n_steps: TypedNumber<usize>,
    pub learning_rate: TypedNumber<f64>,
    pub loss: RwSignal<LossWeights>,
    pub seed: TypedNumber<u64>,
    /// What the visitor wants runs to be computed on, where there is a GPU.
    pub backend: RwSignal<Backend>,
    /// Training texts; none for the generated corpus.
    pub texts: RwSignal<Vec<NamedFile>, LocalStorage>,
    /// The number of the run whose settings are repeated with a change.
    pub based_on: RwSignal<Option<usize>>,
}

/// Settings that show what the page is about, in a minute on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// As long as the demo's run: the student is weaker than its teacher, and the sizes in between climb.
    Short,
    /// 30 times as long: a better student; sizes in between are worse than it.
    TooLong,
}

impl Preset {
    pub const ALL: [Self; 2] = [Self::Short, Self::TooLong];

    pub fn n_steps(self) -> usize {
        match self {
            Self::Short => 10,
            Self::TooLong => 300,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "Short: 10 steps",
            Self::TooLong => "Too long: 300 steps",
        }
    }
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
            n_steps: TypedNumber::new(DEFAULT_STEPS, steps),
            learning_rate: TypedNumber::new(distill_recipe::LEARNING_RATE, learning_rate),
            loss: RwSignal::new(distill_recipe::loss_weights()),
            seed: TypedNumber::new(0, seed),
            backend: RwSignal::new(Backend::WebGpu),
            texts: RwSignal::new_local(Vec::new()),
            based_on: RwSignal::new(None),
        }
    }

    /// Sets all but the kept layers, the seed and the texts to those of a preset.
    pub fn apply(self, preset: Preset) {
        self.n_steps.set(&preset.n_steps().to_string());
        self.learning_rate.set(&distill_recipe::LEARNING_RATE.to_string());
        self.loss.set(distill_recipe::loss_weights());
    }

    /// Sets everything but the texts to the settings of run `number`.
    pub fn copy(self, number: usize, settings: &DistillSettings) {
        self.plan.set(Some(settings.plan.clone()));
        self.n_steps.set(&settings.n_steps.to_string());
        self.learning_rate.set(&settings.learning_rate.to_string());
        self.loss.set(settings.loss);
        self.seed.set(&settings.seed.to_string());
        self.based_on.set(Some(number));
    }

    /// Reads every setting, so that a change of any is noticed.
    pub fn track(self) {
        self.plan.track();
        self.loss.track();
        self.texts.track();
        let _ = self.is_accepted();
    }

    /// Whether every number is accepted.
    pub fn is_accepted(self) -> bool {
        let problems = [self.n_steps.problem(), self.learning_rate.problem(), self.seed.problem()];
        problems.iter().all(Option::is_none)
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

    /// The settings of a run started now; `plan` is that of the family on the dial. `None` while one of
    /// the numbers is not accepted.
    pub fn of_run(self, plan: &LayerPlan) -> Option<DistillSettings> {
        untrack(|| {
            Some(DistillSettings {
                plan: self.plan.get().unwrap_or_else(|| plan.clone()),
                n_steps: self.n_steps.value()?,
                learning_rate: self.learning_rate.value()?,
                loss: self.loss.get(),
                seed: self.seed.value()?,
            })
        })
    }
}

/// # Errors
/// What is accepted.
fn steps(typed: &str) -> Result<usize, String> {
    let steps = typed.parse().ok().filter(|steps| (1..=MOST_STEPS).contains(steps));
    steps.ok_or_else(|| format!("Enter a whole number from 1 to {MOST_STEPS}."))
}

/// # Errors
/// What is accepted.
fn learning_rate(typed: &str) -> Result<f64, String> {
    let rate = typed.parse().ok().filter(|&rate: &f64| rate > 0.0 && rate <= LARGEST_RATE);
    rate.ok_or_else(|| format!("Enter a number above 0, at most {LARGEST_RATE}."))
}

/// # Errors
/// What is accepted.
fn seed(typed: &str) -> Result<u64, String> {
    let seed = typed.parse::<u32>().map(u64::from);
    seed.map_err(|_| format!("Enter a whole number from 0 to {}.", u32::MAX))
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
    fn numbers_outside_their_range_are_refused_and_stay_as_they_were_typed() {
        Owner::new().with(|| {
            let settings = Settings::new();
            let plan = LayerPlan::keep(&[0], 2).unwrap();
            settings.n_steps.set("0");
            assert_eq!(settings.n_steps.text(), "0");
            let problem = settings.n_steps.problem().unwrap();
            assert!(problem.contains("from 1 to 500"), "{problem}");
            assert!(!settings.is_accepted() && settings.of_run(&plan).is_none());
            settings.n_steps.set("500");
            assert_eq!(settings.of_run(&plan).unwrap().n_steps, MOST_STEPS);
        });
    }

    #[test]
    fn copied_settings_are_those_of_the_run() {
        Owner::new().with(|| {
            let settings = Settings::new();
            settings.seed.set("7");
            settings.n_steps.set("33");
            let plan = LayerPlan::keep(&[0], 2).unwrap();
            let run = settings.of_run(&plan).unwrap();
            let other = Settings::new();
            other.copy(4, &run);
            let own = LayerPlan::keep(&[0, 1], 2).unwrap();
            assert_eq!((other.of_run(&own).unwrap(), other.based_on.get()), (run, Some(4)));
        });
    }

    #[test]
    fn presets_are_accepted() {
        Owner::new().with(|| {
            let settings = Settings::new();
            for preset in Preset::ALL {
                settings.apply(preset);
                assert_eq!(settings.n_steps.value(), Some(preset.n_steps()));
                assert!(preset.name().contains(&preset.n_steps().to_string()));
            }
        });
    }

    #[test]
    fn every_setting_says_what_it_accepts() {
        for refused in ["0", "501", "-1", "1.5", "", "x"] {
            assert!(steps(refused).unwrap_err().contains("from 1 to 500"), "{refused}");
        }
        for refused in ["5", "0", "-1", "NaN", "inf", ""] {
            assert!(learning_rate(refused).unwrap_err().contains("at most 0.1"), "{refused}");
        }
        for refused in ["-1", "4294967296", "1.5"] {
            assert!(seed(refused).unwrap_err().contains("to 4294967295"), "{refused}");
        }
        assert_eq!((steps("1"), learning_rate("0.1"), seed("0")), (Ok(1), Ok(0.1), Ok(0)));
    }
}
