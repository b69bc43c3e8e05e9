use boomerang_core::checkpoint::Precision;
use boomerang_core::curve::Series;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::distill::{DistillSettings, Distiller, Schedule, UpdateSettings};
use boomerang_core::evaluate::{Examination, TextDoc};
use boomerang_core::plan::{KeepRule, LayerPlan, PatchOrder};
use boomerang_core::prune::Teacher;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::measure::curve::{CandidateStudent, measure};
use boomerang_tests::{block_on, tiny_batch, tiny_config, tiny_model};

#[test]
fn from_a_teacher_to_a_curve() {
    // A teacher is pruned ...
    let teacher = Teacher::new(tiny_model(&tiny_config(), 1, &cpu()));
    let plan = LayerPlan::by_rule(KeepRule::default(), teacher.model().n_layers()).unwrap();
    let student = teacher.prune(&plan).unwrap();

    // ... its student distilled ...
    let settings = DistillSettings {
        loss: LossWeights::default(),
        update: UpdateSettings::new(Schedule::cosine(3e-3, 20)),
        alignment: None,
    };
    let mut distiller = Distiller::new(teacher.clone(), student, settings, 0);
    let losses: Vec<f64> = (0..20)
        .map(|_| block_on(distiller.step(&[tiny_batch(4, 16)])).unwrap().terms.total)
        .collect();
    assert!(losses[19] < losses[0]);

    // ... and every size between them measured.
    let texts: Vec<TextDoc> =
        (0..4).map(|text| TextDoc::new((text..text + 12).collect(), 12)).collect();
    let examination = Examination::new(&texts, &[], None, 64).unwrap();
    let candidate =
        CandidateStudent { series: Series::Boomerang, seed: 0, student: distiller.student() };
    let measured =
        measure(&teacher, &[candidate], &[PatchOrder::Last], &examination, Precision::F32, 1024)
            .unwrap();
    let sizes: Vec<usize> =
        measured.curve.stops(Series::Boomerang).iter().map(|stop| stop.n_layers).collect();
    assert_eq!(sizes, [4, 5, 6]);
    assert!(measured.n_layer_calls < measured.n_layer_calls_alone);
}
