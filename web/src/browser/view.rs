//! The views and their addresses: folders below the base of the page.

use leptos::prelude::document;
use web_sys::Url;

/// A view with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    Start,
    Explore,
    Compare,
    Sweep,
    Lens,
    Device,
    Models,
    Distill,
    Learn,
    About,
    /// An unknown address.
    Missing,
}

impl View {
    /// Those in the navigation, in this order.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Explore,
        Self::Compare,
        Self::Sweep,
        Self::Lens,
        Self::Device,
        Self::Models,
        Self::Distill,
        Self::Learn,
        Self::About,
    ];

    /// Relative to the base of the page.
    pub fn path(self) -> &'static str {
        match self {
            Self::Start | Self::Missing => "./",
            Self::Explore => "explore/",
            Self::Compare => "compare/",
            Self::Sweep => "sweep/",
            Self::Lens => "lens/",
            Self::Device => "device/",
            Self::Models => "models/",
            Self::Distill => "teach/",
            Self::Learn => "learn/",
            Self::About => "about/",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "The idea",
            Self::Explore => "Explore",
            Self::Compare => "Side by side",
            Self::Sweep => "All sizes",
            Self::Lens => "Inside",
            Self::Device => "This device",
            Self::Models => "Models",
            Self::Distill => "Distill",
            Self::Learn => "Lessons",
            Self::About => "About",
            Self::Missing => "Not found",
        }
    }

    /// Of the browser's tab.
    pub fn title(self) -> &'static str {
        match self {
            Self::Start => "Boomerang: a language model with a size dial",
            Self::Explore => "Explore · Boomerang",
            Self::Compare => "Sizes side by side · Boomerang",
            Self::Sweep => "All sizes at once · Boomerang",
            Self::Lens => "Inside one size · Boomerang",
            Self::Device => "What this device can do · Boomerang",
            Self::Models => "Stored models · Boomerang",
            Self::Distill => "Distill a student · Boomerang",
            Self::Learn => "Lessons · Boomerang",
            Self::About => "About · Boomerang",
            Self::Missing => "Not found · Boomerang",
        }
    }

    /// The view of a path, with the base before it.
    pub fn of(path: &str) -> Self {
        let below = path.strip_prefix(&base_path()).unwrap_or(path);
        Self::below(below)
    }

    fn below(path: &str) -> Self {
        let name = path.trim_matches('/');
        let is_it = |view: &Self| view.path().trim_matches(['/', '.']) == name;
        Self::ALL.into_iter().find(is_it).unwrap_or(Self::Missing)
    }
}

/// The path of the page's base without its last slash: empty at the root of a server.
pub fn base_path() -> String {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    let path = Url::new(&base).map(|url| url.pathname()).unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_is_found_at_its_address() {
        for view in View::ALL {
            let path = view.path().trim_start_matches('.');
            assert_eq!(View::below(path), view);
            assert_eq!(View::below(&format!("/{}", path.trim_matches('/'))), view);
        }
        assert_eq!(View::below("/nowhere/"), View::Missing);
    }
}
