//! The rows that training reads: in order or shuffled, all of them or without some that are held out, of
//! one source or of several. The command line and the page read theirs here.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::order::{Shuffle, turn};
use super::{Batch, Labels, Layout, Row};

/// Where rows are: in memory, or in mapped files.
pub trait RowSource: Send + Sync {
    fn n_rows(&self) -> usize;

    /// # Errors
    /// [`RowError`] where the source is damaged.
    ///
    /// # Panics
    /// When `index` is out of range.
    fn row(&self, index: usize) -> Result<Row, RowError>;

    /// Tokens of the longest row, padding included.
    fn longest(&self) -> usize;
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct RowError(pub String);

impl RowSource for Vec<Row> {
    fn n_rows(&self) -> usize {
        self.len()
    }

    fn row(&self, index: usize) -> Result<Row, RowError> {
        Ok(self[index].clone())
    }

    fn longest(&self) -> usize {
        self.iter().map(|row| row.tokens.len()).max().unwrap_or(0)
    }
}

/// Rows in the order in which training reads them. After the last row of a source comes its first again,
/// or, where rows are shuffled, the first of another order.
#[derive(Clone)]
pub struct Rows {
    /// In order of their first row; the first begins at 0.
    phases: Vec<Phase>,
    layout: Layout,
    labels: Labels,
}

/// What is read from some row on.
#[derive(Clone)]
struct Phase {
    start: usize,
    parts: Vec<Part>,
}

/// One source of a mixture.
#[derive(Clone)]
struct Part {
    source: Arc<dyn RowSource>,
    weight: u64,
    subset: Subset,
    shuffle: Option<Shuffle>,
}

/// Which rows of a source.
#[derive(Clone, Copy)]
enum Subset {
    All,
    /// Every n-th, as the last of each n.
    HeldOut(usize),
    /// All others.
    Trained(usize),
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {} sources, {:?}", self.len(), self.parts().count(), self.layout)
    }
}

impl Rows {
    pub fn new(rows: Vec<Row>, layout: Layout) -> Self {
        Self::of_source(Arc::new(rows), layout)
    }

    pub fn of_source(source: Arc<dyn RowSource>, layout: Layout) -> Self {
        let part = Part { source, weight: 1, subset: Subset::All, shuffle: None };
        let phases = vec![Phase { start: 0, parts: vec![part] }];
        Self { phases, layout, labels: Labels::All }
    }

    /// Rows of several sources in turn, each as often as its weight says, in one layout; `None` when no
    /// source has both rows and a weight.
    pub fn mixed(sources: Vec<(Self, u64)>) -> Option<Self> {
        let (layout, labels) = sources.first().map(|(rows, _)| (rows.layout, rows.labels))?;
        let weighted = sources.into_iter().filter(|(rows, weight)| *weight > 0 && !rows.is_empty());
        let parts: Vec<Part> = weighted
            .flat_map(|(rows, weight)| {
                let parts = rows.phases.into_iter().flat_map(|phase| phase.parts);
                parts.map(move |part| Part { weight, ..part })
            })
            .collect();
        let phases = vec![Phase { start: 0, parts }];
        (!phases[0].parts.is_empty()).then_some(Self { phases, layout, labels })
    }

    /// These rows up to `start`, and then the others from their first one on.
    #[must_use]
    pub fn then(mut self, start: usize, others: Self) -> Self {
        let later = others.phases.into_iter();
        self.phases.extend(later.map(|phase| Phase { start: start + phase.start, ..phase }));
        self
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.phases.iter().flat_map(|phase| &phase.parts)
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.phases.iter_mut().flat_map(|phase| &mut phase.parts)
    }

    /// The same rows with another choice of labels.
    #[must_use]
    pub fn labelled(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }

    /// The rows that have a target, which are those that a comparison of predictions can use; all of them
    /// are read.
    ///
    /// # Errors
    /// As [`Rows::row`].
    pub fn with_targets(self) -> Result<Self, RowError> {
        let mut rows = Vec::new();
        for index in 0..self.len() {
            let row = self.row(index)?;
            if row.has_any_target() {
                rows.push(row);
            }
        }
        Ok(Self::new(rows, self.layout).labelled(self.labels))
    }

    /// The same rows in an order that the seed decides, another one each time that they are read again.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        for part in self.parts_mut() {
            part.shuffle = Some(Shuffle::new(seed));
        }
        self
    }

    /// Splits off every `every`-th row of each source: those to train on, and those that are held out.
    ///
    /// # Panics
    /// When `every` is 0.
    pub fn hold_out(self, every: usize) -> (Self, Self) {
        assert!(every > 0, "of no rows none is held out");
        let only = |subset: Subset| {
            let mut rows = self.clone();
            rows.parts_mut().for_each(|part| part.subset = subset);
            rows
        };
        (only(Subset::Trained(every)), only(Subset::HeldOut(every)))
    }

    /// Every row once before any is read again: sources have turns by their lengths.
    #[must_use]
    pub fn by_length(mut self) -> Self {
        self.parts_mut().for_each(|part| part.weight = part.len() as u64);
        self
    }

    /// Rows of all sources.
    pub fn len(&self) -> usize {
        self.parts().map(Part::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of the longest row, padding included.
    pub fn longest(&self) -> usize {
        self.parts().map(|part| part.source.longest()).max().unwrap_or(0)
    }

    /// The `index`-th row of training, without end.
    ///
    /// # Errors
    /// [`RowError`] where its source is damaged.
    ///
    /// # Panics
    /// When there are no rows.
    pub fn row(&self, index: usize) -> Result<Row, RowError> {
        let after = self.phases.partition_point(|phase| phase.start <= index);
        let Phase { start, parts } = &self.phases[after - 1];
        // Of a small source all rows may be held out, or none.
        let weight = |part: &Part| if part.len() > 0 { part.weight } else { 0 };
        let weights: Vec<u64> = parts.iter().map(weight).collect();
        let (part, number) = turn((index - start) as u64, &weights);
        parts[part].row(number)
    }

    /// `n_rows` rows from index `start` on.
    ///
    /// # Errors
    /// As [`Rows::row`].
    ///
    /// # Panics
    /// When there are no rows.
    pub fn batch(&self, start: usize, n_rows: usize) -> Result<Batch, RowError> {
        let rows =
            (start..start + n_rows).map(|index| self.row(index)).collect::<Result<_, _>>()?;
        Ok(Batch::labelled(rows, self.layout, self.labels))
    }
}

impl Part {
    fn len(&self) -> usize {
        let n_rows = self.source.n_rows();
        match self.subset {
            Subset::All => n_rows,
            Subset::HeldOut(every) => n_rows / every,
            Subset::Trained(every) => n_rows - n_rows / every,
        }
    }

    fn row(&self, number: u64) -> Result<Row, RowError> {
        let len = self.len() as u64;
        let (epoch, index) = (number / len, number % len);
        let index = self.shuffle.map_or(index, |shuffle| shuffle.at(index, len, epoch)) as usize;
        self.source.row(match self.subset {
            Subset::All => index,
            Subset::HeldOut(every) => (index + 1) * every - 1,
            // Of `every` rows all but the last; one of one leaves none to train on.
            Subset::Trained(every) => index + index / (every - 1).max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n_rows: u32) -> Rows {
        numbered(0, n_rows)
    }

    fn numbered(first: u32, n_rows: u32) -> Rows {
        let row = |token| Row::new(vec![token, token], vec![1, 1]);
        Rows::new((first..first + n_rows).map(row).collect(), Layout::Packed)
    }

    fn firsts(rows: &Rows, n: usize) -> Vec<u32> {
        rows.batch(0, n).unwrap().rows().iter().map(|row| row.tokens[0]).collect()
    }

    #[test]
    fn after_the_last_row_comes_the_first() {
        assert_eq!(firsts(&rows(3), 5), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_row_is_trained_on_or_held_out() {
        let (trained, held_out) = rows(7).hold_out(3);
        assert_eq!((trained.len(), held_out.len()), (5, 2));
        assert_eq!((firsts(&trained, 5), firsts(&held_out, 2)), (vec![0, 1, 3, 4, 6], vec![2, 5]));
        let (trained, held_out) = rows(3).hold_out(1);
        assert_eq!((trained.len(), firsts(&held_out, 3)), (0, vec![0, 1, 2]));
    }

    #[test]
    fn the_seed_decides_the_order_and_every_epoch_has_another() {
        let shuffled = |seed| firsts(&rows(50).shuffled(seed), 100);
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let order = shuffled(1);
        let [mut first, mut second] = [order[..50].to_vec(), order[50..].to_vec()];
        assert_ne!(first, second);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!([&first, &second], [&(0..50).collect::<Vec<_>>(); 2]);
    }

    #[test]
    fn sources_have_turns_by_weight_and_start_over_by_themselves() {
        let mixed = Rows::mixed(vec![(rows(2), 3), (numbered(10, 9), 1), (rows(0), 5)]).unwrap();
        assert_eq!(firsts(&mixed, 8), [10, 0, 1, 0, 11, 1, 0, 1]);
        assert!(Rows::mixed(vec![(rows(2), 0)]).is_none());
    }

    #[test]
    fn a_second_phase_begins_with_its_first_row() {
        let both = rows(3).then(5, numbered(10, 2));
        assert_eq!(firsts(&both, 8), [0, 1, 2, 0, 1, 10, 11, 10]);
        assert_eq!(both.len(), 5);
    }

    #[test]
    fn the_position_alone_decides_a_row() {
        let mixed = || {
            let sources = vec![(rows(20).shuffled(3), 2), (numbered(100, 7).shuffled(3), 5)];
            Rows::mixed(sources).unwrap()
        };
        let all = firsts(&mixed(), 60);
        let later = mixed().batch(41, 19).unwrap();
        let later: Vec<u32> = later.rows().iter().map(|row| row.tokens[0]).collect();
        assert_eq!(later, all[41..]);
    }
}
