//! Numbers on their way from a device into a result: all of them finite, or an error.
//!
//! Weights are finite when they are read, but what a model computes with them can still overflow f32.
//! NaN compares with nothing, so that a member that computes it would win or lose by accident.

use burn::tensor::Tensor;
use thiserror::Error;

/// Why there is no result.
#[derive(Debug, Error)]
pub enum ReadBackError {
    /// The device stopped answering.
    #[error("reading results back from the device failed: {0}")]
    Lost(String),
    #[error(
        "{what}{} not finite: {n_not_finite} of {n_values} numbers are NaN or infinite, though the \
         weights are not: 32-bit floats overflow between its layers; leave it out, or distill it \
         again with a smaller learning rate",
        whose(.member)
    )]
    NotFinite {
        what: &'static str,
        /// Which member computed them, where several were measured at once.
        member: Option<Member>,
        n_not_finite: usize,
        n_values: usize,
    },
}

/// One of several members that were measured at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number in what was measured.
    pub number: usize,
    /// In words, e.g. `the member that patches student layers 1, 3`.
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

    /// The same, of the first of the members that share these numbers.
    pub(crate) fn of_members(mut self, members: &[usize]) -> Self {
        if let Self::NotFinite { member, .. } = &mut self {
            *member = members
                .first()
                .map(|&number| Member { number, description: format!("member {}", number + 1) });
        }
        self
    }

    /// The same, with a description of the member in the words of the caller, who knows what its
    /// number stands for.
    #[must_use]
    pub fn describing(mut self, describe: impl FnOnce(usize) -> String) -> Self {
        if let Self::NotFinite { member: Some(member), .. } = &mut self {
            member.description = describe(member.number);
        }
        self
    }
}

/// The numbers of a tensor, row-major; `what` names them in an error, e.g. `the logits`.
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

/// Looks whether numbers that were computed are finite; `what` names them in an error.
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
        let alone = error.to_string();
        assert!(alone.starts_with("the logits of the model are not finite: 2 of 3"), "{alone}");
        let error = error.of_members(&[4, 5]).describing(|number| format!("size {number}"));
        let named = error.to_string();
        assert!(named.starts_with("the logits of size 4 are not finite: 2 of 3"), "{named}");
        assert!(ensure_finite(&[f32::MAX], "the logits").is_ok());
    }
}
