//! Another size for every question: the smallest that is sure of its answer (adaptive size,
//! arXiv:2608.22854).

use std::collections::BTreeMap;

/// How a size answers a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub task: String,
    pub is_right: bool,
    /// Probability of its choice among all choices, `0..=1`.
    pub confidence: f64,
}

/// Which size answers a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The smallest size whose own confidence reaches the threshold, else the teacher.
    Cascade,
    /// The student where the teacher's confidence reaches the threshold, else the teacher.
    ByTeacher,
}

/// Accuracy and cost of a rule at one threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// Mean over tasks.
    pub accuracy: f64,
    /// Layers of the sizes that answer, mean over questions.
    pub mean_layers: f64,
}

/// Answers every question with the size that a rule chooses for it.
///
/// `sizes` has the layers of each size and its outcomes, the student first and the teacher last, of the
/// same questions in the same order. `None` without a size or a question.
pub fn adaptive(sizes: &[(usize, Vec<Outcome>)], rule: Rule, threshold: f64) -> Option<Adaptive> {
    let (_, of_teacher) = sizes.last()?;
    let mut tasks: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut sum_layers = 0;
    for question in 0..of_teacher.len() {
        let is_sure = |size: usize| sizes[size].1[question].confidence >= threshold;
        let last = sizes.len() - 1;
        let chosen = match rule {
            Rule::Cascade => (0..last).find(|&size| is_sure(size)).unwrap_or(last),
            Rule::ByTeacher => {
                if is_sure(last) {
                    0
                } else {
                    last
                }
            }
        };
        let (n_layers, outcomes) = &sizes[chosen];
        let (n_right, n_asked) = tasks.entry(&outcomes[question].task).or_default();
        *n_right += usize::from(outcomes[question].is_right);
        *n_asked += 1;
        sum_layers += n_layers;
    }
    let shares = tasks.values().map(|&(n_right, n_asked)| n_right as f64 / n_asked as f64);
    (!of_teacher.is_empty()).then(|| Adaptive {
        accuracy: shares.sum::<f64>() / tasks.len() as f64,
        mean_layers: sum_layers as f64 / of_teacher.len() as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(task: &str, is_right: bool, confidence: f64) -> Outcome {
        Outcome { task: task.to_owned(), is_right, confidence }
    }

    /// The student is sure of the first question, the middle size of the second, nobody of the third.
    fn sizes() -> Vec<(usize, Vec<Outcome>)> {
        vec![
            (4, vec![outcome("a", true, 0.9), outcome("a", false, 0.4), outcome("b", false, 0.5)]),
            (6, vec![outcome("a", true, 0.9), outcome("a", true, 0.8), outcome("b", false, 0.5)]),
            (8, vec![outcome("a", true, 0.9), outcome("a", true, 0.7), outcome("b", true, 0.6)]),
        ]
    }

    #[test]
    fn a_cascade_asks_the_smallest_size_that_is_sure() {
        let at = |threshold| adaptive(&sizes(), Rule::Cascade, threshold).unwrap();
        assert_eq!(at(0.75), Adaptive { accuracy: 1.0, mean_layers: 6.0 });
        // At 0 the student answers everything, above 1 the teacher.
        assert_eq!(at(0.0), Adaptive { accuracy: 0.25, mean_layers: 4.0 });
        assert_eq!(at(1.1), Adaptive { accuracy: 1.0, mean_layers: 8.0 });
    }

    #[test]
    fn the_teachers_confidence_decides_between_student_and_teacher() {
        let found = adaptive(&sizes(), Rule::ByTeacher, 0.8).unwrap();
        assert_eq!(found, Adaptive { accuracy: 1.0, mean_layers: 20.0 / 3.0 });
        let found = adaptive(&sizes(), Rule::ByTeacher, 0.65).unwrap();
        assert_eq!(found, Adaptive { accuracy: 0.75, mean_layers: 16.0 / 3.0 });
    }

    #[test]
    fn without_questions_there_is_no_accuracy() {
        assert_eq!(adaptive(&[], Rule::Cascade, 0.5), None);
        assert_eq!(adaptive(&[(4, Vec::new())], Rule::Cascade, 0.5), None);
    }
}
