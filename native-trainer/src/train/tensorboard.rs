//! Losses as event files that TensorBoard reads: records of protocol buffers, each between checksums
//! (`tensorflow/core/util/event.proto`, `tensorflow/core/lib/io/record_writer.h`).

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use crc::{CRC_32_ISCSI, Crc};
use serde_json::Value;

use crate::exit::{Exit, OrExit as _};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// An event file that is being written.
pub struct EventFile {
    file: File,
}

impl EventFile {
    /// A new file in a folder, beside those of earlier runs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name =
            format!("events.out.tfevents.{}.boomerang.{}.0", now.as_secs(), std::process::id());
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = File::options().create(true).append(true).open(folder.join(&name))?;
            file.write_all(&record(&version(now)))?;
            Ok::<_, std::io::Error>(file)
        };
        let file = write().with_context(|| format!("writing {}", folder.join(&name).display()))?;
        Ok(Self { file })
    }

    /// Adds every number of a line of `metrics.jsonl`, under its key; those of objects under both keys,
    /// and the losses of a curve under their number of layers.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn add(&mut self, step: usize, line: &Value) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let bytes = record(&scalars(now, step, &numbers("", line)));
        self.file.write_all(&bytes).context("writing for TensorBoard").or_exit(Exit::Disk)
    }
}

/// Numbers by tag.
fn numbers(prefix: &str, value: &Value) -> Vec<(String, f32)> {
    let entries = value.as_object().into_iter().flatten().filter(|(key, _)| *key != "step");
    let number = |(key, value): (&String, &Value)| match value {
        Value::Number(number) => {
            vec![(format!("{prefix}{key}"), number.as_f64().unwrap_or(f64::NAN) as f32)]
        }
        Value::Object(_) => numbers(&format!("{prefix}{key}/"), value),
        Value::Array(points) if key == "curve" => points
            .iter()
            .filter_map(|point| {
                let loss = point["loss"].as_f64()?;
                Some((format!("{prefix}{key}/{}_layers", point["layers"]), loss as f32))
            })
            .collect(),
        _ => Vec::new(),
    };
    entries.flat_map(number).collect()
}

/// The first event of a file.
fn version(at: Duration) -> Vec<u8> {
    let mut event = wall_time(at);
    bytes_field(3, b"brain.Event:2", &mut event);
    event
}

fn scalars(at: Duration, step: usize, numbers: &[(String, f32)]) -> Vec<u8> {
    let mut event = wall_time(at);
    event.push(2 << 3);
    varint(step as u64, &mut event);
    let mut summary = Vec::new();
    for (tag, number) in numbers {
        let mut value = Vec::new();
        bytes_field(1, tag.as_bytes(), &mut value);
        value.push(2 << 3 | 5);
        value.extend(number.to_le_bytes());
        bytes_field(1, &value, &mut summary);
    }
    bytes_field(5, &summary, &mut event);
    event
}

fn wall_time(at: Duration) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(at.as_secs_f64().to_le_bytes());
    event
}

/// A field of bytes, a string or a message.
fn bytes_field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend(bytes);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// An event between its length and checksums.
fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), event, &masked(event)].concat()
}

/// A checksum that differs from that of data with a checksum in it.
fn masked(bytes: &[u8]) -> [u8; 4] {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `tests/fixtures/make_tensorboard.py` wrote it.
    const EXPECTED: &[u8] = include_bytes!("../../../tests/fixtures/tensorboard.tfevents");

    #[test]
    fn events_are_those_that_tensorboard_writes() {
        let at = Duration::from_millis(1_700_000_000_500);
        let line = json!({"step": 300, "loss": 2.5, "ce": null, "cosine_by_state": [0.1, 0.2],
            "held_out": {"loss": 1e-3}});
        let found = [version(at), scalars(at, 300, &numbers("", &line))];
        let found: Vec<u8> = found.iter().flat_map(|event| record(event)).collect();
        assert_eq!(found, EXPECTED);
    }

    #[test]
    fn a_curve_has_a_scalar_for_each_size() {
        let line = json!({"curve": [{"layers": 7, "loss": 2.5}, {"layers": 12, "loss": null}]});
        assert_eq!(numbers("", &line), [("curve/7_layers".to_owned(), 2.5)]);
    }

    #[test]
    fn a_second_run_adds_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path()).unwrap();
        file.add(1, &json!({"loss": 1.0})).unwrap();
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        assert!(files[0].file_name().to_string_lossy().starts_with("events.out.tfevents."));
        assert!(files[0].metadata().unwrap().len() > 60);
    }
}
