//! Log messages of the libraries, as lines on standard error.

use log::{LevelFilter, Log, Metadata, Record};

use crate::progress::note;

struct Lines;

/// Prints the log messages of Boomerang's own libraries only.
pub(crate) fn install() {
    // A second call, from a test, changes nothing.
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("boomerang_")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            note(&record.args().to_string());
        }
    }

    fn flush(&self) {}
}
