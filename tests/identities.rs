use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::model::AttentionMask;
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::{Patch, PatchOrder};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::{ids, tiny_family, values};

fn logits(model: &LanguageModel) -> Vec<f32> {
    let tokens = [3, 1, 4, 1, 5, 9, 2, 6];
    let mask = AttentionMask::causal(tokens.len(), 0, &cpu());
    values(model.trace(ids(&tokens, &cpu()), &mask).logits)
}

#[test]
fn the_empty_patch_is_the_student_bit_for_bit() {
    let family = tiny_family(&cpu());
    let member = family.member(&Patch::none(family.plan()));
    assert_eq!(logits(&member), logits(family.student().model()));
    let bytes = |model| model_to_bytes(model, Precision::F32).unwrap();
    assert_eq!(bytes(&member), bytes(family.student().model()));
}

#[test]
fn the_full_patch_is_the_teacher_bit_for_bit() {
    let family = tiny_family(&cpu());
    let member = family.member(&Patch::all(family.plan()));
    assert_eq!(logits(&member), logits(family.teacher().model()));
    let bytes = |model| model_to_bytes(model, Precision::F32).unwrap();
    assert_eq!(bytes(&member), bytes(family.teacher().model()));
}

#[test]
fn every_size_is_another_model() {
    let family = tiny_family(&cpu());
    for order in [PatchOrder::First, PatchOrder::Last] {
        let members: Vec<LanguageModel> =
            order.path(family.plan()).unwrap().iter().map(|patch| family.member(patch)).collect();
        let sizes: Vec<usize> = members.iter().map(LanguageModel::n_layers).collect();
        assert_eq!(sizes, [4, 5, 6]);
        let all: Vec<Vec<f32>> = members.iter().map(logits).collect();
        assert_ne!(all[0], all[1]);
        assert_ne!(all[1], all[2]);
    }
}

#[test]
fn any_subset_of_student_layers_is_a_member() {
    let family = tiny_family(&cpu());
    let plan = family.plan();
    for bits in 0..1_u32 << plan.n_student_layers() {
        let layers: Vec<usize> =
            (0..plan.n_student_layers()).filter(|layer| bits >> layer & 1 == 1).collect();
        let member = family.member(&Patch::of(&layers, plan).unwrap());
        assert!(logits(&member).iter().all(|logit| logit.is_finite()));
    }
}

#[test]
fn a_member_of_a_tied_family_holds_two_matrices_only_when_their_owners_differ() {
    let family = tiny_family(&cpu());
    let plan = family.plan();
    let last = plan.n_student_layers() - 1;
    let is_tied = |layers: &[usize]| family.member(&Patch::of(layers, plan).unwrap()).is_tied();
    assert!(is_tied(&[]));
    assert!(is_tied(&[1]));
    assert!(is_tied(&[0, last]));
    assert!(!is_tied(&[0]));
    assert!(!is_tied(&[last]));
}
