//! Versions as tools print them and as Cargo.lock writes them.

use std::fmt;

/// A released version; pre-releases are not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    pub(crate) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads `0.21.14`; `None` for anything else, such as `0.22.0-beta.1`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version = Self::new(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }

    /// Reads the answer of `trunk --version`: the name of the tool, the version, perhaps more.
    pub(crate) fn parse_answer(answer: &str) -> Option<Self> {
        Self::parse(answer.split_whitespace().nth(1)?)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The version of a package in the text of a Cargo.lock; the first one if there are several.
pub(crate) fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let quoted = |line: &'a str, key: &str| line.strip_prefix(key)?.trim().strip_suffix('"');
    let mut lines = lock.lines();
    lines.find(|line| quoted(line, "name = \"") == Some(package))?;
    quoted(lines.next()?, "version = \"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_letter() {
        let oldest = Version::new(0, 21, 14);
        assert!(Version::parse("0.21.9") < Some(oldest));
        assert!(Version::parse("0.21.14") == Some(oldest));
        assert!(Version::parse("0.100.0") > Some(oldest));
    }

    #[test]
    fn a_pre_release_is_not_a_version() {
        assert_eq!(Version::parse("0.22.0-beta.1"), None);
        assert_eq!(Version::parse("0.22"), None);
        assert_eq!(Version::parse("0.22.0.1"), None);
    }

    #[test]
    fn the_version_is_the_second_word_of_an_answer() {
        let answer = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)";
        assert_eq!(Version::parse_answer(answer), Some(Version::new(1, 96, 0)));
        assert_eq!(Version::parse_answer("trunk"), None);
    }

    #[test]
    fn the_lock_gives_the_version_of_the_package_with_exactly_this_name() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }
}
