//! What is in the package: its files, declarations and tarball.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use boomerang_tests::{read, root};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::{open, package, script};

/// Files of the tarball by their names below package/, with its compressed size.
fn tarball() -> (BTreeMap<String, Vec<u8>>, usize) {
    let path =
        package().with_file_name(format!("boomerang-dial-{}.tgz", env!("CARGO_PKG_VERSION")));
    let packed = read(path);
    let mut bytes = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut bytes).unwrap();
    let mut files = BTreeMap::new();
    let mut rest = &*bytes;
    while rest[0] != 0 {
        let (header, after) = rest.split_at(512);
        let text = |from: usize, n: usize| {
            let field = &header[from..from + n];
            String::from_utf8_lossy(field.split(|&byte| byte == 0).next().unwrap()).into_owned()
        };
        let n_bytes = usize::from_str_radix(text(124, 12).trim(), 8).unwrap();
        let name = text(0, 100).strip_prefix("package/").expect("below package/").to_owned();
        files.insert(name, after[..n_bytes].to_vec());
        rest = &after[n_bytes.next_multiple_of(512)..];
    }
    (files, packed.len())
}

fn text(file: &str) -> String {
    String::from_utf8(read(package().join(file))).unwrap()
}

#[test]
fn the_tarball_has_every_file_that_the_package_refers_to() {
    let (files, n_bytes) = tarball();
    println!("boomerang-dial: {} files, {} kB", files.len(), n_bytes.div_ceil(1000));
    assert!(n_bytes < 2_100_000, "{n_bytes} bytes");
    let manifest: Value = serde_json::from_slice(&files["package.json"]).unwrap();
    assert_eq!(
        [&manifest["name"], &manifest["version"]],
        [&json!("boomerang-dial"), &json!(env!("CARGO_PKG_VERSION"))]
    );
    let mut named = vec![manifest["types"].clone()];
    for export in manifest["exports"].as_object().unwrap().values() {
        match export {
            Value::Object(conditions) => named.extend(conditions.values().cloned()),
            path => named.push(path.clone()),
        }
    }
    let side_effects = manifest["sideEffects"].as_array().unwrap();
    for path in named.iter().chain(side_effects) {
        let path = path.as_str().unwrap().strip_prefix("./").expect("a relative path");
        assert!(files.contains_key(path), "{path} is missing");
    }
    for name in ["README.md", "LICENSE-MIT", "boomerang_dial_bg.wasm", "engine-cpu_bg.wasm"] {
        assert!(files.contains_key(name), "{name} is missing");
    }
}

#[test]
fn nothing_in_the_tarball_names_a_path_of_this_machine() {
    let home = std::env::var("HOME").unwrap_or_default();
    let root = root().canonicalize().unwrap().display().to_string();
    for (name, bytes) in tarball().0 {
        for path in [format!("{home}/.cargo"), root.clone()] {
            let is_there = bytes.windows(path.len()).any(|window| window == path.as_bytes());
            assert!(!is_there, "{name} has {path}");
        }
    }
}

#[test]
fn no_script_evaluates_text() {
    for (name, bytes) in tarball().0.into_iter().filter(|(name, _)| name.ends_with(".js")) {
        let script = String::from_utf8(bytes).unwrap();
        for word in ["eval(", "new Function(", "document.write", "innerHTML"] {
            assert!(!script.contains(word), "{name} has {word}");
        }
    }
}

/// The words between the braces of `export { … }`.
fn exported(text: &str, start: &str) -> BTreeSet<String> {
    let lists = text.split(start).skip(1).filter_map(|rest| rest.split('}').next());
    lists
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_declared_name_is_in_the_generated_declarations() {
    let generated = text("boomerang_dial.d.ts");
    for file in ["index.d.ts", "element.d.ts"] {
        let text = text(file);
        let names = [exported(&text, "export {"), exported(&text, "export type {")];
        assert!(!names[0].is_empty());
        for name in names.iter().flatten() {
            let is_there = ["class", "interface", "function", "type"]
                .iter()
                .any(|kind| generated.contains(&format!("{kind} {name}")));
            assert!(is_there, "{file} exports {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_export_what_is_declared_and_no_globals() {
    let (page, _server) = open(None).await;
    let body = "const before = new Set(Object.getOwnPropertyNames(window)); \
                const [api, element] = await Promise.all([import('/boomerang-dial/index.js'), \
                                                          import('/boomerang-dial/element.js')]); \
                const family = await load('bundle/'); \
                const has = (object, names) => names.filter(name => !(name in object)); \
                return [Object.keys(api), Object.keys(element), \
                        Object.getOwnPropertyNames(window).filter(name => !before.has(name)), \
                        has(family, args[0])];";
    let generated = text("boomerang_dial.d.ts");
    let class = generated.split("export class Family {").nth(1).unwrap();
    let members: Vec<String> = class
        .split("\n}")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("    ") && !line.trim_start().starts_with(['*', '/']))
        .filter_map(|line| {
            let line = line.trim().trim_start_matches("readonly ");
            Some(line.split(['(', ':', '?']).next()?.to_owned())
        })
        .filter(|name| !name.starts_with(['[', 'p']) || name == "prompts")
        .collect();
    assert!(members.contains(&"generate".to_owned()), "{members:?}");
    let found = script(&page, body, vec![json!(members)]).await;
    let values = exported(&text("index.d.ts"), "export {");
    let names =
        |list: &Value| -> BTreeSet<String> { serde_json::from_value(list.clone()).unwrap() };
    assert_eq!(names(&found[0]), values);
    assert_eq!(names(&found[1]), exported(&text("element.d.ts"), "export {"));
    assert_eq!([&found[2], &found[3]], [&json!([]); 2], "{found}");
    page.close().await;
}
