use boomerang_core::bundle::{BundleLoader, Manifest, StoringLoss, as_stored};
use boomerang_core::checkpoint::{Precision, StoredAs};
use boomerang_core::distill::{Batch, Layout, Row};
use boomerang_core::generate::certainties;
use boomerang_core::model::{AttentionMask, WeightFormat};
use boomerang_core::plan::Patch;
use boomerang_core::prune::Family;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, write_ids};
use boomerang_tests::{block_on, ids, relative_difference, root, values};

use crate::bundle::{
    BUNDLE, bytes_of, family_on_disk, folder, load, manifest_in, manifest_of, packed_as,
};
use crate::recordings::task_in;

#[test]
fn members_of_a_bundle_in_8_bits_are_nearly_what_they_were() {
    let (manifest, tokenizer, family) = load();
    let files = packed_as(StoredAs::Q8_0, &manifest, &family, None, None);
    let in_8_bits = manifest_of(&files);
    let n_bytes = |manifest: &Manifest| manifest.weights().map(|file| file.bytes).sum::<u64>();
    let share = n_bytes(&in_8_bits) as f64 / n_bytes(&manifest) as f64;
    assert!(share < 0.56, "{share} of the bytes in f16");

    let mut loader = BundleLoader::new(in_8_bits.clone(), cpu()).unwrap();
    for file in in_8_bits.files() {
        loader.add(file, bytes_of(&files, &file.path)).unwrap();
    }
    let (_, _, stored) = loader.finish().unwrap();
    let path = manifest.order.path(&manifest.plan).unwrap();
    let tokens = tokenizer.encode(&task_in(&folder()).paragraph, true).unwrap();
    let mask = AttentionMask::causal(tokens.len(), 0, &cpu());
    let logits = |family: &Family, patch: &Patch| {
        let member = family.member(patch);
        values(member.trace(ids(&tokens, &cpu()), &mask).logits)
    };
    for patch in &path {
        let difference = relative_difference(&logits(&stored, patch), &logits(&family, patch));
        assert!((1e-5..0.02).contains(&difference), "{patch:?}: {difference}");
    }
    // What the loader gives is what recordings are made with, and what the loss is measured of.
    let expected = as_stored(&family, StoredAs::Q8_0, &cpu()).unwrap();
    assert!(path.iter().all(|patch| logits(&stored, patch) == logits(&expected, patch)));
    let batches = [Batch::new(vec![Row::padded(&tokens, tokens.len(), 0)], Layout::Padded)];
    let loss = |stored| {
        block_on(StoringLoss::measure(&family, stored, &path, &batches, &mut |_| {}))
            .unwrap()
            .expect("the paragraph has a next token")
    };
    let found = loss(&stored);
    assert!(found.kl_mean > 0.0 && found.kl_mean < 0.002 && found.kl_max < 0.02, "{found:?}");
    assert_eq!(found.n_tokens, tokens.len());
    assert_eq!(loss(&family).kl_max, 0.0);
}

#[test]
fn members_whose_matrices_stay_packed_compute_the_same() {
    let (manifest, tokenizer, family) = load();
    let prompt = tokenizer.encode(&task_in(&folder()).paragraph, true).unwrap();
    for stored_as in [StoredAs::Q8_0, Precision::F16.into(), Precision::Bf16.into()] {
        let files = packed_as(stored_as, &manifest, &family, None, None);
        let manifest = manifest_of(&files);
        let opened = |format| {
            let loader = BundleLoader::new(manifest.clone(), cpu()).unwrap();
            let mut loader = loader.in_format(format);
            for file in manifest.files() {
                loader.add(file, bytes_of(&files, &file.path)).unwrap();
            }
            loader
        };
        let [wide, packed] = [WeightFormat::F32, WeightFormat::Stored].map(opened);
        for patch in manifest.order.path(&manifest.plan).unwrap() {
            let last = |loader: &BundleLoader| {
                let member = loader.member(&patch).unwrap();
                let found = block_on(certainties(&member, &prompt, 1, 1)).unwrap();
                found.into_iter().map(|it| it.probability).collect::<Vec<f64>>()
            };
            for (wide, packed) in last(&wide).into_iter().zip(last(&packed)) {
                assert!((wide - packed).abs() < 1e-4, "{stored_as}: {wide} and {packed}");
            }
        }
    }
}

#[test]
fn a_bundle_tells_what_its_number_format_costs() {
    let dir = family_on_disk();
    let paths = [("dir", dir.path()), ("root", &*root())];
    boomerang(&format!("{BUNDLE} --record 2 --precision q8_0"), &paths).unwrap();
    let bundle = dir.path().join("bundle");
    let stored = manifest_in(&bundle).stored.expect("prompts are texts to measure on");
    assert_eq!(stored.precision, StoredAs::Q8_0);
    assert!(stored.bytes_share < 0.29, "{stored:?}");
    assert!(stored.loss.kl_mean > 0.0 && stored.loss.kl_mean <= stored.loss.kl_max, "{stored:?}");
    let measured = manifest_in(&bundle);
    let unmeasured = Manifest { stored: None, ..measured.clone() };
    assert_eq!(measured.fingerprint(), unmeasured.fingerprint());

    // The family's own files are in f16: nothing is lost, and nothing is said.
    boomerang(&format!("{BUNDLE} --record 0"), &paths).unwrap();
    assert_eq!(manifest_in(&bundle).stored, None);
    write_ids(&dir.path().join("ids.jsonl"), 3, 32);
    let texts = "--calibration {dir}/ids.jsonl --calibration-tokens 128 --device cpu";
    boomerang(&format!("{BUNDLE} --record 0 --precision bf16 {texts}"), &paths).unwrap();
    let in_bf16 = manifest_in(&bundle).stored.unwrap();
    assert_eq!(in_bf16.loss.n_tokens, 64, "two rows of the texts");
    assert!((0.5..0.52).contains(&in_bf16.bytes_share), "{in_bf16:?}");
}
