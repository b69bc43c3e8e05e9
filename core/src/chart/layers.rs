//! The charts of an [`Analysis`]: heat maps of hidden states and bars per layer.

use super::{Axis, Bar, BarStyle, Bars, Format, HeatMap};
use crate::plan::LayerPlan;
use crate::similarity::{Analysis, similarity_order};

impl Analysis {
    /// Student states against teacher states; teacher against teacher states without a student.
    pub fn heat_map(&self) -> HeatMap {
        let columns = names(self.n_teacher_layers() + 1);
        let Some((table, plan)) = self.similarity.as_ref().zip(self.plan.as_ref()) else {
            return HeatMap {
                title: format!(
                    "Cosine similarity of teacher states: {:.2} for adjacent states, {:.2} between \
                     first and last",
                    1.0 - self.influence.iter().sum::<f64>() / self.influence.len() as f64,
                    self.teacher_similarity[0][self.n_teacher_layers()],
                ),
                description: format!(
                    "Cosine similarity of each pair of teacher states, mean over {} tokens. State \
                     0 is the embedding, state l + 1 the output of layer l, before the final norm.",
                    self.n_tokens
                ),
                x_label: "teacher state".to_owned(),
                y_label: "teacher state".to_owned(),
                value_label: "cosine".to_owned(),
                rows: columns.clone(),
                columns,
                cells: cells(&self.teacher_similarity),
                marked: Vec::new(),
            };
        };
        HeatMap {
            title: alignment_sentence(table, plan),
            description: format!(
                "Cosine similarity of each student state with each teacher state, mean over {} \
                 tokens. State 0 is the embedding, state l + 1 the output of layer l, the last one \
                 after the final norm. Outlined: the pairs that the alignment loss compares.",
                self.n_tokens
            ),
            x_label: "teacher state".to_owned(),
            y_label: "student state".to_owned(),
            value_label: "cosine".to_owned(),
            columns,
            rows: names(table.len()),
            cells: cells(table),
            marked: plan.alignment(),
        }
    }

    /// Block influence of each teacher layer.
    pub fn influence_bars(&self) -> Bars {
        let kept = self.plan.as_ref().map(LayerPlan::kept);
        let bars = self.influence.iter().enumerate().map(|(layer, &value)| Bar {
            label: layer.to_string(),
            value,
            style: match &kept {
                Some(kept) if !kept.contains(&layer) => BarStyle::Dashed,
                _ => BarStyle::Solid,
            },
        });
        let order = similarity_order(&self.influence);
        let title = match (order.first(), order.last()) {
            (Some(&least), Some(&most)) if least != most => format!(
                "Teacher layer {least} changes its input least ({:.3}), layer {most} most ({:.3})",
                self.influence[least], self.influence[most]
            ),
            _ => "Block influence of the teacher's layers".to_owned(),
        };
        let legend = [(BarStyle::Solid, "kept"), (BarStyle::Dashed, "dropped by the student")];
        let legend = legend.map(|(style, label)| (style, label.to_owned())).to_vec();
        Bars {
            title,
            description: format!(
                "Block influence of each teacher layer: 1 minus the cosine similarity of its input \
                 and its output, mean over {} tokens.",
                self.n_tokens
            ),
            x_label: "teacher layer".to_owned(),
            y: Axis { label: "block influence".to_owned(), format: Format::Plain },
            bars: bars.collect(),
            legend: if kept.is_some() { legend } else { Vec::new() },
        }
    }

    /// Angular distance across each block of consecutive teacher layers.
    pub fn angular_distance_map(&self) -> HeatMap {
        let n_layers = self.n_teacher_layers();
        let rows = self.angular_distance.iter().map(|row| {
            let mut cells: Vec<Option<f64>> = row.iter().copied().map(Some).collect();
            cells.resize(n_layers, None);
            cells
        });
        let best = |row: &Vec<f64>| similarity_order(row)[0];
        let marked = self.angular_distance.iter().map(best).enumerate().collect();
        let title = match self.angular_distance.get(1) {
            Some(row) if !row.is_empty() => format!(
                "Of all pairs of consecutive teacher layers, {} and {} change the hidden state \
                 least (angular distance {:.3})",
                best(row),
                best(row) + 1,
                row[best(row)]
            ),
            _ => "Angular distance across blocks of teacher layers".to_owned(),
        };
        HeatMap {
            title,
            description: format!(
                "Angular distance, arccos(cosine) / π, between the hidden states before and after \
                 n consecutive teacher layers, mean over {} tokens. Outlined: the minimum for each \
                 n.",
                self.n_tokens
            ),
            x_label: "first layer".to_owned(),
            y_label: "consecutive layers".to_owned(),
            value_label: "angular distance".to_owned(),
            columns: names(n_layers),
            rows: (1..=n_layers).map(|n| n.to_string()).collect(),
            cells: rows.collect(),
            marked,
        }
    }

    /// Similarity of each student layer to its block; `None` without a student.
    pub fn block_bars(&self) -> Option<Bars> {
        let (values, plan) = self.block_similarity.as_ref().zip(self.plan.as_ref())?;
        let bars = values.iter().enumerate().map(|(layer, &value)| Bar {
            label: layer.to_string(),
            value,
            // Patching a block of one layer does not change the size.
            style: if plan.block(layer).len() > 1 { BarStyle::Solid } else { BarStyle::Dashed },
        });
        let least = *similarity_order(values).first()?;
        Some(Bars {
            title: format!(
                "Student layer {least} is least similar to its block (cosine {:.3})",
                values[least]
            ),
            description: format!(
                "Cosine similarity of each student layer's output with the output of its teacher \
                 block, mean over {} tokens.",
                self.n_tokens
            ),
            x_label: "student layer".to_owned(),
            y: Axis { label: "cosine similarity with the block".to_owned(), format: Format::Plain },
            bars: bars.collect(),
            legend: vec![
                (BarStyle::Solid, "replaces a block of several layers".to_owned()),
                (BarStyle::Dashed, "replaces a single layer".to_owned()),
            ],
        })
    }
}

/// How well the student's states match the teacher's, as a sentence.
fn alignment_sentence(table: &[Vec<f64>], plan: &LayerPlan) -> String {
    let pairs = plan.alignment();
    let mean = pairs.iter().map(|&(student, teacher)| table[student][teacher]).sum::<f64>()
        / pairs.len() as f64;
    let nearest = |row: &Vec<f64>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let n_nearest =
        pairs.iter().filter(|&&(student, teacher)| nearest(&table[student]) == Some(teacher));
    format!(
        "Student states match the teacher states at the ends of their blocks (mean cosine \
         {mean:.3}); for {} of {} that is the most similar teacher state",
        n_nearest.count(),
        pairs.len()
    )
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|index| index.to_string()).collect()
}

fn cells(table: &[Vec<f64>]) -> Vec<Vec<Option<f64>>> {
    table.iter().map(|row| row.iter().copied().map(Some).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::StateSimilarity;

    fn analysis(plan: Option<&LayerPlan>) -> Analysis {
        let table = |n: usize| vec![vec![0.5; 5]; n];
        let across = plan.map(|plan| table(plan.n_student_layers() + 1));
        let (within, angles) = (table(5), table(5));
        Analysis::new(StateSimilarity { n_tokens: 7, across, within, angles }, plan, 2)
    }

    #[test]
    fn the_aligned_states_are_outlined() {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        let map = analysis(Some(&plan)).heat_map();
        assert_eq!((map.rows.len(), map.columns.len()), (3, 5));
        assert_eq!(map.marked, [(0, 0), (1, 2), (2, 4)]);
    }

    #[test]
    fn a_teacher_without_a_student_is_compared_with_itself() {
        let map = analysis(None).heat_map();
        assert_eq!(map.rows.len(), map.columns.len());
        assert!(analysis(None).block_bars().is_none());
    }

    #[test]
    fn a_block_that_would_reach_beyond_the_teacher_has_no_cell() {
        let map = analysis(None).angular_distance_map();
        assert_eq!(map.cells[3], [Some(0.5), None, None, None]);
    }

    #[test]
    fn dropped_layers_have_another_style() {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        let bars = analysis(Some(&plan)).influence_bars();
        let styles: Vec<BarStyle> = bars.bars.iter().map(|bar| bar.style).collect();
        assert_eq!(styles[..3], [BarStyle::Solid, BarStyle::Dashed, BarStyle::Solid]);
    }
}
