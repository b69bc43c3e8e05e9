//! The ggml types of tensors.

/// How the values of a tensor are stored. A row is a whole number of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(non_camel_case_types, reason = "the names in ggml")]
pub enum GgufType {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
    IQ2_XXS,
    IQ2_XS,
    IQ3_XXS,
    IQ1_S,
    IQ4_NL,
    IQ3_S,
    IQ2_S,
    IQ4_XS,
    I8,
    I16,
    I32,
    I64,
    F64,
    IQ1_M,
    BF16,
    TQ1_0,
    TQ2_0,
    MXFP4,
}

use GgufType::{
    BF16, F16, F32, F64, I8, I16, I32, I64, IQ1_M, IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS,
    IQ4_NL, IQ4_XS, MXFP4, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0, Q8_1, Q8_K,
    TQ1_0, TQ2_0,
};

/// `(ggml type number, type, values per block, bytes per block)`.
const ROWS: [(u32, GgufType, usize, usize); 32] = [
    (0, F32, 1, 4),
    (1, F16, 1, 2),
    (2, Q4_0, 32, 18),
    (3, Q4_1, 32, 20),
    (6, Q5_0, 32, 22),
    (7, Q5_1, 32, 24),
    (8, Q8_0, 32, 34),
    (9, Q8_1, 32, 40),
    (10, Q2_K, 256, 84),
    (11, Q3_K, 256, 110),
    (12, Q4_K, 256, 144),
    (13, Q5_K, 256, 176),
    (14, Q6_K, 256, 210),
    (15, Q8_K, 256, 292),
    (16, IQ2_XXS, 256, 66),
    (17, IQ2_XS, 256, 74),
    (18, IQ3_XXS, 256, 98),
    (19, IQ1_S, 256, 50),
    (20, IQ4_NL, 32, 18),
    (21, IQ3_S, 256, 110),
    (22, IQ2_S, 256, 82),
    (23, IQ4_XS, 256, 136),
    (24, I8, 1, 1),
    (25, I16, 1, 2),
    (26, I32, 1, 4),
    (27, I64, 1, 8),
    (28, F64, 1, 8),
    (29, IQ1_M, 256, 56),
    (30, BF16, 1, 2),
    (34, TQ1_0, 256, 54),
    (35, TQ2_0, 256, 66),
    (39, MXFP4, 32, 17),
];

impl GgufType {
    /// `None` for an unknown type number.
    pub fn from_number(number: u32) -> Option<Self> {
        ROWS.iter().find(|row| row.0 == number).map(|row| row.1)
    }

    fn row(self) -> &'static (u32, Self, usize, usize) {
        // In the order of the variants, as checked by a test.
        &ROWS[self as usize]
    }

    pub fn number(self) -> u32 {
        self.row().0
    }

    /// Values per block.
    pub fn block(self) -> usize {
        self.row().2
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> usize {
        self.row().3
    }

    /// Whether weights may be stored in this type; integers without scales are for indices, and no
    /// program computes with doubles.
    pub fn is_for_weights(self) -> bool {
        !matches!(self, I8 | I16 | I32 | I64 | F64)
    }

    /// The name in file names and errors.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// Size in bytes of a tensor with these dimensions, row length first; `None` if a row is not a
    /// whole number of blocks, or the size overflows.
    pub fn n_bytes(self, dims: &[usize]) -> Option<usize> {
        let row = dims.first().copied().unwrap_or(1);
        if !row.is_multiple_of(self.block()) {
            return None;
        }
        let n_rows = dims.iter().skip(1).try_fold(1_usize, |n, &dim| n.checked_mul(dim))?;
        (row / self.block()).checked_mul(self.block_bytes())?.checked_mul(n_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_number() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.1 as usize, index);
            assert_eq!(GgufType::from_number(row.0), Some(row.1));
        }
        assert_eq!(GgufType::from_number(4), None, "Q4_2 was removed from ggml");
    }

    #[test]
    fn a_row_is_a_whole_number_of_blocks() {
        assert_eq!(Q4_K.n_bytes(&[512, 3]), Some(2 * 144 * 3));
        assert_eq!(Q8_0.n_bytes(&[48, 2]), None);
        assert_eq!(F32.n_bytes(&[]), Some(4));
        assert_eq!(F32.n_bytes(&[usize::MAX, usize::MAX]), None);
    }
}
