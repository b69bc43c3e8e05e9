//! A small distillation in the page: the teacher is fetched, a student cut out of it and taught, step
//! by step, until it is whole or the reader has seen enough.
//!
//! What a step is stands in `core`. `course` is one student's training, `worker` the program around
//! it, and [`messages`] what it and the page say to each other: the page links nothing else.

#[cfg(any(feature = "teach", test))]
pub mod course;
#[cfg(feature = "teach")]
mod loading;
pub mod messages;
#[cfg(any(feature = "teach", test))]
mod texts;
#[cfg(feature = "teach")]
pub mod worker;
