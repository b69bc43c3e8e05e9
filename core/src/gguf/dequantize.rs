//! Values of quantized tensors in f32, to the bit as the `gguf` package computes them: each product
//! and sum is rounded separately, in the same order.

use half::{bf16, f16};

use super::{GgufError, GgufTensor, GgufType};

/// The values of some whole rows of a tensor.
///
/// # Errors
/// [`GgufError::Undecoded`] for a type that is not read.
pub fn dequantize(tensor: &GgufTensor<'_>, rows: &[u8]) -> Result<Vec<f32>, GgufError> {
    let mut values = Vec::new();
    let mut each = |decode: fn(&[u8], &mut Vec<f32>)| {
        let block = tensor.kind.block_bytes();
        values.reserve(rows.len() / block * tensor.kind.block());
        rows.chunks_exact(block).for_each(|block| decode(block, &mut values));
    };
    match tensor.kind {
        GgufType::F32 => each(|x, y| y.push(f32::from_le_bytes([x[0], x[1], x[2], x[3]]))),
        GgufType::F16 => each(|x, y| y.push(half(x))),
        GgufType::BF16 => each(|x, y| y.push(bf16::from_le_bytes([x[0], x[1]]).to_f32())),
        GgufType::Q8_0 => each(q8_0),
        GgufType::Q4_0 => each(q4_0),
        GgufType::Q4_1 => each(q4_1),
        GgufType::Q5_0 => each(q5_0),
        GgufType::Q5_1 => each(q5_1),
        GgufType::Q2_K => each(q2_k),
        GgufType::Q3_K => each(q3_k),
        GgufType::Q4_K => each(q4_k),
        GgufType::Q5_K => each(q5_k),
        GgufType::Q6_K => each(q6_k),
        found => {
            return Err(GgufError::Undecoded {
                name: tensor.name.to_string(),
                found: found.name(),
            });
        }
    }
    Ok(values)
}

/// The f16 at the start of some bytes.
fn half(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

fn q8_0(block: &[u8], out: &mut Vec<f32>) {
    let d = half(block);
    out.extend(block[2..].iter().map(|&q| d * f32::from(q as i8)));
}

/// The lower and then the upper halves of some bytes.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|&q| q & 15).chain(bytes.iter().map(|&q| q >> 4))
}

fn q4_0(block: &[u8], out: &mut Vec<f32>) {
    let d = half(block);
    out.extend(nibbles(&block[2..]).map(|q| d * (f32::from(q) - 8.0)));
}

fn q4_1(block: &[u8], out: &mut Vec<f32>) {
    let (d, m) = (half(block), half(&block[2..]));
    out.extend(nibbles(&block[4..]).map(|q| d * f32::from(q) + m));
}

/// Nibbles, each with a fifth bit from `high`.
fn five_bits<'a>(high: &'a [u8], low: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    nibbles(low).enumerate().map(|(index, q)| q | (high[index / 8] >> (index % 8) & 1) << 4)
}

fn q5_0(block: &[u8], out: &mut Vec<f32>) {
    let d = half(block);
    out.extend(five_bits(&block[2..6], &block[6..]).map(|q| d * (f32::from(q) - 16.0)));
}

fn q5_1(block: &[u8], out: &mut Vec<f32>) {
    let (d, m) = (half(block), half(&block[2..]));
    out.extend(five_bits(&block[4..8], &block[8..]).map(|q| d * f32::from(q) + m));
}

/// 16 values with each of 16 scales and minima.
fn q2_k(block: &[u8], out: &mut Vec<f32>) {
    let (scales, quants) = (&block[..16], &block[16..80]);
    let (d, min) = (half(&block[80..]), half(&block[82..]));
    for (index, &scale) in scales.iter().enumerate() {
        let (scale, min) = (d * f32::from(scale & 15), min * f32::from(scale >> 4));
        let bytes = &quants[index / 8 * 32 + index % 2 * 16..][..16];
        let shift = index % 8 / 2 * 2;
        out.extend(bytes.iter().map(|&q| scale * f32::from(q >> shift & 3) - min));
    }
}

/// Three bits: two in `quants`, and one, which is off for a value 4 smaller, in `high`.
fn q3_k(block: &[u8], out: &mut Vec<f32>) {
    let (high, quants, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half(&block[108..]);
    for index in 0..16 {
        // Four lower bits, and two upper ones four scales apart.
        let low = packed[index % 8] >> (index / 8 * 4) & 15;
        let upper = packed[8 + index % 4] >> (index / 4 * 2) & 3;
        let scale = d * (f32::from(low | upper << 4) - 32.0);
        let at = index % 2 * 16;
        let bytes = &quants[index / 8 * 32 + at..][..16];
        let (shift, bit) = (index % 8 / 2 * 2, index / 2);
        out.extend(bytes.iter().zip(&high[at..]).map(|(&q, &high)| {
            let missing = if high >> bit & 1 == 1 { 0.0 } else { 4.0 };
            scale * (f32::from(q >> shift & 3) - missing)
        }));
    }
}

/// Scale and minimum of 32 values, six bits each.
fn scale_and_min(index: usize, packed: &[u8]) -> [f32; 2] {
    let [scale, min] = match index {
        0..4 => [packed[index] & 63, packed[index + 4] & 63],
        _ => [
            packed[index + 4] & 15 | packed[index - 4] >> 6 << 4,
            packed[index + 4] >> 4 | packed[index] >> 6 << 4,
        ],
    };
    [scale, min].map(f32::from)
}

fn q4_k(block: &[u8], out: &mut Vec<f32>) {
    let (d, min) = (half(block), half(&block[2..]));
    let (packed, quants) = (&block[4..16], &block[16..]);
    for index in 0..8 {
        let [scale, least] = scale_and_min(index, packed);
        let (scale, least) = (d * scale, min * least);
        let bytes = &quants[index / 2 * 32..][..32];
        let shift = index % 2 * 4;
        out.extend(bytes.iter().map(|&q| scale * f32::from(q >> shift & 15) - least));
    }
}

fn q5_k(block: &[u8], out: &mut Vec<f32>) {
    let (d, min) = (half(block), half(&block[2..]));
    let (packed, high, quants) = (&block[4..16], &block[16..48], &block[48..]);
    for index in 0..8 {
        let [scale, least] = scale_and_min(index, packed);
        let (scale, least) = (d * scale, min * least);
        let bytes = &quants[index / 2 * 32..][..32];
        let shift = index % 2 * 4;
        out.extend(bytes.iter().zip(high).map(|(&q, &high)| {
            let q = q >> shift & 15 | (high >> index & 1) << 4;
            scale * f32::from(q) - least
        }));
    }
}

/// Six bits: four in `low`, two in `high`, 16 values with each of 16 scales.
fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half(&block[208..]);
    for index in 0..256 {
        let (part, within) = (index / 128, index % 128);
        let (quarter, at) = (within / 32, within % 32);
        let nibble = low[part * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
        let upper = high[part * 32 + at] >> (quarter * 2) & 3;
        let scale = d * f32::from(scales[index / 16] as i8);
        out.push(scale * (f32::from(nibble | upper << 4) - 32.0));
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    /// `tests/fixtures/make_gguf.py` wrote it.
    const DECODED: &[u8] = include_bytes!("../../../tests/fixtures/gguf/decoded.safetensors");

    #[test]
    fn blocks_have_the_values_of_the_gguf_package_to_the_bit() {
        use GgufType::{Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
        let file = SafeTensors::deserialize(DECODED).unwrap();
        for kind in [Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K] {
            let data = file.tensor(&kind.name()).unwrap().data();
            let dims = vec![kind.block(), 6];
            let tensor = GgufTensor { name: "a".into(), dims, kind, data };
            let found = dequantize(&tensor, data).unwrap();
            let expected = file.tensor(&format!("{}.values", kind.name())).unwrap().data();
            assert_eq!(found.len() * 4, expected.len());
            for (index, (found, expected)) in
                found.iter().zip(expected.as_chunks::<4>().0).enumerate()
            {
                let expected = f32::from_le_bytes(*expected);
                assert!(
                    found.to_bits() == expected.to_bits(),
                    "{kind:?} {index}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_type_that_is_not_read_is_named() {
        let kind = GgufType::IQ1_S;
        let tensor = GgufTensor { name: "a".into(), dims: vec![256], kind, data: &[] };
        let error = dequantize(&tensor, &[]).unwrap_err().to_string();
        assert!(error.contains("stored as IQ1_S"), "{error}");
    }
}
