//! Values and their texts: formats of numbers, links. Pure functions, without the browser.

pub mod difference;
pub mod format;
pub mod link;
pub mod published;
pub mod recorded;
pub mod tokens;
pub mod unknown;
