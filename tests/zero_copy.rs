//! Patching copies no weights: changing size allocates less than one weight matrix.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use boomerang_core::config::ModelConfig;
use boomerang_core::plan::{KeepRule, LayerPlan, PatchOrder};
use boomerang_core::prune::{Family, Teacher};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::tiny_model;

/// The system's allocator, counting what it gives.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn changing_size_allocates_less_than_one_weight_matrix() {
    let config = serde_json::json!({
        "model_type": "qwen3", "vocab_size": 512, "hidden_size": 256, "intermediate_size": 512,
        "num_hidden_layers": 12, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 64, "tie_word_embeddings": false,
    });
    let config = ModelConfig::from_json(&config.to_string()).unwrap();
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
