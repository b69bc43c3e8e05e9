//! Values and their texts: formats of numbers, links, lessons. Pure functions, without the browser.

pub mod controls;
pub mod difference;
pub mod format;
pub mod lesson;
pub mod link;
pub mod published;
pub mod recorded;
pub mod tokens;
pub mod unknown;
pub mod visible;
