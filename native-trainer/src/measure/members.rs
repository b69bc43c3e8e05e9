//! Which members of which families are measured together.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{bail, ensure};
use boomerang_core::config::ModelConfig;
use boomerang_core::curve::Series;
use boomerang_core::evaluate::Stack;
use boomerang_core::plan::{HeadPolicy, LayerPlan, LayerSource, Owner, PatchOrder, Recipe};

/// A student whose sizes are measured.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub series: Series,
    /// Of its distillation.
    pub seed: u64,
    pub config: &'a ModelConfig,
    pub plan: &'a LayerPlan,
    /// Whether embedding and head are one matrix, the same as the teacher's.
    pub shares_tied_matrix: bool,
}

/// One size of one candidate.
#[derive(Clone, Debug)]
pub struct Member {
    pub series: Series,
    pub seed: u64,
    /// Name of the order in which layers are patched.
    pub order: String,
    /// Index of the candidate.
    pub candidate: usize,
    /// Student layers that are replaced by their teacher blocks.
    pub patched: Vec<usize>,
    pub recipe: Recipe,
    /// Of the member as a standalone model.
    pub config: ModelConfig,
    /// The teacher is model 0, the candidates follow.
    pub stack: Stack,
}

/// Which sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    All,
    /// Those with these numbers of layers.
    Layers(Vec<usize>),
    /// Every n-th size, and always the smallest and the largest.
    Every(usize),
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!("expected all, numbers of layers such as 7,9,12, or every:2; found {text:?}")
        };
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(every) = text.strip_prefix("every:") {
            let every = every.parse().ok().filter(|&every| every > 0);
            return every.map(Self::Every).ok_or_else(expected);
        }
        let layers: Result<Vec<usize>, _> =
            text.split(',').map(|size| size.trim().parse()).collect();
        layers.map(Self::Layers).map_err(|_| expected())
    }
}

/// The members of every candidate along each of the orders, and, with `naive`, those of naive
/// pruning at the first candidate's sizes.
///
/// # Errors
/// When a size does not exist, or an order does not match the plan.
pub fn members(
    teacher: &ModelConfig,
    candidates: &[Candidate<'_>],
    orders: &[PatchOrder],
    sizes: &Sizes,
    naive: bool,
) -> anyhow::Result<Vec<Member>> {
    const TEACHER: usize = 0;
    let mut members: Vec<Member> = Vec::new();
    for (order_number, order) in orders.iter().enumerate() {
        for (index, candidate) in candidates.iter().enumerate() {
            let plan = candidate.plan;
            let path = order.path(plan)?;
            let all: Vec<(Vec<usize>, Recipe)> =
                path.iter().map(|patch| (patch.layers(), plan.recipe(patch))).collect();
            let chosen = sizes.choose(&all)?;
            let mut add = |series, seed, patched: &[usize], recipe: Recipe| {
                members.push(Member {
                    series,
                    seed,
                    order: order.name(),
                    candidate: index,
                    patched: patched.to_vec(),
                    config: config_of(&recipe, teacher, candidate),
                    stack: Stack::new(&recipe, TEACHER, TEACHER + 1 + index),
                    recipe,
                });
            };
            for number in chosen {
                let (patched, recipe) = &all[number];
                add(candidate.series, candidate.seed, patched, recipe.clone());
                // The same for every student of the same plan, so once is enough.
                if naive && index == 0 && order_number == 0 {
                    add(Series::Naive, 0, patched, plan.naive(recipe));
                }
            }
        }
    }
    Ok(members)
}

impl Sizes {
    /// Indices of the chosen sizes, in their order.
    fn choose(&self, all: &[(Vec<usize>, Recipe)]) -> anyhow::Result<Vec<usize>> {
        let last = all.len() - 1;
        match self {
            Self::All => Ok((0..=last).collect()),
            Self::Every(every) => {
                Ok((0..=last).filter(|&index| index % every == 0 || index == last).collect())
            }
            Self::Layers(wanted) => {
                ensure!(!wanted.is_empty(), "no size is given");
                let sizes: Vec<usize> = all.iter().map(|(_, recipe)| recipe.layers.len()).collect();
                if let Some(missing) = wanted.iter().find(|size| !sizes.contains(size)) {
                    bail!("no size of this order has {missing} layers; there are {sizes:?}");
                }
                Ok((0..=last).filter(|&index| wanted.contains(&sizes[index])).collect())
            }
        }
    }
}

/// The config of a member, with two matrices for embedding and head where these are different ones, of
/// teacher and student.
fn config_of(recipe: &Recipe, teacher: &ModelConfig, candidate: &Candidate<'_>) -> ModelConfig {
    let student = candidate.config;
    let of = |owner| match owner {
        Owner::Teacher => teacher,
        Owner::Student => student,
    };
    // The teacher's matrix is also the student's.
    let policy =
        if candidate.shares_tied_matrix { HeadPolicy::Teacher } else { HeadPolicy::Untied };
    let ends = recipe.ends(policy, |owner| of(owner).tied);
    let ends = ends.expect("two matrices are always possible, and one in a tied family");
    let kinds = recipe.layers.iter().map(|source| {
        let (owner, layer) = source.place();
        of(owner).layers[layer]
    });
    ModelConfig::of_member(teacher, student, ends.embedding)
        .with_layers(kinds.collect(), ends.head.is_none())
}

impl Member {
    pub fn n_layers(&self) -> usize {
        self.recipe.layers.len()
    }

    /// Parameters held in memory; a tied matrix counted once.
    pub fn n_params(&self) -> u64 {
        self.config.n_params()
    }

    /// Parameters with embedding and head both counted, the paper's inference-time size.
    pub fn n_params_untied(&self) -> u64 {
        self.config.n_params_of(self.n_layers(), false)
    }

    /// The origin of each layer: `t3` of the teacher, `s1` of the student.
    pub fn layers(&self) -> Vec<String> {
        let word = |source: &LayerSource| match source {
            LayerSource::Teacher(layer) => format!("t{layer}"),
            LayerSource::Student(layer) => format!("s{layer}"),
        };
        self.recipe.layers.iter().map(word).collect()
    }
}

/// A unique name for each member, usable for a folder: `boomerang-08`.
pub fn names(members: &[Member]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let main = members.first().map(|member| member.order.clone());
    let name = |member: &Member| {
        let series = member.series.name();
        // An order may be a list of layers, which is not usable as a name.
        let order = match &member.order {
            order if Some(order) == main.as_ref() => String::new(),
            order if order.starts_with(|char: char| char.is_ascii_digit()) => "-found".to_owned(),
            order => format!("-{order}"),
        };
        let short = format!("{series}{order}-{:02}", member.n_layers());
        let full = format!("{short}-k{}", member.patched.len());
        let seeded = format!("{full}-seed{}", member.seed);
        let numbered = (2..).map(|number| format!("{seeded}-{number}"));
        let mut names = [short, full, seeded.clone()].into_iter().chain(numbered);
        let name = names.find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(name.clone());
        name
    };
    members.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!("every:2".parse(), Ok(Sizes::Every(2)));
        assert_eq!("7, 9".parse(), Ok(Sizes::Layers(vec![7, 9])));
        assert!("every:0".parse::<Sizes>().is_err());
        assert!("some".parse::<Sizes>().unwrap_err().contains("\"some\""));
    }

    #[test]
    fn every_second_size_has_both_ends() {
        let plan = LayerPlan::keep(&[0, 2, 4, 6, 8, 9], 10).unwrap();
        let path = PatchOrder::First.path(&plan).unwrap();
        let all: Vec<_> = path.iter().map(|patch| (Vec::new(), plan.recipe(patch))).collect();
        let chosen = Sizes::Every(3).choose(&all).unwrap();
        assert_eq!((chosen[0], *chosen.last().unwrap()), (0, all.len() - 1));
        let refusal = Sizes::Layers(vec![3]).choose(&all).unwrap_err().to_string();
        assert!(
            refusal.starts_with("no size of this order has 3 layers; there are [6,"),
            "{refusal}"
        );
    }
}
