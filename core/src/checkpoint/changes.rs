//! A file with only those vectors that differ from another file's: written, and read.

use burn::tensor::Device;

use super::output::tensors_in_memory;
use super::read::location_of;
use super::used::Used;
use super::write::{FORMAT, ready};
use super::{Checkpoint, CheckpointError, Names};
use crate::model::{LanguageModel, parameters};

impl Checkpoint<'_> {
    /// A safetensors file with the vectors that differ from `base`'s, for [`Checkpoint::read_vectors_over`]
    /// a model that was read from `base`. `None` when the two differ in anything else.
    ///
    /// # Errors
    /// [`CheckpointError::Write`].
    pub fn vectors_over(&self, base: &Self) -> Result<Option<Vec<u8>>, CheckpointError> {
        if !self.names().eq(base.names()) {
            return Ok(None);
        }
        let mut changed = Vec::new();
        for ((name, view), base) in self.tensors.iter().zip(base.tensors.values()) {
            if view == base {
                continue;
            }
            if view.shape().len() != 1
                || (view.dtype(), view.shape()) != (base.dtype(), base.shape())
            {
                return Ok(None);
            }
            let (dtype, shape) = (view.dtype(), view.shape().to_vec());
            changed.push(ready((name.clone(), dtype, shape, view.data().to_vec())));
        }
        tensors_in_memory(changed, FORMAT).map(Some)
    }

    /// `model` with the vectors of this checkpoint, which holds nothing else, in place of its own; all
    /// other parameters are shared with it.
    ///
    /// # Errors
    /// [`CheckpointError::Shape`] for a matrix, and as [`Checkpoint::read_model`] for a vector.
    pub fn read_vectors_over(
        &self,
        model: &LanguageModel,
        device: &Device,
    ) -> Result<LanguageModel, CheckpointError> {
        let config = model.config();
        let names = Names::of(config);
        Used::by(config).refuse_others(self.described())?;
        if let Some((name, view)) = self.tensors.iter().find(|(_, view)| view.shape().len() != 1) {
            let (name, found) = (name.clone(), view.shape().to_vec());
            return Err(CheckpointError::Shape { name, expected: vec![config.d_model], found });
        }
        parameters::replace(model.clone(), "", device, |parameter| {
            let location = location_of(&names, parameter)?;
            let is_here = location.names().any(|name| self.contains(name));
            is_here.then(|| self.parameter(&names, parameter, &mut |_| {})).transpose()
        })
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    /// A file of tensors of bytes, of rank 1 or 2.
    fn file(tensors: &[(&str, usize, &[u8])]) -> Vec<u8> {
        let views = tensors.iter().map(|&(name, rank, bytes)| {
            let shape = [vec![1; rank - 1], vec![bytes.len()]].concat();
            (name, TensorView::new(Dtype::I8, shape, bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    const BASE: [(&str, usize, &[u8]); 3] = [("a", 2, &[1, 2]), ("b", 1, &[3]), ("c", 1, &[4])];

    /// The names of what differs from `BASE`.
    fn changes(own: &[(&str, usize, &[u8])]) -> Option<Vec<String>> {
        let [own, base] = [own, &BASE].map(file);
        let parse = |bytes| Checkpoint::parse([(String::new(), bytes)]).unwrap();
        let changed = parse(&*own).vectors_over(&parse(&*base)).unwrap()?;
        let (changed, own) = (parse(&*changed), parse(&*own));
        assert!(changed.tensors().iter().all(|(name, view)| own.tensor(name).unwrap() == view));
        Some(changed.names().map(str::to_owned).collect())
    }

    #[test]
    fn vectors_that_differ_are_written() {
        let own: [(&str, usize, &[u8]); 3] = [("a", 2, &[1, 2]), ("b", 1, &[3]), ("c", 1, &[5])];
        assert_eq!(changes(&own).unwrap(), ["c"]);
        assert!(changes(&BASE).unwrap().is_empty());
    }

    #[test]
    fn files_that_differ_in_anything_else_have_no_changes() {
        let others: [[(&str, usize, &[u8]); 3]; 3] = [
            [("a", 2, &[1, 3]), ("b", 1, &[3]), ("c", 1, &[4])],
            [("a", 2, &[1, 2]), ("b", 1, &[3, 3]), ("c", 1, &[4])],
            [("a", 2, &[1, 2]), ("b", 1, &[3]), ("d", 1, &[4])],
        ];
        for own in others {
            assert_eq!(changes(&own), None, "{own:?}");
        }
        assert_eq!(changes(&BASE[..2]), None);
    }
}
