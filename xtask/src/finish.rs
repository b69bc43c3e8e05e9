//! Adds to the output of trunk: a file for each view, a policy, a service worker.
//!
//! The result works on any static host, below any path: each view is a folder with its own page.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The folders of `web/src/browser/view.rs`; `tests/house/mod.rs` compares them.
const VIEWS: [&str; 9] =
    ["explore", "compare", "sweep", "lens", "device", "models", "teach", "learn", "about"];

/// What the page may load: its own files and WebAssembly. Weights may come from another server,
/// which the page contacts only at the user's request.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                      img-src 'self' data: blob:; connect-src 'self' http: https:; \
                      worker-src 'self'; \
                      object-src 'none'; base-uri 'self'";

/// The template of the service worker.
const SERVICE_WORKER: &str = "web/service-worker.js";

/// Finishes the output of trunk in `site`.
pub(crate) fn finish(root: &Path, site: &Path) -> Result<()> {
    let index = site.join("index.html");
    let html = read(&index)?;
    let (html, script) = without_inline_script(&html)
        .with_context(|| format!("{} has no inline script to move", index.display()))?;
    let name = format!("start-{}.js", &hash(script.as_bytes())[..16]);
    write(&site.join(&name), &script)?;
    let html =
        html.replacen(MARK, &format!("<script type=\"module\" src=\"./{name}\"></script>"), 1);
    let html =
        with_base(&html, FIRST).with_context(|| format!("{} has no base", index.display()))?;
    let html = with_policy(&html);
    let html = html.replacen(FIRST, &format!("{}{FIRST}", workers(site)), 1);
    write(&index, &html)?;
    for view in VIEWS {
        let folder = site.join(view);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        write(&folder.join("index.html"), &html.replacen(FIRST, "<base href=\"../\">", 1))?;
    }
    let worker = read(&root.join(SERVICE_WORKER))?;
    write(&site.join("service-worker.js"), &service_worker(&worker, site)?)
}

/// The base element of the first page, however trunk has written it.
const FIRST: &str = "<base href=\"./\">";
/// Marks the position of the inline script.
const MARK: &str = "<!-- start -->";

/// The page with a mark instead of trunk's inline script, and that script.
fn without_inline_script(html: &str) -> Option<(String, String)> {
    let start =
        html.find("<script type=\"module\">").or_else(|| html.find("<script type=module>"))?;
    let text = start + html[start..].find('>')? + 1;
    let end = text + html[text..].find("</script>")?;
    let script = html[text..end].trim().to_owned() + "\n";
    let rest = &html[end + "</script>".len()..];
    Some((format!("{}{MARK}{rest}", &html[..start]), script))
}

/// The page with another `<base>` element.
fn with_base(html: &str, base: &str) -> Option<String> {
    let start = html.find("<base ")?;
    let end = start + html[start..].find('>')? + 1;
    Some(format!("{}{base}{}", &html[..start], &html[end..]))
}

fn with_policy(html: &str) -> String {
    let meta = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">{FIRST}");
    html.replacen(FIRST, &meta, 1)
}

/// Which builds of the model's worker the site has: the page chooses among them.
fn workers(site: &Path) -> String {
    let built = ["cpu", "gpu"].into_iter();
    let built: Vec<&str> =
        built.filter(|name| site.join(format!("engine-{name}.js")).is_file()).collect();
    format!("<meta name=\"boomerang-workers\" content=\"{}\">", built.join(","))
}

/// The service worker with the files of this build, except for weights and for the views, which it
/// makes from the first page.
fn service_worker(template: &str, site: &Path) -> Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(site).with_context(|| site.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_twin = [".map", ".br", ".gz"].iter().any(|ending| name.ends_with(ending));
        if entry.file_type()?.is_file() && name != "service-worker.js" && !is_twin {
            files.push(name);
        }
    }
    files.sort();
    let mut build = Sha256::new();
    for file in &files {
        build.update(file);
        build.update(fs::read(site.join(file)).with_context(|| file.clone())?);
    }
    let build = hex(&build.finalize());
    let list = files.iter().map(|file| format!("\"{file}\"")).collect::<Vec<_>>().join(", ");
    Ok(template.replace("__BUILD__", &build[..16]).replace("__FILES__", &format!("[{list}]")))
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "<head><base href=\"./\"></head>\
                         <script type=\"module\">\nimport init from './a.js';\n</script><body>";

    fn finished() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("dist");
        fs::create_dir_all(site.join("bundle")).unwrap();
        fs::create_dir_all(folder.path().join("web")).unwrap();
        fs::write(site.join("index.html"), INDEX).unwrap();
        fs::write(site.join("engine-cpu.js"), "").unwrap();
        let template = "const BUILD = \"__BUILD__\"; const FILES = __FILES__;";
        fs::write(folder.path().join(SERVICE_WORKER), template).unwrap();
        finish(folder.path(), &site).unwrap();
        let html = fs::read_to_string(site.join("index.html")).unwrap();
        (folder, html)
    }

    #[test]
    fn no_script_is_left_in_the_page() {
        let (folder, html) = finished();
        let name = html.split("src=\"./").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let script = fs::read_to_string(folder.path().join("dist").join(name)).unwrap();
        assert!(script.contains("import init"));
        assert!(!html.contains("import init") && html.contains("script-src 'self'"));
    }

    #[test]
    fn every_view_has_a_page_that_finds_its_files_above() {
        let (folder, _) = finished();
        for view in VIEWS {
            let html = folder.path().join("dist").join(view).join("index.html");
            assert!(fs::read_to_string(html).unwrap().contains("<base href=\"../\">"));
        }
    }

    #[test]
    fn the_page_knows_which_workers_its_site_has() {
        let (_folder, html) = finished();
        assert!(html.contains("<meta name=\"boomerang-workers\" content=\"cpu\">"), "{html}");
    }

    #[test]
    fn the_service_worker_knows_the_files_of_its_build() {
        let (folder, _) = finished();
        let worker = fs::read_to_string(folder.path().join("dist/service-worker.js")).unwrap();
        assert!(
            worker.contains("\"engine-cpu.js\"") && worker.contains("\"index.html\""),
            "{worker}"
        );
        assert!(!worker.contains("__"), "{worker}");
    }
}
