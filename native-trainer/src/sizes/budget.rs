//! How large a member may be, and the best member within that.

use anyhow::bail;
use boomerang_core::config::ModelConfig;

use super::choice::Size;

/// At most so much of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub limit: u64,
    pub unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Parameters,
    /// Of weights, and of the KV cache where it counts.
    Bytes,
}

/// A KV cache that counts towards the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSize {
    /// Context length in tokens.
    pub context: u64,
    /// Batch size.
    pub batch: u64,
}

/// What a budget chose.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub best: Size,
    pub runner_up: Option<Size>,
    /// The smallest of those beyond the budget.
    pub next_larger: Option<Size>,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Bytes => "bytes",
        }
    }

    fn of(self, size: &Size) -> u64 {
        match self {
            Self::Parameters => size.n_params,
            Self::Bytes => size.n_bytes.saturating_add(size.cache_bytes),
        }
    }
}

impl Budget {
    /// Of the two at most one is given.
    pub fn of(params: Option<u64>, bytes: Option<u64>) -> Option<Self> {
        let params = params.map(|limit| Self { limit, unit: Unit::Parameters });
        params.or(bytes.map(|limit| Self { limit, unit: Unit::Bytes }))
    }

    /// The largest size within the budget, or the closest to the teacher where that was measured.
    ///
    /// # Errors
    /// When even the smallest size exceeds the budget.
    pub fn choose(self, mut sizes: Vec<Size>) -> anyhow::Result<Chosen> {
        let amount = |size: &Size| self.unit.of(size);
        // From the worst to the best: the larger is better, unless KL was measured.
        sizes.sort_by(|a, b| {
            let by_amount = amount(a).cmp(&amount(b));
            match (a.kl, b.kl) {
                (Some(a), Some(b)) => b.mean.total_cmp(&a.mean).then(by_amount),
                _ => by_amount,
            }
        });
        let (mut within, beyond): (Vec<Size>, Vec<Size>) =
            sizes.into_iter().partition(|size| amount(size) <= self.limit);
        // Of equals the best, which comes last.
        let next_larger = beyond.into_iter().rev().min_by_key(amount);
        let Some(best) = within.pop() else {
            let smallest =
                next_larger.map_or_else(String::new, |smallest| self.describe(&smallest));
            bail!(
                "no size has at most {} {}; the smallest has {smallest}",
                self.limit,
                self.unit.name()
            );
        };
        Ok(Chosen { best, runner_up: within.pop(), next_larger })
    }

    /// `9 layers, 1200 bytes, KL 0.1 ± 0.01`
    pub fn describe(self, size: &Size) -> String {
        let cache = match (self.unit, size.cache_bytes) {
            (Unit::Parameters, _) | (_, 0) => String::new(),
            (Unit::Bytes, cache) => format!(" ({cache} of them KV cache)"),
        };
        let kl = size.kl.map(|kl| format!(", KL {kl}")).unwrap_or_default();
        format!("{} layers, {} {}{cache}{kl}", size.n_layers, self.unit.of(size), self.unit.name())
    }

    /// The neighbors of what was chosen, in a sentence.
    pub fn sentence(self, chosen: &Chosen) -> String {
        let describe = |size: &Option<Size>| {
            size.as_ref().map_or_else(|| "none".to_owned(), |size| self.describe(size))
        };
        format!(
            "within {} {}; runner-up: {}; next larger: {}",
            self.limit,
            self.unit.name(),
            describe(&chosen.runner_up),
            describe(&chosen.next_larger)
        )
    }
}

impl CacheSize {
    /// `4096:8`
    ///
    /// # Errors
    /// Shows what it looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u64>().ok().filter(|&number| number > 0);
        text.split_once(':')
            .and_then(|(context, batch)| {
                Some(Self { context: number(context)?, batch: number(batch)? })
            })
            .ok_or_else(|| {
                format!("invalid KV cache {text:?}; expected CONTEXT:BATCH, e.g. 4096:8")
            })
    }

    /// The bytes of such a cache for a model, in 16 bits.
    pub fn n_bytes(self, config: &ModelConfig) -> u64 {
        config.cache_bytes(self.context, self.batch, 2)
    }
}

#[cfg(test)]
mod tests {
    use boomerang_core::estimate::Estimate;
    use boomerang_core::plan::{HeadPolicy, LayerPlan, Patch};

    use super::*;

    fn size(n_layers: usize) -> Size {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        let n_params = n_layers as u64 * 100;
        Size {
            patch: Patch::none(&plan),
            head: HeadPolicy::Untied,
            n_layers,
            n_params,
            n_bytes: 2 * n_params,
            cache_bytes: 0,
            kl: None,
        }
    }

    const PARAMS: Budget = Budget { limit: 599, unit: Unit::Parameters };

    #[test]
    fn the_largest_size_within_a_budget_is_chosen_and_its_neighbors_are_shown() {
        let chosen = PARAMS.choose(vec![size(4), size(5), size(6)]).unwrap();
        assert_eq!(chosen.best.n_layers, 5);
        assert_eq!(
            PARAMS.sentence(&chosen),
            "within 599 parameters; runner-up: 4 layers, 400 parameters; \
             next larger: 6 layers, 600 parameters"
        );
    }

    #[test]
    fn where_kl_was_measured_the_closest_to_the_teacher_is_chosen() {
        let with_kl =
            |n_layers, mean| Size { kl: Some(Estimate { mean, stderr: 0.0 }), ..size(n_layers) };
        let sizes = vec![with_kl(4, 0.3), with_kl(5, 0.5), with_kl(6, 0.1)];
        let chosen = PARAMS.choose(sizes).unwrap();
        assert_eq!(chosen.best.n_layers, 4);
        assert!(PARAMS.sentence(&chosen).contains("runner-up: 5 layers"));
    }

    #[test]
    fn a_budget_below_the_student_is_refused_with_the_smallest_size() {
        let budget = Budget { limit: 700, unit: Unit::Bytes };
        let error = budget.choose(vec![size(4), size(5)]).unwrap_err();
        let expected = "no size has at most 700 bytes; the smallest has 4 layers, 800 bytes";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_kv_cache_counts_towards_a_budget_of_bytes() {
        let budget = Budget { limit: 1000, unit: Unit::Bytes };
        let with_cache = |n_layers| Size { cache_bytes: 150, ..size(n_layers) };
        let chosen = budget.choose(vec![with_cache(4), with_cache(5)]).unwrap();
        assert_eq!(chosen.best.n_layers, 4);
        let described = budget.describe(&chosen.best);
        assert_eq!(described, "4 layers, 950 bytes (150 of them KV cache)");
    }

    #[test]
    fn a_cache_is_a_context_and_a_batch() {
        assert_eq!(CacheSize::parse("4096:8"), Ok(CacheSize { context: 4096, batch: 8 }));
        assert!(CacheSize::parse("4096").is_err() && CacheSize::parse("0:1").is_err());
    }
}
