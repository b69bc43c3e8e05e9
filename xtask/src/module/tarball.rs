//! A tarball as npm writes one: every file below package/, with the same time for all.

use std::io::Write as _;

use anyhow::{Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A file of the package.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

const BLOCK: usize = 512;
/// npm's: 1985-10-26 08:15 UTC, so that the same files give the same tarball.
const TIME: u64 = 499_162_500;
/// Of a ustar header: offset and length of each field.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 8);
const OWNER: (usize, usize) = (108, 8);
const GROUP: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
const MODIFIED: (usize, usize) = (136, 12);
const CHECKSUM: (usize, usize) = (148, 8);
const KIND: usize = 156;
const MAGIC: usize = 257;

/// The gzipped tarball.
pub(crate) fn pack(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for Entry { name, bytes } in entries {
        gzip.write_all(&header(&format!("package/{name}"), bytes.len() as u64)?)?;
        gzip.write_all(bytes)?;
        let rest = bytes.len().next_multiple_of(BLOCK) - bytes.len();
        gzip.write_all(&[0; BLOCK][..rest])?;
    }
    gzip.write_all(&[0; 2 * BLOCK])?;
    Ok(gzip.finish()?)
}

fn header(name: &str, n_bytes: u64) -> Result<[u8; BLOCK]> {
    if name.len() >= NAME.1 {
        bail!(
            "{name} is too long for a tarball: {} bytes, expected fewer than {}",
            name.len(),
            NAME.1
        );
    }
    let mut header = [0; BLOCK];
    header[..name.len()].copy_from_slice(name.as_bytes());
    for (field, value) in [(MODE, 0o644), (OWNER, 0), (GROUP, 0), (SIZE, n_bytes), (MODIFIED, TIME)]
    {
        octal(&mut header, field, value);
    }
    header[KIND] = b'0';
    header[MAGIC..MAGIC + 8].copy_from_slice(b"ustar\x0000");
    // The sum is taken with spaces in its own place.
    header[CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1].fill(b' ');
    let sum = header.iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut header, (CHECKSUM.0, CHECKSUM.1 - 1), sum);
    Ok(header)
}

/// Digits that end with a zero byte.
fn octal(header: &mut [u8; BLOCK], (start, length): (usize, usize), value: u64) {
    let digits = format!("{value:0width$o}\0", width = length - 1);
    header[start..start + length].copy_from_slice(digits.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_that_of_ustar() {
        let header = header("package/a.js", 1000).unwrap();
        assert_eq!(&header[..13], b"package/a.js\0");
        assert_eq!(&header[124..136], b"00000001750\0");
        assert_eq!(&header[257..265], b"ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        let digits: u32 = header[148..154].iter().map(|&byte| u32::from(byte)).sum();
        let expected = sum - digits - 32 + 8 * 32;
        assert_eq!(&header[148..156], format!("{expected:06o}\0 ").as_bytes());
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        assert!(header(&"a".repeat(100), 1).is_err());
    }
}
