//! The result of an analysis as a file: `analysis.json`.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Advice, StateSimilarity};
use crate::plan::LayerPlan;

/// Similarity of the hidden states of a teacher and its student, with advice on keeping and
/// patching.
///
/// Invariant: every table has the shape given by the numbers of layers, without missing values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    pub format: String,
    pub version: u32,
    /// Number of tokens that all means are taken over.
    pub n_tokens: usize,
    /// The plan of the student, if one was compared.
    pub plan: Option<LayerPlan>,
    /// Block influence of each teacher layer (ShortGPT, arXiv:2403.03853): 1 minus the mean cosine
    /// similarity of its input and output, from 0 to 2.
    pub influence: Vec<f64>,
    /// Row `n - 1`, column `l`: mean angular distance, arccos(cosine) / π, between the hidden
    /// states before and after the `n` consecutive layers from `l` on, from 0 to 1.
    pub angular_distance: Vec<Vec<f64>>,
    /// Cosine similarity of each pair of teacher states, before the final norm.
    pub teacher_similarity: Vec<Vec<f64>>,
    /// Cosine similarity of each student state (rows) with each teacher state (columns); the last
    /// ones after the final norm.
    pub similarity: Option<Vec<Vec<f64>>>,
    /// Cosine similarity of each student layer's output with the output of its teacher block.
    pub block_similarity: Option<Vec<f64>>,
    pub advice: Advice,
}

/// Why a file is not an analysis.
#[derive(Debug, Error)]
pub enum AnalysisError {
    #[error("not a file written by `boomerang analyze`: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "the file has format {format:?}, version {version}; expected {:?}, version {}",
        Analysis::FORMAT,
        Analysis::VERSION
    )]
    Format { format: String, version: u32 },
    #[error("{table} does not have the shape for {n_layers} teacher layers")]
    Shape { table: &'static str, n_layers: usize },
}

impl Analysis {
    pub const FORMAT: &str = "boomerang-analysis";
    pub const VERSION: u32 = 1;

    /// `plan` is that of the compared student; `n_layers` is the number of layers to keep in the
    /// advice.
    pub fn new(found: StateSimilarity, plan: Option<&LayerPlan>, n_layers: usize) -> Self {
        let StateSimilarity { n_tokens, across, within, angles } = found;
        let n_teacher_layers = within.len() - 1;
        let influence = (0..n_teacher_layers).map(|layer| 1.0 - within[layer][layer + 1]);
        let angular_distance = (1..=n_teacher_layers)
            .map(|n| (0..=n_teacher_layers - n).map(|first| angles[first][first + n]).collect());
        let influence: Vec<f64> = influence.collect();
        let angular_distance: Vec<Vec<f64>> = angular_distance.collect();
        let block_similarity: Option<Vec<f64>> = plan.zip(across.as_ref()).map(|(plan, across)| {
            let pairs = plan.alignment().into_iter().skip(1);
            pairs.map(|(of_student, of_teacher)| across[of_student][of_teacher]).collect()
        });
        let advice = Advice::new(
            &influence,
            &angular_distance,
            plan.zip(block_similarity.as_deref()),
            n_layers,
        );
        Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            n_tokens,
            plan: plan.cloned(),
            influence,
            angular_distance,
            teacher_similarity: within,
            similarity: across,
            block_similarity,
            advice,
        }
    }

    /// # Errors
    /// [`AnalysisError`] for anything but an analysis of this version with complete tables.
    pub fn from_json(text: &str) -> Result<Self, AnalysisError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let Head { format, version } = serde_json::from_str(text)?;
        if format != Self::FORMAT || version != Self::VERSION {
            return Err(AnalysisError::Format { format, version });
        }
        let analysis: Self = serde_json::from_str(text)?;
        analysis.check()?;
        Ok(analysis)
    }

    pub fn n_teacher_layers(&self) -> usize {
        self.influence.len()
    }

    fn check(&self) -> Result<(), AnalysisError> {
        let n_layers = self.n_teacher_layers();
        let is_table = |table: &[Vec<f64>], n_rows: usize| {
            table.len() == n_rows && table.iter().all(|row| row.len() == n_layers + 1)
        };
        let n_student_layers = self.plan.as_ref().map(LayerPlan::n_student_layers);
        let fits = |len: Option<usize>, more: usize| len == n_student_layers.map(|n| n + more);
        let lengths = self.angular_distance.iter().map(Vec::len);
        let checks = [
            ("influence", n_layers > 0),
            ("angular_distance", lengths.eq((1..=n_layers).rev())),
            ("teacher_similarity", is_table(&self.teacher_similarity, n_layers + 1)),
            ("plan", self.plan.as_ref().is_none_or(|plan| plan.n_teacher_layers() == n_layers)),
            (
                "similarity",
                fits(self.similarity.as_ref().map(Vec::len), 1)
                    && self.similarity.as_ref().is_none_or(|table| is_table(table, table.len())),
            ),
            ("block_similarity", fits(self.block_similarity.as_ref().map(Vec::len), 0)),
        ];
        match checks.into_iter().find(|(_, is_right)| !is_right) {
            Some((table, _)) => Err(AnalysisError::Shape { table, n_layers }),
            None => Ok(()),
        }
    }

    /// Whether all values are finite; they are not for a model with broken weights.
    pub fn is_finite(&self) -> bool {
        let tables = [Some(&self.teacher_similarity), self.similarity.as_ref()];
        let tables = tables.into_iter().flatten().chain([&self.angular_distance]);
        tables.flatten().flatten().all(|value| value.is_finite())
    }

    /// `similarity.csv`: one row per pair of student and teacher state; `None` without a student.
    pub fn similarity_csv(&self) -> Option<String> {
        let table = self.similarity.as_ref()?;
        let rows = table.iter().enumerate().flat_map(|(student, row)| {
            let row = row.iter().enumerate();
            row.map(move |(teacher, cosine)| format!("{student},{teacher},{cosine:.6}\n"))
        });
        Some(format!("student_state,teacher_state,cosine\n{}", rows.collect::<String>()))
    }

    /// `influence.csv`: one row per teacher layer.
    pub fn influence_csv(&self) -> String {
        let rows = self.influence.iter().enumerate();
        let rows = rows.map(|(layer, influence)| format!("{layer},{influence:.6}\n"));
        format!("teacher_layer,block_influence\n{}", rows.collect::<String>())
    }

    /// `angular_distance.csv`: one row per block of consecutive teacher layers.
    pub fn angular_distance_csv(&self) -> String {
        let rows = self.angular_distance.iter().enumerate().flat_map(|(index, row)| {
            row.iter().enumerate().map(move |(first, distance)| {
                format!("{},{first},{},{distance:.6}\n", index + 1, first + index)
            })
        });
        format!("n_layers,first_layer,last_layer,angular_distance\n{}", rows.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::super::advice::tests::four_layers;
    use super::*;

    fn analysis() -> Analysis {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        let mut found = four_layers();
        found.across = Some(vec![vec![0.5; 5]; 3]);
        Analysis::new(found, Some(&plan), 2)
    }

    #[test]
    fn an_analysis_survives_a_round_trip() {
        let json = serde_json::to_string(&analysis()).unwrap();
        assert_eq!(Analysis::from_json(&json).unwrap(), analysis());
    }

    #[test]
    fn a_table_of_the_wrong_shape_is_named() {
        let mut analysis = analysis();
        analysis.similarity.as_mut().unwrap()[1].pop();
        let json = serde_json::to_string(&analysis).unwrap();
        let error = Analysis::from_json(&json).unwrap_err();
        assert_eq!(error.to_string(), "similarity does not have the shape for 4 teacher layers");
    }

    #[test]
    fn another_kind_of_file_is_refused_by_name() {
        let error = Analysis::from_json(r#"{"format": "boomerang-order", "version": 1}"#);
        assert!(error.unwrap_err().to_string().contains("\"boomerang-order\""));
    }

    #[test]
    fn influence_is_one_minus_the_cosine() {
        assert!((analysis().influence[1] - 0.1).abs() < 1e-12);
    }

    #[test]
    fn the_longest_block_is_the_whole_teacher() {
        let csv = analysis().angular_distance_csv();
        assert!(csv.trim_end().lines().last().unwrap().starts_with("4,0,3,"), "{csv}");
    }
}
