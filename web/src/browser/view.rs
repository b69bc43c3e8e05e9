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

/// An entry of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The tools of [`View::TOOLS`].
    Explore,
    Train,
    Learn,
    /// The views of [`View::MORE`].
    More,
}

impl View {
    /// All but unknown addresses.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Explore,
        Self::Compare,
        Self::Sweep,
        Self::Lens,
        Self::Distill,
        Self::Learn,
        Self::Device,
        Self::Models,
        Self::About,
    ];

    /// The tools for one family, side by side below the navigation.
    pub const TOOLS: [Self; 4] = [Self::Explore, Self::Compare, Self::Sweep, Self::Lens];

    /// What few visits need.
    pub const MORE: [Self; 3] = [Self::Device, Self::Models, Self::About];

    /// The entry that leads to this view; `None` for the start page, which the brand links.
    pub fn section(self) -> Option<Section> {
        match self {
            Self::Start | Self::Missing => None,
            Self::Explore | Self::Compare | Self::Sweep | Self::Lens => Some(Section::Explore),
            Self::Distill => Some(Section::Train),
            Self::Learn => Some(Section::Learn),
            Self::Device | Self::Models | Self::About => Some(Section::More),
        }
    }

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

    /// In the navigation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Explore => "Size dial",
            Self::Compare => "Compare",
            Self::Sweep => "Sweep",
            Self::Lens => "Inside",
            Self::Device => "This device",
            Self::Models => "Models",
            Self::Distill => "Train",
            Self::Learn => "Learn",
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
            Self::Distill => "Train a student · Boomerang",
            Self::Learn => "Learn · Boomerang",
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

    #[test]
    fn every_view_is_in_one_entry_of_the_navigation() {
        let of = |section| {
            let views = View::ALL.into_iter().filter(|view| view.section() == section);
            views.collect::<Vec<_>>()
        };
        assert_eq!(of(Some(Section::Explore)), View::TOOLS);
        assert_eq!(of(Some(Section::More)), View::MORE);
        assert_eq!(of(Some(Section::Train)), [View::Distill]);
        assert_eq!(of(Some(Section::Learn)), [View::Learn]);
        assert_eq!(of(None), [View::Start]);
    }
}
