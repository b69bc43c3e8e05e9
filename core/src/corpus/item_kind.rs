//! The kinds of items with an example of each and their sampling weights.
//!
//! The items are generated in `knowledge`, `lists`, `sums` and `grammar`.

/// The kind of an item, which determines the skill needed to predict it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// Recall facts: `fero likes gray , has friend egum , works as singer .`
    Fact,
    /// Two-hop recall: `friend of adiv lives in vutton , works as weaver .`
    Friend,
    /// Add, at once or in steps: `2 + 3 + 1 makes 6 .` or `2 + 3 is 5 + 1 is 6 .`
    Sum,
    /// Count two kinds: `count pig goat pig : pig 2 , goat 1 .`
    Count,
    /// Put in order: `sort 6 0 7 9 2 : 0 2 6 7 9 .`
    Sort,
    /// Copy: `say ka lo mi backwards : mi lo ka .` or `say ka lo mi again : ka lo mi .`
    Say,
    /// Close what is open: `{ ( [ ] ) } ( ) .`
    Brackets,
    /// Agreement with a distant subject: `the duck with the owls is calm so it rests .`
    Agree,
    /// Recall which words rhyme: `the bell rhymes with shell .`
    Rhyme,
}

impl ItemKind {
    pub const ALL: [Self; 9] = [
        Self::Fact,
        Self::Friend,
        Self::Sum,
        Self::Count,
        Self::Sort,
        Self::Say,
        Self::Brackets,
        Self::Agree,
        Self::Rhyme,
    ];

    /// Sampling weight, relative to the other kinds.
    ///
    /// Half of the corpus is facts: a model memorizes one after about a hundred occurrences, and
    /// there are thousands of them.
    pub const fn weight(self) -> u32 {
        match self {
            Self::Fact => 60,
            Self::Friend => 20,
            Self::Sum | Self::Say => 10,
            Self::Count => 6,
            Self::Sort | Self::Brackets | Self::Agree | Self::Rhyme => 3,
        }
    }

    /// `-log2` of the probability that [`Corpus::item`] samples this kind.
    pub(super) fn bits(self) -> f64 {
        (f64::from(Self::total_weight()) / f64::from(self.weight())).log2()
    }

    pub(super) fn total_weight() -> u32 {
        Self::ALL.into_iter().map(Self::weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::Corpus;
    use super::*;

    #[test]
    fn kinds_are_sampled_by_weight() {
        let corpus = Corpus::new(1);
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let sampled: Vec<ItemKind> = (0..20_000).map(|_| corpus.item(&mut rng).kind).collect();
        for kind in ItemKind::ALL {
            let n_sampled = sampled.iter().filter(|&&sampled| sampled == kind).count();
            let expected = 20_000.0 * (-kind.bits()).exp2();
            let standard_error = expected.sqrt();
            assert!((n_sampled as f64 - expected).abs() < 4.0 * standard_error, "{kind:?}");
        }
    }
}
