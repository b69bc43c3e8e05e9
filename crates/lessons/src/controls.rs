//! The parts of the bench that lessons and embedded pages can hide or lock.

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    Dial,
    Strip,
    Curve,
    Prompt,
    Sampling,
    Output,
    Share,
}

impl Control {
    pub const ALL: [Self; 7] = [
        Self::Dial,
        Self::Strip,
        Self::Curve,
        Self::Prompt,
        Self::Sampling,
        Self::Output,
        Self::Share,
    ];

    /// As in `?hide=` and `?lock=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Strip => "strip",
            Self::Curve => "curve",
            Self::Prompt => "prompt",
            Self::Sampling => "chance",
            Self::Output => "output",
            Self::Share => "share",
        }
    }
}

/// The parts of a list like `dial,curve`; `None` when one of them is unknown.
pub fn parse(list: &str) -> Option<Vec<Control>> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| Control::ALL.into_iter().find(|control| control.name() == name)).collect()
}

pub fn print(controls: &[Control]) -> String {
    controls.iter().map(|control| control.name()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written() {
        assert_eq!(parse(&print(&Control::ALL)).unwrap(), Control::ALL);
        assert_eq!(parse(" dial , curve,").unwrap(), [Control::Dial, Control::Curve]);
        assert_eq!(parse("dial,wheel"), None);
    }
}
