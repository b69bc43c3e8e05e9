//! A file with only those tensors that differ from another file's.

use std::io::Write;

use safetensors::tensor::TensorView;

use super::eight_bits::scales_name;
use super::output::{OutputTensor, tensors_in_memory};
use super::write::FORMAT;
use super::{Checkpoint, CheckpointError};

impl Checkpoint<'_> {
    /// A safetensors file with the tensors that differ from `base`'s in bytes, shape or dtype, for
    /// [`Checkpoint::read_over`] a model that was read from `base`. A matrix in 8 bits comes with its
    /// scales.
    ///
    /// `None` when the two have other names, or no tensor in common.
    ///
    /// # Errors
    /// [`CheckpointError::Write`].
    pub fn changes_from(&self, base: &Self) -> Result<Option<Vec<u8>>, CheckpointError> {
        if !self.names().eq(base.names()) {
            return Ok(None);
        }
        let differs = |name: &str| self.tensors.get(name) != base.tensors.get(name);
        let is_changed = |name: &str| match name.strip_suffix(&*scales_name("")) {
            Some(matrix) => differs(matrix) || differs(name),
            None => differs(name) || differs(&scales_name(name)),
        };
        let changed: Vec<_> = self.tensors.iter().filter(|(name, _)| is_changed(name)).collect();
        if changed.len() == self.tensors.len() {
            return Ok(None);
        }
        tensors_in_memory(changed.into_iter().map(as_stored).collect(), FORMAT).map(Some)
    }
}

fn as_stored<'a>((name, view): (&'a String, &'a TensorView<'_>)) -> OutputTensor<'a> {
    let bytes = view.data();
    OutputTensor {
        name: name.clone(),
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        write: Box::new(move |out: &mut dyn Write| {
            out.write_all(bytes).map_err(CheckpointError::Output)
        }),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;

    /// A file of tensors of one row of bytes each.
    fn file(tensors: &[(&str, &[u8])]) -> Vec<u8> {
        let views = tensors.iter().map(|&(name, bytes)| {
            (name, TensorView::new(Dtype::I8, vec![1, bytes.len()], bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    /// The names of what differs.
    fn changes(own: &[(&str, &[u8])], base: &[(&str, &[u8])]) -> Option<Vec<String>> {
        let [own, base] = [own, base].map(file);
        let parse = |bytes| Checkpoint::parse([(String::new(), bytes)]).unwrap();
        let changed = parse(&*own).changes_from(&parse(&*base)).unwrap()?;
        let changed = parse(&*changed);
        assert!(
            changed.tensors().iter().all(|(name, view)| parse(&*own).tensor(name).unwrap() == view)
        );
        Some(changed.names().map(str::to_owned).collect())
    }

    const BASE: [(&str, &[u8]); 3] = [("a", &[1, 2]), ("a.scales", &[3]), ("b", &[4])];

    #[test]
    fn only_what_differs_is_written() {
        let own: [(&str, &[u8]); 3] = [("a", &[1, 2]), ("a.scales", &[3]), ("b", &[5])];
        assert_eq!(changes(&own, &BASE).unwrap(), ["b"]);
        assert!(changes(&BASE, &BASE).unwrap().is_empty());
    }

    #[test]
    fn codes_and_scales_stay_together() {
        for (codes, scale) in [(&[1, 3][..], &[3][..]), (&[1, 2], &[7])] {
            let own: [(&str, &[u8]); 3] = [("a", codes), ("a.scales", scale), ("b", &[4])];
            assert_eq!(changes(&own, &BASE).unwrap(), ["a", "a.scales"]);
        }
    }

    #[test]
    fn files_with_nothing_in_common_or_other_names_have_no_changes() {
        let own: [(&str, &[u8]); 3] = [("a", &[9, 2]), ("a.scales", &[3]), ("b", &[5])];
        assert_eq!(changes(&own, &BASE), None);
        assert_eq!(changes(&BASE[..2], &BASE), None);
    }
}
