//! The npm package: a size dial on any page.
//!
//! [`load`](load::load) opens a bundle and gives a [`Family`](family::Family), which generates with any
//! of its sizes; [`element`] draws one. Models run in the CPU worker of `web/engine`, by the
//! protocol that the page uses. Declarations for TypeScript come from `wasm-bindgen` and from [`types`].
//!
//! JavaScript, in `js/`, is what WebAssembly cannot be: a class that extends a class of the browser, and
//! addresses relative to a module.
//!
//! Each of these uses only itself and those after it:
//!
//! 1. [`element`]: the custom element
//! 2. [`load`]: from an address to a family
//! 3. [`family`], [`generation`]: what programs call
//! 4. [`connection`]: the worker, and the requests that it has not answered
//! 5. [`abort`], [`options`]: signals, and the arguments of functions
//! 6. [`values`], [`types`]: values that programs read, and their types
//! 7. [`failure`]: errors with their kinds

pub mod abort;
pub mod connection;
pub mod element;
pub mod failure;
pub mod family;
pub mod generation;
pub mod load;
pub mod options;
pub mod types;
pub mod values;
