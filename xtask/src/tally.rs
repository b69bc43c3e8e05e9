//! Adds up the results that several test programs print.

use std::fmt;

/// How many tests passed and how many did not, over all test programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// A stage that stopped before any test could run counts as one failure.
    pub(crate) const NO_TEST_RAN: Self = Self { passed: 0, failed: 1 };

    /// Adds the numbers of a line such as `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
    pub(crate) fn add_line(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        let number_before = |name: &str| {
            words.windows(2).find(|pair| pair[1] == name).and_then(|pair| pair[0].parse().ok())
        };
        self.passed += number_before("passed").unwrap_or(0);
        self.failed += number_before("failed").unwrap_or(0);
    }
}

/// The closing line of a test run.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_test_programs_add_up() {
        let output = "
running 3 tests
test plan::tests::blocks_cover_the_teacher ... ok
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.20s
";
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.add_line(line));
        assert_eq!(tally, Tally { passed: 15, failed: 2 });
    }

    #[test]
    fn only_the_programs_own_result_line_counts() {
        let mut tally = Tally::default();
        tally.add_line("it printed: test result: ok. 5 passed; 0 failed");
        tally.add_line("test result::reads_lines ... ok");
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn the_closing_line_has_both_numbers_also_when_they_are_zero() {
        assert_eq!(Tally::default().to_string(), "0 passed, 0 failed");
    }
}
