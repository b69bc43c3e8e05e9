use std::fs;
use std::io::Write as _;

use boomerang_tests::browser::Page;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::own::{checkpoints, choose, random_family};

/// Files of a teacher are deflated, all others stored.
pub(super) fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut bytes);
    for (name, contents) in files {
        let is_deflated = name.contains("teacher/");
        let method =
            if is_deflated { CompressionMethod::DEFLATE } else { CompressionMethod::STORE };
        let (mut entry, config) =
            archive.new_file(name).compression_method(method).start().unwrap();
        let descriptor = if is_deflated {
            let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
            writer.write_all(contents).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(contents).unwrap();
            writer.finish().unwrap().1
        };
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

/// Changes the checksum of a file in the directory of a zip.
fn misstate(zip: &mut [u8], name: &str) {
    let found = zip.windows(name.len()).rposition(|bytes| bytes == name.as_bytes());
    // The name follows the 46 bytes of every entry of a directory, which contain the checksum.
    zip[found.unwrap() - 46 + 16] ^= 1;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_a_zip_is_named() {
    let (family, folder) = (random_family(), tempfile::tempdir().unwrap());
    let good = zip(&checkpoints(&family));
    let page = Page::open(&[], "models/?device=cpu").await;
    let path = folder.path().join("own.zip");
    // Files that are only inspected are read to their end, too.
    let small = ["own/teacher/config.json", "own/run/student/student_config.json"];
    let large = ["own/teacher/model.safetensors", "own/run/student/model.safetensors"];
    for name in [small, large].concat() {
        let mut bytes = good.clone();
        misstate(&mut bytes, name);
        fs::write(&path, bytes).unwrap();
        let mut words = choose(&page, "#own-zip", &path).await;
        if large.contains(&name) {
            page.click("#own-take").await;
            page.wait_for("#own .notice", "role", &["alert"]).await;
            words = page.text("#own").await;
        }
        assert!(words.contains(name) && words.contains("CRC-32"), "{name}: {words}");
        assert!(!words.contains("Put it on the dial"), "{name}: {words}");
    }
    page.close().await;
}
