//! The explorer: a size dial for a family of models, in the browser.
//!
//! The page never computes with tensors. It asks the worker in `web/engine`, through the handle in
//! [`engine`], which runs the same `core` as the command line.
//!
//! [`app`] is the page around its [`views`], [`session`] and [`mod@bench`] are its state,
//! [`components`] its parts;
//! [`family`] and [`mod@format`] are the plain functions behind the numbers.

pub mod address;
pub mod app;
pub mod asked;
pub mod backend;
pub mod bench;
pub mod budget;
pub mod bundle_source;
pub mod components;
pub mod controls;
pub mod device;
pub mod dial;
pub mod difference;
pub mod draft;
pub mod dropped;
pub mod engine;
pub mod family;
pub mod files;
pub mod format;
pub mod js;
pub mod lens;
pub mod lesson;
pub mod link;
pub mod mirror;
pub mod offline;
pub mod order;
pub mod own;
pub mod paragraph;
pub mod picture;
pub mod place;
pub mod record;
pub mod recorded;
pub mod route;
pub mod run;
pub mod session;
pub mod stored;
pub mod sweep;
pub mod teaching;
pub mod trial;
pub mod views;
pub mod wire;
