//! Values and their texts: formats of numbers, links. Pure functions, without the browser.

pub mod difference;
pub mod link;
pub mod published;
pub mod recorded;
pub mod tokens;
pub mod unknown;
pub mod visible;

pub use boomerang_client::format;
