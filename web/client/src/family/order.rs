//! The order in which the dial patches: as the bundle was measured, or as the user chooses.

use boomerang_core::plan::PatchOrder;

/// An order of patching, by its rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderChoice {
    /// The one in which the family was measured.
    #[default]
    Bundle,
    /// From the first block to the last.
    First,
    /// From the last block to the first.
    Last,
    /// From the block least similar to its student layer to the most similar one.
    LeastSimilar,
}

impl OrderChoice {
    const ALL: [Self; 4] = [Self::Bundle, Self::First, Self::Last, Self::LeastSimilar];

    /// As in `?o=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::First => "first",
            Self::Last => "last",
            Self::LeastSimilar => "unlike",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
    }

    /// The order itself, given the bundle's and the cosine of each block; `None` if it needs cosines that
    /// were not measured.
    pub fn order(self, bundle: &PatchOrder, similarity: &[f64]) -> Option<PatchOrder> {
        Some(match self {
            Self::Bundle => bundle.clone(),
            Self::First => PatchOrder::First,
            Self::Last => PatchOrder::Last,
            Self::LeastSimilar => {
                if similarity.is_empty() {
                    return None;
                }
                // Insertion sort: the library's sort is a thousandth of the page's program.
                let mut layers = Vec::with_capacity(similarity.len());
                for (layer, cosine) in similarity.iter().enumerate() {
                    let is_before = |&it: &usize| similarity[it].total_cmp(cosine).is_le();
                    layers.insert(layers.partition_point(is_before), layer);
                }
                PatchOrder::Found(layers)
            }
        })
    }

    /// Those that the user can choose from, each order once; a single one leaves no choice.
    pub fn choices(bundle: &PatchOrder, similarity: &[f64]) -> Vec<(Self, &'static str)> {
        let first = match bundle {
            PatchOrder::First => (Self::Bundle, "First block first"),
            PatchOrder::Last => (Self::Bundle, "Last block first"),
            PatchOrder::Found(_) => (Self::Bundle, "As searched"),
        };
        let others = [
            (Self::First, "First block first"),
            (Self::Last, "Last block first"),
            (Self::LeastSimilar, "Least similar first"),
        ];
        let is_other = |&(choice, _): &(Self, _)| {
            choice.order(bundle, similarity).is_some_and(|order| order != *bundle)
        };
        [first].into_iter().chain(others.into_iter().filter(is_other)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_similar_blocks_are_first() {
        let order = OrderChoice::LeastSimilar.order(&PatchOrder::Last, &[0.9, 0.2, 0.5]);
        assert_eq!(order, Some(PatchOrder::Found(vec![1, 2, 0])));
        assert_eq!(OrderChoice::LeastSimilar.order(&PatchOrder::Last, &[]), None);
    }

    #[test]
    fn each_order_is_offered_once() {
        let names = |bundle: &PatchOrder, similarity: &[f64]| -> Vec<OrderChoice> {
            OrderChoice::choices(bundle, similarity).into_iter().map(|(choice, _)| choice).collect()
        };
        assert_eq!(names(&PatchOrder::Last, &[]), [OrderChoice::Bundle, OrderChoice::First]);
        let found = PatchOrder::Found(vec![0, 1]);
        assert_eq!(
            names(&found, &[0.1, 0.2]),
            [OrderChoice::Bundle, OrderChoice::First, OrderChoice::Last]
        );
    }

    #[test]
    fn a_choice_is_parsed_from_its_name() {
        for choice in OrderChoice::ALL {
            assert_eq!(OrderChoice::from_name(choice.name()), Some(choice));
        }
        assert_eq!(OrderChoice::from_name("upwards"), None);
    }
}
