//! A Chromium and its driver, for the tests that click through the page.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{apt, found};
use crate::run::{find_program, set_variable};

const CHROMIUM_NAMES: &[&str] =
    &["chromium", "google-chrome", "google-chrome-stable", "chromium-browser", "chrome"];
const CHROMIUM_ELSEWHERE: &[&str] = &[
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
];
const CHROMEDRIVER_ELSEWHERE: &[&str] =
    &["/usr/lib/chromium/chromedriver", "/usr/lib/chromium-browser/chromedriver"];

/// Where the browser and its driver are.
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) chromedriver: PathBuf,
}

impl Browser {
    fn find() -> Option<Self> {
        Some(Self {
            chromium: find("CHROMIUM", CHROMIUM_NAMES, CHROMIUM_ELSEWHERE)?,
            chromedriver: find("CHROMEDRIVER", &["chromedriver"], CHROMEDRIVER_ELSEWHERE)?,
        })
    }
}

pub(super) fn ensure() -> Result<Browser> {
    if let Some(browser) = Browser::find() {
        found("a browser", browser.chromium.display());
        found("its driver", browser.chromedriver.display());
        return Ok(browser);
    }
    apt::install(&["chromium", "chromium-driver"], "the page's tests need Chromium and its driver")
        .context("no browser for the tests (set CHROMIUM and CHROMEDRIVER)")?;
    Browser::find().context("apt-get succeeded, but there is still no chromium or chromedriver")
}

/// From the variable, the PATH, or a standard installation folder.
fn find(variable: &str, names: &[&str], elsewhere: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    set_variable(variable)
        .or_else(|| names.iter().find_map(|name| find_program(name, &path)))
        .or_else(|| elsewhere.iter().map(Path::new).find(|file| file.is_file()).map(PathBuf::from))
}
