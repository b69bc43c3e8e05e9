//! Runs between visits: what is stored of one, and how it is read back.

use boomerang_engine::parcel::{from_bytes, to_bytes};
use boomerang_engine::sealed::{SealedFormat, seal, unseal};
use boomerang_engine::store::runs::StoredRun;
use serde::{Deserialize, Serialize};

use super::record::Record;
use super::run::{DistillStage, Keeping, Run, TeacherName};

/// Whatever changes in [`StoredRecord`] or in a message that it contains changes the version.
const FORMAT: SealedFormat = SealedFormat { magic: *b"bmrg-rec", version: 2 };

/// All of a run but its weights.
#[derive(Serialize, Deserialize)]
struct StoredRecord {
    number: usize,
    teacher: String,
    bundle: String,
    n_saved_steps: usize,
    record: Record,
}

/// A stored run that cannot be used, only deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRun {
    pub key: String,
    pub why: String,
}

/// The record of a run with a checkpoint of `n_saved_steps`.
pub fn to_stored(run: &Run, n_saved_steps: usize) -> Vec<u8> {
    let Run { number, teacher, record, .. } = run;
    let TeacherName { fingerprint, bundle } = teacher.clone();
    let record = record.clone();
    let stored =
        StoredRecord { number: *number, teacher: fingerprint, bundle, n_saved_steps, record };
    seal(FORMAT, &[&to_bytes(&stored)])
}

/// A stored run as it was at its checkpoint.
///
/// # Errors
/// [`UnreadableRun`] for a record that is damaged or of another version.
pub fn from_stored(stored: StoredRun) -> Result<Run, UnreadableRun> {
    let StoredRun { key, record } = stored;
    let contents = unseal(FORMAT, &record).map_err(|error| error.to_string());
    let read = match contents.and_then(from_bytes::<StoredRecord>) {
        Ok(read) => read,
        Err(why) => return Err(UnreadableRun { key, why }),
    };
    let StoredRecord { number, teacher, bundle, n_saved_steps, mut record } = read;
    record.truncate(n_saved_steps);
    let is_done = n_saved_steps >= record.settings.n_steps;
    let teacher = TeacherName { fingerprint: teacher, bundle };
    Ok(Run {
        stage: if is_done { DistillStage::Ended } else { DistillStage::Stopped },
        keeping: Keeping::Stored { n_steps: n_saved_steps },
        n_saved_steps: Some(n_saved_steps),
        ..Run::new(key, number, teacher, record)
    })
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::run;
    use super::*;

    #[test]
    fn a_stored_run_is_as_it_was_at_its_checkpoint() {
        let before = run(3, DistillStage::Running);
        let record = to_stored(&before, 1);
        let after = from_stored(StoredRun { key: "3".to_owned(), record }).unwrap();
        assert_eq!((after.number, after.stage), (3, DistillStage::Stopped));
        // The second step came after the checkpoint.
        assert_eq!(after.record.steps, before.record.steps[..1]);
        assert_eq!(after.record.settings, before.record.settings);
    }

    #[test]
    fn a_damaged_record_is_named() {
        let mut record = to_stored(&run(3, DistillStage::Running), 1);
        record[60] ^= 1;
        let refused = from_stored(StoredRun { key: "k".to_owned(), record }).unwrap_err();
        assert!(refused.key == "k" && refused.why.contains("damaged"), "{refused:?}");
    }
}
