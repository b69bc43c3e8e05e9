//! A small distillation in the page: the teacher is fetched, pruned to a student, and the student is
//! distilled step by step until the last step or until the user stops it.
//!
//! A step is the one of `core`. `run` is one distillation run, `checkpoint` what it is resumed from,
//! `worker` the program around it, and [`messages`] its protocol with the page: the page links nothing
//! else.

#[cfg(any(feature = "teach", test))]
pub mod checkpoint;
#[cfg(feature = "teach")]
mod glimpse;
#[cfg(feature = "teach")]
mod loading;
pub mod messages;
#[cfg(any(feature = "teach", test))]
pub mod run;
#[cfg(any(feature = "teach", test))]
mod texts;
#[cfg(feature = "teach")]
pub mod worker;
