//! What the package generates, and its element.

use boomerang_core::generate::{Sampling, TextStream, next_logits};
use boomerang_tests::browser::Page;
use boomerang_tests::file_server::FileServer;
use boomerang_tests::{block_on, root};
use serde_json::json;

use super::{elsewhere, example, folder_at, open, script, site, strict_policy, tokens};
use crate::page::{N_TOKENS, Native, PROMPT, axe};

fn demo() -> FileServer {
    elsewhere(root().join("assets/demo/bundle"))
}

/// What a size adds to the prompt, as text.
fn continuation(native: &Native, size: usize, sampling: Sampling) -> String {
    let prompt = native.prompt();
    let mut stream = TextStream::new(&native.tokenizer, &prompt);
    let tokens = native.tokens(&native.path()[size], sampling);
    let mut text: String = tokens.iter().map(|&token| stream.push(token).unwrap()).collect();
    text.push_str(&stream.finish().unwrap());
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn two_families_of_another_origin_give_the_tokens_of_native_code() {
    let native = Native::open();
    let bundles = demo();
    let (page, _server) = open(Some(&strict_policy(&bundles))).await;
    let body = "const [url, prompt, tokens] = args; \
                const [greedy, random] = await Promise.all([load(url), load(new URL(url))]); \
                const sampled = {tokens, temperature: 1.5, seed: 7}; const all = []; \
                for (const {index} of greedy.sizes) { \
                    greedy.setSize(index); random.setSize(index); \
                    all.push(await Promise.all([read(greedy.generate(prompt, {tokens})), \
                                                read(random.generate(prompt, sampled))])); \
                } return all;";
    let arguments = vec![folder_at(&bundles), json!(PROMPT), json!(N_TOKENS)];
    let found = script(&page, body, arguments).await;
    let sampled = Sampling::Random { temperature: 1.5, seed: 7 };
    for (size, patch) in native.path().iter().enumerate() {
        let expected = [Sampling::Greedy, sampled].map(|sampling| native.tokens(patch, sampling));
        assert_eq!(
            [0, 1].map(|family| tokens(&found[size][family])),
            expected,
            "size {size}: {found}"
        );
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_curve_are_those_of_the_manifest() {
    let native = Native::open();
    let (page, _server) = open(None).await;
    let body = "const family = await load('bundle/'); await family.whenLoaded(); \
                return [family.sizes, family.curve, family.name];";
    let found = script(&page, body, Vec::new()).await;
    for (index, patch) in native.path().iter().enumerate() {
        let member = native.family.member(patch);
        let size = &found[0][index];
        assert_eq!(size["index"], json!(index));
        assert_eq!(size["layers"], json!(member.n_layers()));
        assert_eq!(size["parameters"], json!(member.n_params()));
        assert_eq!([&size["fits"], &size["loaded"]], [&json!(true); 2]);
        assert!(size["accuracy"]["mean"].as_f64().is_some(), "{size}");
    }
    let points = native.manifest.curve.points.len();
    assert!((1..=points).contains(&found[1].as_array().unwrap().len()));
    assert_eq!(found[2], json!(native.manifest.name));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logits_are_those_of_native_code() {
    let native = Native::open();
    let member = native.family.member(&native.path()[1]);
    let expected = block_on(next_logits(&member, &native.prompt())).unwrap();
    let (page, _server) = open(None).await;
    let body = "const family = await load('bundle/'); family.setSize(1); \
                return [...await family.logits(args[0])];";
    let found = script(&page, body, vec![json!(PROMPT)]).await;
    let found: Vec<f32> = serde_json::from_value(found).unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-3, "{found} instead of {expected}");
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_text_ends_in_its_middle_and_the_next_is_whole() {
    let native = Native::open();
    let (page, _server) = open(None).await;
    let body = "const family = await load('bundle/'); const stop = new AbortController(); \
                const pieces = []; let error; \
                try { \
                    const long = {tokens: 60, temperature: 1, signal: stop.signal}; \
                    for await (const piece of family.generate(args[0], long)) { \
                        pieces.push(piece); if (pieces.length === 3) stop.abort(); \
                    } \
                } catch (it) { error = it; } \
                const late = await outcome(() => \
                    read(family.generate(args[0], {signal: stop.signal}))); \
                return [pieces.length, error instanceof DOMException && error.name, \
                        await read(family.generate(args[0], {tokens: args[1]})), late.failed];";
    let found = script(&page, body, vec![json!(PROMPT), json!(N_TOKENS)]).await;
    assert_eq!([&found[0], &found[1]], [&json!(3), &json!("AbortError")], "{found}");
    assert_eq!(tokens(&found[2]), native.tokens(&native.path()[0], Sampling::Greedy));
    assert_eq!(found[3], json!("AbortError"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_is_left_stops_its_text_and_not_the_next() {
    let native = Native::open();
    let (page, _server) = open(None).await;
    let body = "const family = await load('bundle/'); \
                const left = family.generate(args[0], {tokens: 60, temperature: 1}); \
                const next = family.generate(args[0], {tokens: args[1]}); \
                for await (const piece of left) break; \
                const after = await left.next(); \
                let last; const all = []; \
                while (!(last = await next.next()).done) all.push(last.value); \
                return [after.done, all, last.value];";
    let found = script(&page, body, vec![json!(PROMPT), json!(N_TOKENS)]).await;
    let expected = native.tokens(&native.path()[0], Sampling::Greedy);
    assert_eq!(found[0], json!(true));
    assert_eq!(tokens(&found[1]), expected);
    assert_eq!(found[2]["tokens"], json!(expected.len()), "{found}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_are_called_until_they_are_removed() {
    let (page, _server) = open(None).await;
    let body = "const family = await load('bundle/'); await family.whenLoaded(); \
                const called = []; const listener = event => called.push(event.type + family.size); \
                family.addEventListener('sizechange', listener); family.setSize(2); \
                family.removeEventListener('sizechange', listener); family.setSize(1); \
                return called;";
    assert_eq!(script(&page, body, Vec::new()).await, json!(["sizechange2"]));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_ends_with_every_byte() {
    let native = Native::open();
    let total: u64 = native.manifest.files().map(|file| file.bytes).sum();
    let (page, _server) = open(None).await;
    let body = "let last; \
                const family = await load('bundle/', {store: false, onProgress: it => last = it}); \
                await family.whenLoaded(); \
                return [last.bytes, last.total, family.sizes.every(size => size.loaded)];";
    let found = script(&page, body, Vec::new()).await;
    assert_eq!(found, json!([total, total, true]));
    page.close().await;
}

/// Scripts see into the shadow root of an element.
const RUN: &str = "const dial = document.querySelectorAll('boomerang-dial')[arguments[0]]; \
                   const part = name => dial.shadowRoot.querySelector(`[part=${name}]`);";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_in_the_manual_runs_as_it_is() {
    let native = Native::open();
    let bundles = demo();
    let policy = strict_policy(&bundles);
    let mut files = site(Some(&policy));
    files.texts.insert("/".to_owned(), example("html"));
    let server = FileServer::start(files);
    let page = Page::open_at(&server.url(), &[], "").await;
    let ready = format!("{RUN} return part('run') !== null && !part('run').disabled;");
    let click = format!("{RUN} part('run').click();");
    let text = format!("{RUN} return part('text').textContent;");
    let sampled = Sampling::Random { temperature: 0.8, seed: 1 };
    for (dial, sampling) in [Sampling::Greedy, sampled].into_iter().enumerate() {
        let with = |script: &str| script.replace("arguments[0]", &dial.to_string());
        page.wait_until(&with(&ready), json!(true)).await;
        page.run(&with(&click), Vec::new()).await;
        let expected = format!("{PROMPT}{}", continuation(&native, 0, sampling));
        page.wait_until(&with(&text), json!(expected)).await;
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_in_the_manual_runs_as_it_is() {
    let native = Native::open();
    let mut files = site(None);
    let html = "<!doctype html><script type=\"module\" src=\"page.js\"></script><body>";
    files.texts.insert("/".to_owned(), html.to_owned());
    files.texts.insert("/page.js".to_owned(), example("js"));
    let server = FileServer::start(files);
    let page = Page::open_at(&server.url(), &[], "").await;
    let teacher = native.path().len() - 1;
    let expected = continuation(&native, teacher, Sampling::Greedy);
    page.wait_until("return document.body.textContent.trimEnd();", json!(expected.trim_end()))
        .await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dial_moves_with_its_numbers_and_its_mark() {
    let native = Native::open();
    let mut files = site(None);
    files.texts.insert("/".to_owned(), example("html"));
    let server = FileServer::start(files);
    let page = Page::open_at(&server.url(), &[], "").await;
    let run = RUN.replace("arguments[0]", "0");
    let last = native.path().len() - 1;
    let max = format!("{run} return part('range')?.max;");
    page.wait_until(&max, json!(last.to_string())).await;
    let mark = format!("{run} return part('mark').getBoundingClientRect().x;");
    let before = page.run(&mark, Vec::new()).await.as_f64().unwrap();
    let turn = format!(
        "{run} const range = part('range'); range.value = range.max; \
                        range.dispatchEvent(new Event('input')); \
                        return [range.getAttribute('aria-valuetext'), part('numbers').textContent];"
    );
    let words = page.run(&turn, Vec::new()).await;
    let layers = format!("{} layers", native.family.teacher().model().n_layers());
    assert!(words[0].as_str().unwrap().starts_with(&layers), "{words}");
    assert!(words[1].as_str().unwrap().starts_with(&layers), "{words}");
    let after = page.run(&mark, Vec::new()).await.as_f64().unwrap();
    assert!(after > before + 50.0, "the mark went from {before} to {after}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_element_breaks_no_rule_of_accessibility() {
    let mut files = site(None);
    files.texts.insert("/".to_owned(), example("html"));
    let server = FileServer::start(files);
    for flags in [&[][..], &["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]] {
        let page = Page::open_at(&server.url(), flags, "").await;
        for dial in 0..2 {
            let run = RUN.replace("arguments[0]", &dial.to_string());
            let ready = format!("{run} return part('run') !== null && !part('run').disabled;");
            page.wait_until(&ready, json!(true)).await;
        }
        let found = axe::violations(&page).await;
        assert!(found.is_empty(), "{}", found.join("\n"));
        page.close().await;
    }
}
