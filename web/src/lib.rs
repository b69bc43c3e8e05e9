//! The explorer: a size dial for a family of models, in the browser.
//!
//! The page never computes with tensors. It asks the worker in `web/engine`, which runs the same
//! `core` as the command line.
//!
//! Each of these uses only itself and those after it:
//!
//! 1. [`app`]: the page around its views
//! 2. [`views`]: what is shown at each address
//! 3. [`components`]: the parts of the views
//! 4. [`state`]: what was requested, what is loaded, and the results
//! 5. [`browser`]: workers, files, storage, the address, the GPU
//! 6. [`text`]: formats of numbers, links, lessons
//! 7. [`family`], of `boomerang-client`: what the page knows of a family from its manifest

pub mod app;
pub mod browser;
pub mod components;
pub mod state;
pub mod text;
pub mod views;

pub use boomerang_client::family;
