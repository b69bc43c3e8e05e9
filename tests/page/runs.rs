use boomerang_core::plan::LayerPlan;
use boomerang_tests::browser::Page;
use serde_json::json;

use super::failures::WATCH_WORKERS;
use super::teach::{
    PANEL, are_equal, are_within, corpus, distill, native_run, native_run_of, native_sample,
    native_sizes, open, start, steps,
};
use super::{Native, SOFTWARE_GPU};

/// The state of a run in the table.
async fn wait_for_run(page: &Page, number: usize, states: &[&str]) {
    page.wait_for(&row(number), "data-state", states).await;
}

fn row(number: usize) -> String {
    format!("#runs tr[data-run=\"{number}\"]")
}

async fn wait_for_text(page: &Page, selector: &str, part: &str) {
    let script = format!(
        "return (document.querySelector({selector:?})?.textContent ?? '').includes({part:?});"
    );
    page.wait_until(&script, json!(true)).await;
}

/// Waits until the selected run is stored as it is after so many steps.
async fn wait_until_stored(page: &Page, n_steps: usize) {
    page.wait_for("#teach-kept", "data-steps", &[&n_steps.to_string()]).await;
}

/// Whether the page would ask before it is left.
async fn warns(page: &Page) -> bool {
    let script = "const event = new Event('beforeunload', {cancelable: true}); \
                  window.dispatchEvent(event); return event.defaultPrevented;";
    page.run(script, Vec::new()).await == json!(true)
}

async fn reload(page: &Page) {
    page.reload().await;
    page.wait_for("main", "data-state", &["offered"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_resumes_a_run_with_the_losses_of_one_without_interruption() {
    const N_STEPS: usize = 60;
    let page = open().await;
    start(&page, N_STEPS).await;
    let has_begun = "return Number(document.querySelector('#teach-numbers')?.dataset.step) > 2;";
    page.wait_until(has_begun, json!(true)).await;
    page.click("#teach-pause").await;
    page.wait_for(PANEL, "data-state", &["paused"]).await;
    let n_done: usize = page.attribute("#teach-numbers", "data-step").await.parse().unwrap();
    assert!((1..N_STEPS).contains(&n_done), "{n_done}");
    wait_until_stored(&page, n_done).await;
    assert!(!warns(&page).await, "a stored run survives a reload");

    reload(&page).await;
    wait_for_run(&page, 1, &["stopped"]).await;
    assert_eq!(steps(&page).await.len(), n_done);
    page.click(&format!("{} .run-resume", row(1))).await;
    page.wait_for(PANEL, "data-state", &["ended"]).await;
    let (corpus, seq) = corpus();
    let (_, native) = native_run(&Native::open(), corpus.batches(0, seq), N_STEPS);
    are_equal(&page, &native).await;
    page.close().await;
}

/// What the GPU computes, if only a software one, differs from the CPU by rounding: losses by less than
/// this.
const TOLERANCE: f64 = 1e-3;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_the_gpu_has_the_losses_of_the_cpu_and_is_resumed_there() {
    const N_STEPS: usize = 3;
    let page = Page::open(&SOFTWARE_GPU, "teach/?device=webgpu").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let adapter = "return await navigator.gpu?.requestAdapter() ? 'found' : 'none';";
    if page.promised(adapter, Vec::new()).await != json!("found") {
        println!("not tested: this browser has no software GPU");
        return page.close().await;
    }
    wait_for_text(&page, "#teach-device-status", "Computed by WebGPU").await;
    // A step of the demo's student takes a software GPU longer.
    page.set("#keep-many", "1").await;
    page.click("#keep-first").await;
    start(&page, N_STEPS).await;
    let has_begun = "return document.querySelector('#teach-numbers') !== null;";
    page.wait_until(has_begun, json!(true)).await;
    page.click("#teach-pause").await;
    page.wait_for(PANEL, "data-state", &["paused", "ended"]).await;
    wait_for_text(&page, &row(1), "GPU").await;
    let n_done: usize = page.attribute("#teach-numbers", "data-step").await.parse().unwrap();
    wait_until_stored(&page, n_done).await;

    // Without the address, the software GPU is not used.
    page.go("teach/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    wait_for_text(&page, "#teach-device-status", "Computed on the CPU").await;
    if n_done < N_STEPS {
        page.click(&format!("{} .run-resume", row(1))).await;
        page.wait_for(PANEL, "data-state", &["ended"]).await;
    }
    let (plan, (corpus, seq)) = (LayerPlan::keep(&[0], 12).unwrap(), corpus());
    let (_, native) = native_run_of(&plan, &Native::open(), corpus.batches(0, seq), N_STEPS);
    are_within(TOLERANCE, &page, &native).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_without_an_error_is_ended_by_stop_and_the_run_resumed() {
    const N_STEPS: usize = 500;
    let page = open().await;
    page.run(WATCH_WORKERS, Vec::new()).await;
    start(&page, N_STEPS).await;
    let is_stored = "return Number(document.querySelector('#teach-kept')?.dataset.steps) > 0;";
    page.wait_until(is_stored, json!(true)).await;
    // As when the system ends its process: no message, and no error event.
    page.run("window.workers.at(-1).terminate();", Vec::new()).await;
    wait_for_text(&page, "#teach-kept", "has not answered").await;
    page.click("#teach-stop").await;
    page.wait_for(PANEL, "data-state", &["stopped"]).await;
    let n_stored: usize = page.attribute("#teach-kept", "data-steps").await.parse().unwrap();
    assert_eq!(steps(&page).await.len(), n_stored);
    page.click(&format!("{} .run-resume", row(1))).await;
    let goes_on = format!(
        "return Number(document.querySelector('#teach-numbers')?.dataset.step) > {n_stored};"
    );
    page.wait_until(&goes_on, json!(true)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_survives_a_reload_and_is_put_on_the_dial() {
    let page = open().await;
    distill(&page, 3).await;
    wait_until_stored(&page, 3).await;
    reload(&page).await;
    wait_for_run(&page, 1, &["ended"]).await;
    page.click(&format!("{} .run-dial", row(1))).await;
    page.wait_until("return document.querySelector('#teach-status a') !== null;", json!(true))
        .await;
    let name = page.text(".foot").await;
    assert!(name.contains("Boomerang demo, distilled here, run 1"), "{name}");
    page.close().await;
}

/// Changes one byte of what is stored of a run in this table.
const DAMAGE: &str = "
    const heard = request => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    const base = await heard(indexedDB.open('boomerang-runs'));
    const read = base.transaction(args[0]).objectStore(args[0]);
    const [keys, values] = [await heard(read.getAllKeys()), await heard(read.getAll())];
    const is_file = values[0] instanceof Blob;
    const bytes = is_file ? new Uint8Array(await values[0].arrayBuffer()) : values[0];
    bytes[bytes.length - 9] ^= 1;
    const table = base.transaction(args[0], 'readwrite').objectStore(args[0]);
    await heard(table.put(is_file ? new Blob([bytes]) : bytes, keys[0]));
    base.close();
    return 'damaged';";

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_is_refused_by_name_and_deleted() {
    let page = open().await;
    distill(&page, 3).await;
    wait_until_stored(&page, 3).await;
    assert_eq!(page.promised(DAMAGE, vec![json!("checkpoints")]).await, json!("damaged"));
    reload(&page).await;
    wait_for_run(&page, 1, &["ended"]).await;
    page.click(&format!("{} .run-dial", row(1))).await;
    wait_for_text(&page, "#teaching .notice", "Run 1 cannot be resumed.").await;
    wait_for_text(&page, "#teaching .notice", "it is damaged: its SHA-256 is").await;
    let delete = format!("{} .run-delete", row(1));
    page.click(&delete).await;
    page.click(&delete).await;
    let is_gone = "return document.querySelectorAll('#runs tbody tr').length;";
    page.wait_until(is_gone, json!(0)).await;
    reload(&page).await;
    page.wait_until("return document.querySelector('#runs') !== null;", json!(true)).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(page.run(is_gone, Vec::new()).await, json!(0));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_named_and_deleted() {
    let page = open().await;
    distill(&page, 3).await;
    wait_until_stored(&page, 3).await;
    assert_eq!(page.promised(DAMAGE, vec![json!("records")]).await, json!("damaged"));
    reload(&page).await;
    wait_for_text(&page, ".unreadable-runs", "cannot be read: it is damaged").await;
    page.click(".unreadable-runs button").await;
    reload(&page).await;
    page.wait_until("return document.querySelector('#runs') !== null;", json!(true)).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(page.text(".unreadable-runs").await, "");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_full_storage_a_run_continues_in_memory_and_leaving_asks_first() {
    let page = open().await;
    assert!(!warns(&page).await);
    let origin = page.run("return location.origin;", Vec::new()).await;
    page.client.goto("about:blank").await.unwrap();
    let all = json!({"origin": origin, "storageTypes": "all"});
    page.devtools("Storage.clearDataForOrigin", all).await;
    let quota = json!({"origin": origin, "quotaSize": 100_000});
    page.devtools("Storage.overrideQuotaForOrigin", quota).await;
    page.go("teach/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    distill(&page, 3).await;
    wait_for_text(
        &page,
        "#teach-kept",
        "Only in memory, a reload loses it: this browser's storage is full",
    )
    .await;
    assert!(warns(&page).await);
    // The student is there all the same.
    page.click("#teach-take").await;
    page.wait_until("return document.querySelector('#teach-status a') !== null;", json!(true))
        .await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_compute_at_once_and_the_third_waits() {
    let page = open().await;
    page.devtools("Emulation.setHardwareConcurrencyOverride", json!({"hardwareConcurrency": 2}))
        .await;
    for _ in 0..3 {
        start(&page, 300).await;
    }
    wait_for_run(&page, 1, &["teaching"]).await;
    wait_for_run(&page, 2, &["teaching"]).await;
    wait_for_run(&page, 3, &["queued"]).await;
    page.click(&format!("{} .run-show", row(1))).await;
    page.click("#teach-stop").await;
    wait_for_run(&page, 1, &["stopped"]).await;
    wait_for_run(&page, 3, &["loading", "teaching"]).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_core_runs_wait_for_each_other() {
    let page = open().await;
    page.devtools("Emulation.setHardwareConcurrencyOverride", json!({"hardwareConcurrency": 1}))
        .await;
    start(&page, 3).await;
    start(&page, 3).await;
    wait_for_run(&page, 2, &["queued"]).await;
    wait_for_run(&page, 1, &["ended"]).await;
    wait_for_run(&page, 2, &["ended"]).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_run_marks_the_setting_that_was_changed() {
    let page = open().await;
    distill(&page, 3).await;
    page.click(&format!("{} .run-again", row(1))).await;
    wait_for_text(&page, "#teach-repeated", "The settings are those of run 1.").await;
    page.set("#teach-rate", "0.001").await;
    wait_for_text(&page, "#teach-repeated", "another value of: learning rate").await;
    page.click("#teach-start").await;
    wait_for_run(&page, 2, &["ended"]).await;
    let marked = "return [...document.querySelectorAll('#runs .setting-differs')].map(it => \
                  it.closest('tr').dataset.run + ' ' + it.textContent.split(' ').pop());";
    assert_eq!(page.run(marked, Vec::new()).await, json!(["2 0.001"]));
    let lines = "return document.querySelectorAll('#runs-chart .line').length;";
    assert!(page.run(lines, Vec::new()).await.as_u64().unwrap() >= 2);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sizes_of_a_student_have_the_losses_of_native_code() {
    let page = open().await;
    distill(&page, 3).await;
    page.click("#teach-measure").await;
    let mean = format!("{} .mean-over-sizes", row(1));
    page.wait_until(
        &format!("return Number(document.querySelector({mean:?}).textContent) > 0;"),
        json!(true),
    )
    .await;
    let native = Native::open();
    let expected = native_sizes(&native, 3);
    let found: f64 = page.text(&mean).await.parse().unwrap();
    let expected_mean = expected.iter().sum::<f64>() / expected.len() as f64;
    assert!((found - expected_mean).abs() < 2e-3, "{found} here, {expected_mean} in native code");
    wait_for_text(&page, "#sizes-chart", "The bundle's student").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_and_a_sample_are_shown_while_the_student_is_trained() {
    let page = open().await;
    distill(&page, 3).await;
    page.wait_for("#teach-similarity", "data-step", &["3"]).await;
    let native = Native::open();
    let n_rows = "return document.querySelectorAll('#teach-similarity tbody tr').length;";
    let n_layers = native.manifest.plan.n_student_layers();
    assert_eq!(page.run(n_rows, Vec::new()).await, json!(n_layers));
    let expected = native_sample(&native, 3);
    let sample = page.text("#teach-sample").await;
    assert!(
        sample.trim().ends_with(expected.trim()),
        "{sample:?} here, {expected:?} in native code"
    );
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_in_the_background_neither_stalls_nor_changes_a_run() {
    let page = open().await;
    start(&page, 20).await;
    page.wait_for(PANEL, "data-state", &["teaching"]).await;
    for state in ["frozen", "active"] {
        page.devtools("Page.setWebLifecycleState", json!({"state": state})).await;
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    }
    page.wait_for(PANEL, "data-state", &["ended"]).await;
    let (corpus, seq) = corpus();
    let (_, native) = native_run(&Native::open(), corpus.batches(0, seq), 20);
    are_equal(&page, &native).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_was_not_measured_is_measured_on_this_device() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    page.click("#layer-strip .block:nth-child(3) button").await;
    let quality = "#quality";
    wait_for_text(&page, quality, "not measured").await;
    let can_measure =
        "return document.querySelector('.off-path .measure-set')?.disabled === false;";
    page.wait_until(can_measure, json!(true)).await;
    page.click(".off-path .measure-set").await;
    wait_for_text(&page, quality, "on this device").await;
    wait_for_text(&page, ".curve-table", "on this device").await;
    wait_for_text(&page, "#curve", "on this device").await;
    page.close().await;
}
