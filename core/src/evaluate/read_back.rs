//! Reads values back from a device and checks that all of them are finite.
//!
//! Weights are checked when they are loaded, but activations can still overflow f32. NaN compares
//! unordered, so that a member that computes it would win or lose arbitrarily.

use burn::tensor::Tensor;
use thiserror::Error;

/// Why there is no result.
#[derive(Debug, Error)]
pub enum ReadBackError {
    /// The device stopped answering.
    #[error("reading results back from the device failed: {0}")]
    Lost(String),
    #[error(
        "{what}{} not finite: {n_not_finite} of {n_values} values are NaN or infinite, although \
         the weights are finite: its activations overflow f32; exclude this model, or distill it \
         again with a lower learning rate",
        whose(.member)
    )]
    NotFinite {
        what: &'static str,
        /// The member that computed them, if several were evaluated at once.
        member: Option<Member>,
        n_not_finite: usize,
        n_values: usize,
    },
}

/// One of several members that were evaluated at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its index.
    pub number: usize,
    /// A description, e.g. `the member that patches student layers 1, 3`.
    pub description: String,
}

fn whose(member: &Option<Member>) -> String {
    match member {
        Some(member) => format!(" of {} are", member.description),
        None => " of the model are".to_owned(),
    }
}

impl ReadBackError {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self::Lost(error.to_string())
    }

    /// The same error, for the first of the members that share these values.
    pub(crate) fn of_members(mut self, members: &[usize]) -> Self {
        if let Self::NotFinite { member, .. } = &mut self {
            *member = members
                .first()
                .map(|&number| Member { number, description: format!("member {}", number + 1) });
        }
        self
    }

    /// The same error, with the member described by the caller, who knows what its index refers to.
    #[must_use]
    pub fn describing(mut self, describe: impl FnOnce(usize) -> String) -> Self {
        if let Self::NotFinite { member: Some(member), .. } = &mut self {
            member.description = describe(member.number);
        }
        self
    }
}

/// The values of a tensor, row-major; `what` names them in an error, e.g. `the logits`.
///
/// # Errors
/// [`ReadBackError::NotFinite`] unless all of them are finite.
pub(crate) async fn read_finite<const D: usize>(
    tensor: Tensor<D>,
    what: &'static str,
) -> Result<Vec<f32>, ReadBackError> {
    let data = tensor.into_data_async().await.map_err(ReadBackError::new)?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    ensure_finite(&values, what)?;
    Ok(values)
}

/// Checks that computed values are finite; `what` names them in an error.
///
/// # Errors
/// [`ReadBackError::NotFinite`].
pub fn ensure_finite(values: &[f32], what: &'static str) -> Result<(), ReadBackError> {
    let n_not_finite = values.iter().filter(|value| !value.is_finite()).count();
    if n_not_finite == 0 {
        return Ok(());
    }
    Err(ReadBackError::NotFinite { what, member: None, n_not_finite, n_values: values.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_which_member_computed_what() {
        let error = ensure_finite(&[0.0, f32::NAN, f32::INFINITY], "the logits").unwrap_err();
        let unnamed = error.to_string();
        assert!(unnamed.starts_with("the logits of the model are not finite: 2 of 3"), "{unnamed}");
        let error = error.of_members(&[4, 5]).describing(|number| format!("size {number}"));
        let named = error.to_string();
        assert!(named.starts_with("the logits of size 4 are not finite: 2 of 3"), "{named}");
        assert!(ensure_finite(&[f32::MAX], "the logits").is_ok());
    }
}
