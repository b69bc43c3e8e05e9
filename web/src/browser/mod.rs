//! What the page asks of the browser: workers, files, storage, the address, the GPU.
//!
//! No signals of the page's own state, and nothing that is drawn.

pub mod backend;
pub mod budget;
pub mod bundle_source;
pub mod clipboard;
pub mod dropped;
pub mod embedding;
pub mod engine;
pub mod files;
pub mod js;
pub mod link_speed;
pub mod location;
pub mod machine;
pub mod offline;
pub mod picture;
pub mod route;
pub mod view;
pub mod worker;
