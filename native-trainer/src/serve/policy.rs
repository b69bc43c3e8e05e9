//! The page's Content-Security-Policy: what it may load, and which inline scripts may run.

use sha2::{Digest, Sha256};

/// The policy for a page: its own files, WebAssembly, and its inline scripts. Weights may come from
/// another server, which the page contacts only at the user's request.
pub(super) fn for_page(html: &str) -> String {
    let hashes: String = inline_scripts(html)
        .into_iter()
        .map(|script| format!(" 'sha256-{}'", base64(&Sha256::digest(script))))
        .collect();
    format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self'; \
         img-src 'self' data: blob:; connect-src 'self' http: https:; worker-src 'self' blob:; object-src 'none'; \
         base-uri 'self'"
    )
}

/// Texts of `<script>` elements without `src`: trunk writes the page's loader into one.
fn inline_scripts(html: &str) -> Vec<String> {
    // The browser, too, hashes the text after normalizing line ends.
    let html = html.replace("\r\n", "\n");
    // ASCII letters change case in index, so that positions stay the same.
    let lowercase = html.to_ascii_lowercase();
    let mut scripts = Vec::new();
    let mut position = 0;
    while let Some(tag) = find(&lowercase, "<script", position) {
        let Some(start) = find(&lowercase, ">", tag).map(|end| end + 1) else { break };
        let Some(end) = find(&lowercase, "</script", start) else { break };
        if !lowercase[tag..start].contains(" src=") && start < end {
            scripts.push(html[start..end].to_owned());
        }
        position = end;
    }
    scripts
}

fn find(text: &str, pattern: &str, from: usize) -> Option<usize> {
    text[from..].find(pattern).map(|position| from + position)
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_rfc() {
        let coded = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()));
        assert_eq!(coded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    /// The hash of `alert('Hello, world.');` is the example of the W3C's CSP specification.
    #[test]
    fn an_inline_script_is_allowed_by_its_hash() {
        let policy = for_page("<SCRIPT type=module>alert('Hello, world.');</SCRIPT>");
        assert!(
            policy.contains("'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"),
            "{policy}"
        );
    }

    #[test]
    fn only_scripts_with_a_text_of_their_own_are_hashed() {
        let html =
            r#"<script src="a.js"></script><script>one</script><b>no</b><script>two</script>"#;
        assert_eq!(inline_scripts(html), ["one", "two"]);
    }

    #[test]
    fn a_torn_page_has_no_scripts() {
        for html in ["<script", "<script>", "<script>never ends"] {
            assert!(inline_scripts(html).is_empty());
        }
    }
}
