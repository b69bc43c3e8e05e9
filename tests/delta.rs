//! The student of a post-trained teacher, from that of its base.

use boomerang_core::checkpoint::Checkpoint;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_ids, write_model};
use boomerang_tests::{read, tiny_config, tiny_model};

/// The numbers of a file of f32 by tensor.
fn tensors(path: &std::path::Path) -> Vec<(String, Vec<f32>)> {
    let bytes = read(path);
    let file = Checkpoint::parse([("a".to_owned(), &*bytes)]).unwrap();
    let numbers = |data: &[u8]| -> Vec<f32> {
        data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    file.tensors().iter().map(|(name, view)| (name.clone(), numbers(view.data()))).collect()
}

#[test]
fn a_variant_takes_over_what_distillation_changed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let paths = [("dir", dir)];
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.join("base"));
    write_model(&tiny_model(&tiny_config(), 2, &cpu()), &dir.join("variant"));
    write_ids(&dir.join("data.jsonl"), 11, 16);
    boomerang(
        "distill --teacher {dir}/base --data {dir}/data.jsonl --seq-len 16 --batch-size 2 --lr 1e-2 \
         --steps 3 --device cpu --out {dir}/run",
        &paths,
    )
    .unwrap();
    boomerang("prune --teacher {dir}/base --out {dir}/of-base", &paths).unwrap();
    boomerang("prune --teacher {dir}/variant --out {dir}/of-variant", &paths).unwrap();
    let line = "delta --base {dir}/base --student {dir}/run/student --variant {dir}/variant";
    boomerang(&format!("{line} --out {{dir}}/found"), &paths).unwrap();
    let [student, of_base, of_variant, found] = ["run/student", "of-base", "of-variant", "found"]
        .map(|name| tensors(&dir.join(name).join("model.safetensors")));
    assert_eq!(found.len(), student.len());
    let mut n_compared = 0;
    for (number, (name, found)) in found.iter().enumerate() {
        let of = |all: &[(String, Vec<f32>)]| all[number].1.clone();
        let (student, base, variant) = (of(&student), of(&of_base), of(&of_variant));
        for (index, found) in found.iter().enumerate() {
            let expected = variant[index] + (student[index] - base[index]);
            assert!((found - expected).abs() < 1e-6, "{name}: {found} instead of {expected}");
            n_compared += 1;
        }
    }
    assert!(n_compared > 1000);
    // It is a student of the variant, which takes its layers.
    boomerang(
        "patch --teacher {dir}/variant --student {dir}/found --k 1 --out {dir}/member",
        &paths,
    )
    .unwrap();
    let base = "patch --teacher {dir}/base --student {dir}/found --k 1 --out {dir}/other";
    let (sentence, _) = failure(base, &paths);
    assert!(sentence.contains("was made from another teacher"), "{sentence}");
    let swapped =
        "delta --base {dir}/variant --student {dir}/run/student --variant {dir}/base --out {dir}/x";
    assert!(failure(swapped, &paths).0.contains("was made from another teacher"));
}
