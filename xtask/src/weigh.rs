//! Download size: compresses files beside the plain ones, and checks their sizes.
//!
//! Servers that look for them send `NAME.br` to browsers that came over https, and `NAME.gz` to all
//! others; `boomerang explore` does.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Extensions of compressible files.
const ENDINGS: [&str; 6] = ["wasm", "js", "css", "html", "svg", "json"];
/// A smaller file fits into one packet anyway.
const LEAST: u64 = 1200;
/// The slowest level: 4 % smaller than the previous one, in twice the time.
const BROTLI_QUALITY: u32 = 11;
const BROTLI_WINDOW: u32 = 24;

/// Parts of the page: name, prefix of its files, and size limit after brotli in kB, which is
/// slightly above the current size, so that growth is noticed. A file belongs to the first that it begins
/// with.
///
/// Refusing unknown configs, tensors and texts by name adds 3 kB to the page, about 20 kB to the
/// models (keys of every family, unused tensors) and 53 kB to the teaching (these, and the parser
/// of documents that it shares with the commands).
/// Checking by fingerprints that uploaded models belong together takes 10 kB more of the model for
/// the CPU, requests split by who answers them 4 kB of the page.
/// A step that can be split into parts and shared with others, and a teacher that can be streamed,
/// take 13 kB of the teaching; orders and mixtures of rows, conversations that are refused without their
/// template, and steps that are left out 7 kB.
/// Matrices in 16 and 8 bits, read by products and by whoever asks for their values, take 12 kB of the
/// model for the CPU and 6 kB of the teaching.
/// Chat templates are programs: minijinja takes 190 kB of both models. Conversations, their links and
/// records, the curve of a published family, and the memory that packed matrices take, 19 kB of the page.
/// Sentences that follow from what they describe, settings that are refused, and speeds with their spread
/// take 4 kB of the page.
/// Tokens of words that are remembered take 10 kB of the models and the teaching, and softmax and
/// activations in one pass, corrections at seams and stochastic patching 5 kB.
/// Runs of the teaching side by side, stored and resumed, lessons with questions before and after, texts of
/// several sizes, the navigation's menu, the guide to the curve and its zoom, the state of the network and
/// the watchdog take 106 kB of the page; checkpoints, similarities and texts while training 53 kB of the
/// teaching.
/// Weights and moments that are read back without blocking, as a GPU requires it, take 15 kB of the teaching.
/// Vectors that a student has beside the teacher's embedding, and the check of their files, take 7 kB of the
/// model for the CPU and 5 kB of the teaching.
const PARTS: [(&str, &str, u64); 5] = [
    ("the page", "boomerang-web", 558),
    ("the model for the CPU", "engine-cpu", 1236),
    ("the model for WebGPU", "engine-gpu", 2494),
    ("the teaching on WebGPU", "engine-teach-gpu", 2560),
    ("the teaching", "engine-teach", 1114),
];

/// Compresses the files of a built site, prints the sizes of its parts, and refuses those above
/// their limit.
pub(crate) fn weigh(site: &Path) -> Result<()> {
    let mut weights = vec![0; PARTS.len()];
    for entry in fs::read_dir(site).with_context(|| site.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !ENDINGS.contains(&&*ending) || fs::metadata(&path)?.len() < LEAST {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let n_bytes = write_beside(&path, "br", &brotli(&bytes)?)?;
        write_beside(&path, "gz", &gzip(&bytes)?)?;
        if let Some(part) = PARTS.iter().position(|(_, start, _)| name.starts_with(start)) {
            weights[part] += n_bytes;
        }
    }
    let mut heavy = Vec::new();
    for ((part, _, most), n_bytes) in PARTS.iter().zip(weights) {
        let kilobytes = n_bytes.div_ceil(1000);
        if n_bytes > 0 {
            println!("{part}: {kilobytes} kB compressed");
        }
        if kilobytes > *most {
            heavy.push(format!("{part} has {kilobytes} kB, above its limit of {most} kB"));
        }
    }
    if heavy.is_empty() {
        return Ok(());
    }
    bail!(
        "{}; make it smaller, or raise the limit in xtask/src/weigh.rs with a reason",
        heavy.join("; ")
    )
}

fn write_beside(path: &Path, ending: &str, bytes: &[u8]) -> Result<u64> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    fs::write(&name, bytes).with_context(|| format!("writing {}", name.display()))?;
    Ok(bytes.len() as u64)
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let mut writer =
        brotli::CompressorWriter::new(&mut compressed, 1 << 16, BROTLI_QUALITY, BROTLI_WINDOW);
    writer.write_all(bytes)?;
    drop(writer);
    Ok(compressed)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_worth_it_get_compressed_twins() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, n_bytes| fs::write(folder.path().join(name), vec![b'a'; n_bytes]);
        write("engine-cpu.wasm", 5000).unwrap();
        write("small.js", 10).unwrap();
        write("weights.safetensors", 5000).unwrap();
        weigh(folder.path()).unwrap();
        let size = |name: &str| fs::metadata(folder.path().join(name)).map(|it| it.len()).ok();
        assert!(size("engine-cpu.wasm.br").unwrap() < 100);
        assert!(size("engine-cpu.wasm.gz").unwrap() < 100);
        assert_eq!([size("small.js.gz"), size("weights.safetensors.gz")], [None, None]);
        // A second time, the twins have no twins.
        weigh(folder.path()).unwrap();
        assert_eq!(size("engine-cpu.wasm.gz.gz"), None);
    }

    #[test]
    fn a_page_that_has_grown_too_much_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = 1_u32;
        let random: Vec<u8> = (0..600_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        fs::write(folder.path().join("boomerang-web-1.wasm"), random).unwrap();
        let refusal = weigh(folder.path()).unwrap_err().to_string();
        assert!(
            refusal.contains("the page has") && refusal.contains("above its limit"),
            "{refusal}"
        );
    }
}
