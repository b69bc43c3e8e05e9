//! How much memory is taken: by changing size, and by reading a model.
//!
//! The allocator counts for the whole process, so the tests here take turns.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::config::ModelConfig;
use boomerang_core::model::WeightFormat;
use boomerang_core::plan::{KeepRule, LayerPlan, PatchOrder};
use boomerang_core::prune::{Family, Teacher};
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::tiny_model;

/// The system's allocator, counting what it gives.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let allocated = ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        let live = allocated.saturating_sub(FREED.load(Ordering::Relaxed));
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        FREED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn live() -> usize {
    ALLOCATED.load(Ordering::Relaxed) - FREED.load(Ordering::Relaxed)
}

fn config(vocab: usize, n_layers: usize) -> ModelConfig {
    let config = serde_json::json!({
        "model_type": "qwen3", "vocab_size": vocab, "hidden_size": 256, "intermediate_size": 512,
        "num_hidden_layers": n_layers, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 64, "tie_word_embeddings": false,
    });
    ModelConfig::from_json(&config.to_string()).unwrap()
}

#[test]
fn changing_size_allocates_less_than_one_weight_matrix() {
    let _turn = turn();
    let config = config(512, 12);
    let teacher = Teacher::new(tiny_model(&config, 0, &cpu()));
    let plan = LayerPlan::by_rule(KeepRule::default(), config.n_layers()).unwrap();
    let student = teacher.prune(&plan).unwrap();
    let family = Family::new(teacher, student).unwrap();
    let smallest_matrix = config.d_model * config.n_kv_heads * config.d_head * size_of::<f32>();

    for patch in PatchOrder::First.path(&plan).unwrap() {
        let before = ALLOCATED.load(Ordering::Relaxed);
        let member = family.member(&patch);
        let allocated = ALLOCATED.load(Ordering::Relaxed) - before;
        assert!(
            allocated < smallest_matrix,
            "a member of {} layers allocated {allocated} bytes, a matrix has {smallest_matrix}",
            member.n_layers()
        );
    }
}

/// A model's folder in bf16, whose embedding and head are most of it, as in small models of today.
fn small_model() -> (ModelConfig, tempfile::TempDir) {
    let config = config(16384, 8);
    let folder = tempfile::tempdir().unwrap();
    let bytes = model_to_bytes(&tiny_model(&config, 0, &cpu()), Precision::Bf16).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_json()).unwrap();
    (config, folder)
}

/// Bytes at the peak while a model is read in this format.
fn peak_of_reading(folder: &Path, config: &ModelConfig, format: WeightFormat) -> usize {
    let before = live();
    PEAK.store(before, Ordering::Relaxed);
    let model = ModelFolder::open(folder).unwrap().model_as(format, &cpu()).unwrap();
    let peak = PEAK.load(Ordering::Relaxed) - before;
    assert_eq!(model.n_params(), config.n_params());
    peak
}

#[test]
fn reading_a_model_takes_hardly_more_memory_than_its_weights() {
    let _turn = turn();
    let (config, folder) = small_model();
    let n_weight_bytes = config.n_params() as usize * size_of::<f32>();
    let peak = peak_of_reading(folder.path(), &config, WeightFormat::F32);
    assert!(
        peak as f64 <= 1.1 * n_weight_bytes as f64,
        "{peak} bytes at the peak for {n_weight_bytes} bytes of weights"
    );
}

#[test]
fn a_packed_model_is_never_in_memory_in_f32() {
    let _turn = turn();
    let (config, folder) = small_model();
    // Bytes per 32 weights.
    for (format, n_bytes) in [(WeightFormat::Stored, 64), (WeightFormat::Q8_0, 34)] {
        let n_weight_bytes = config.n_params() as usize / 32 * n_bytes;
        let peak = peak_of_reading(folder.path(), &config, format);
        assert!(
            peak as f64 <= 1.15 * n_weight_bytes as f64,
            "{format}: {peak} bytes at the peak for {n_weight_bytes} bytes of weights"
        );
    }
}
