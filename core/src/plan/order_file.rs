//! A patch order as a file, the result of a search.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::PatchOrder;

/// `order.json`. Other keys, such as the measurements of the search, are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFile {
    pub format: String,
    pub version: u32,
    /// Name of the search method.
    pub method: String,
    /// Student layers in patch order.
    pub order: Vec<usize>,
}

/// Why a file is not a patch order.
#[derive(Debug, Error)]
pub enum OrderFileError {
    #[error("expected the keys format, version, method and order: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "the file has format {format:?}, version {version}; expected {:?}, version {}",
        OrderFile::FORMAT,
        OrderFile::VERSION
    )]
    Format { format: String, version: u32 },
}

impl OrderFile {
    pub const FORMAT: &str = "boomerang-order";
    pub const VERSION: u32 = 1;

    pub fn new(method: &str, order: Vec<usize>) -> Self {
        Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            method: method.to_owned(),
            order,
        }
    }

    /// # Errors
    /// [`OrderFileError`] for anything but an order of this version; [`PatchOrder::layers`] checks
    /// that it matches a student.
    pub fn from_json(text: &str) -> Result<Self, OrderFileError> {
        let file: Self = serde_json::from_str(text)?;
        if file.format != Self::FORMAT || file.version != Self::VERSION {
            return Err(OrderFileError::Format { format: file.format, version: file.version });
        }
        Ok(file)
    }

    pub fn into_order(self) -> PatchOrder {
        PatchOrder::Found(self.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_a_round_trip() {
        let json = serde_json::to_string(&OrderFile::new("klpatch", vec![2, 0, 1])).unwrap();
        let order = OrderFile::from_json(&json).unwrap().into_order();
        assert_eq!(order, PatchOrder::Found(vec![2, 0, 1]));
    }

    #[test]
    fn another_kind_of_file_is_refused_by_name() {
        let json = r#"{"format": "recipe", "version": 1, "method": "", "order": []}"#;
        let error = OrderFile::from_json(json).unwrap_err();
        let expected =
            "the file has format \"recipe\", version 1; expected \"boomerang-order\", version 1";
        assert_eq!(error.to_string(), expected);
    }
}
