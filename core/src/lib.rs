//! Boomerang distillation (arXiv:2510.05064): from one teacher and one distilled student to every
//! model size in between, without further training.
//!
//! ```text
//! checkpoint ─▶ model ─▶ prune ─▶ distill ─▶ patch ─▶ evaluate ─▶ curve ─▶ bundle
//!     bytes     Teacher   Student   Student   any size   Score    SizeCurve   file
//!                           └────── plan: pure layer arithmetic, read by all of them ──┘
//! ```
//!
//! Data moves left to right, code depends right to left. The crate does not touch files, clocks,
//! threads or the terminal; the same code runs in the browser. Reading a value back from a device
//! is `async`, because a browser cannot block.

pub mod architecture;
pub mod baselines;
pub mod bundle;
pub mod chart;
pub mod checkpoint;
pub mod compare;
pub mod config;
pub mod corpus;
pub mod correct;
pub mod curve;
pub mod distill;
pub mod documents;
pub mod estimate;
pub mod evaluate;
pub mod generate;
pub mod gguf;
pub mod model;
pub mod patch;
pub mod plan;
pub mod prune;
pub mod search;
pub mod similarity;
pub mod tokenizer;
