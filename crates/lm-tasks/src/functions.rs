//! Parts of a task that no template tells: what lm-evaluation-harness has Python functions for.

use super::python::Value;
use crate::error::Result;

/// Each part that is here takes the place of the template for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Functions {
    /// A document with columns of its own.
    pub process: Option<fn(&mut Value) -> Result<()>>,
    pub text: Option<fn(&Value) -> Result<Value>>,
    pub target: Option<fn(&Value) -> Result<Value>>,
    pub choices: Option<fn(&Value) -> Result<Value>>,
    /// The text whose words and bytes a perplexity is counted by.
    pub measured: Option<fn(&Value) -> Result<String>>,
}
