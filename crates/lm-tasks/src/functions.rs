//! Parts of a task that are not templates: those for which lm-evaluation-harness has Python
//! functions.

use super::python::Value;
use crate::error::Result;

/// Each function that is present replaces the template.
#[derive(Clone, Copy, Debug, Default)]
pub struct Functions {
    /// A document with additional columns.
    pub process: Option<fn(&mut Value) -> Result<()>>,
    pub text: Option<fn(&Value) -> Result<Value>>,
    pub target: Option<fn(&Value) -> Result<Value>>,
    pub choices: Option<fn(&Value) -> Result<Value>>,
    /// The text whose words and bytes a perplexity is counted by.
    pub measured: Option<fn(&Value) -> Result<String>>,
}
