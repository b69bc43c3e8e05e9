//! The SVG element around every chart: size, title and description, and in a file also style and
//! data.

use std::fmt::{self, Write};

use serde::Serialize;

/// Style sheet of all charts, with the hues of the page. A document that embeds a file may set
/// `color-scheme`; a page with inline elements includes this style sheet once.
///
/// Without CSS variables and with the background as a shape, for viewers that support only SVG 1.1.
pub const STYLE: &str = "\
svg{color-scheme:light dark;font:14px system-ui,sans-serif;fill:#26262b}.ground{fill:#fffdf9}\
.grid{stroke:#e6e1d8}.axis{stroke:#8b877f}.quiet{fill:#63605a}.reference{stroke:#8b877f;stroke-dasharray:2 3}\
.line{fill:none;stroke-width:2;stroke-linejoin:round}.error{fill:none;stroke-width:1.25}\
.marker{stroke-width:1.5;stroke:#fffdf9}.here{fill:none;stroke:#26262b;stroke-width:2}\
.series-1 .line,.series-1 .error{stroke:#17607f}.series-1 .marker{fill:#17607f}\
.series-2 .line,.series-2 .error{stroke:#8a4b16}.series-2 .marker{fill:#8a4b16}\
.series-3 .line,.series-3 .error{stroke:#74508f}.series-3 .marker{fill:#74508f}\
.series-4 .line,.series-4 .error{stroke:#3d6b35}.series-4 .marker{fill:#3d6b35}\
.series-5 .line,.series-5 .error{stroke:#9c2f5d}.series-5 .marker{fill:#9c2f5d}\
.series-6 .line,.series-6 .error{stroke:#6b6420}.series-6 .marker{fill:#6b6420}\
.cell,.bar{fill:#17607f}.bar-2{fill:#8a4b16}.bar-2 rect{fill-opacity:.25;stroke:#8a4b16;stroke-width:1.5;stroke-dasharray:4 2}\
.small,.in-cell{font-size:11px}.in-cell{fill:#000}.over-dark{fill:#fff}.mark{fill:none;stroke:#8a4b16;stroke-width:2}\
@media(prefers-color-scheme:dark){svg{fill:#ece8e1}.ground{fill:#17181c}\
.grid{stroke:#2e3036}.axis{stroke:#85827c}.quiet{fill:#aaa69e}.reference{stroke:#85827c}\
.marker{stroke:#17181c}.here{stroke:#ece8e1}\
.series-1 .line,.series-1 .error{stroke:#6cbfe0}.series-1 .marker{fill:#6cbfe0}\
.series-2 .line,.series-2 .error{stroke:#e8a066}.series-2 .marker{fill:#e8a066}\
.series-3 .line,.series-3 .error{stroke:#c49be3}.series-3 .marker{fill:#c49be3}\
.series-4 .line,.series-4 .error{stroke:#8fc784}.series-4 .marker{fill:#8fc784}\
.series-5 .line,.series-5 .error{stroke:#ef8fb3}.series-5 .marker{fill:#ef8fb3}\
.series-6 .line,.series-6 .error{stroke:#d3c66b}.series-6 .marker{fill:#d3c66b}\
.cell,.bar{fill:#6cbfe0}.bar-2{fill:#e8a066}.bar-2 rect{stroke:#e8a066}\
.in-cell{fill:#fff}.over-middle,.over-dark{fill:#000}.mark{stroke:#e8a066}}";

/// Margin around the chart; the last label of an axis may extend into it.
const MARGIN: f64 = 14.0;

/// Where a chart is used.
#[derive(Clone, Copy, Debug)]
pub(super) enum SvgTarget<'id> {
    /// A standalone file: for light and dark themes, with its data embedded.
    File,
    /// An inline element of a page: its element ids start with `id`.
    Page { id: &'id str },
}

impl SvgTarget<'_> {
    /// Margin to the left and above; a page brings its own.
    fn start(self) -> f64 {
        match self {
            Self::File => MARGIN,
            Self::Page { .. } => 0.0,
        }
    }

    /// Width or height inside the margins, given the outer one.
    pub(super) fn inner_length(self, length: f64) -> f64 {
        length - self.start() - MARGIN
    }
}

/// The SVG of a chart of `size`, without the margin, with the content that `draw` writes.
///
/// `texts` are its title and description.
pub(super) fn frame(
    target: SvgTarget<'_>,
    texts: (&str, &str),
    data: &impl Serialize,
    size: (f64, f64),
    draw: impl FnOnce(&mut String) -> fmt::Result,
) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = open(&mut svg, target, texts, data, size);
    let _ = draw(&mut svg);
    let _ = writeln!(svg, "</svg>");
    svg
}

fn open(
    svg: &mut String,
    target: SvgTarget<'_>,
    texts: (&str, &str),
    data: &impl Serialize,
    size: (f64, f64),
) -> fmt::Result {
    let start = target.start();
    let (width, height) = (size.0 + start + MARGIN, size.1 + start + MARGIN);
    let (title, description) = (escape(texts.0), escape(texts.1));
    match target {
        SvgTarget::File => {
            let data = serde_json::to_string(data).map_err(|_| fmt::Error)?;
            writeln!(
                svg,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-{start} -{start} {width} {height}\" \
                 width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">"
            )?;
            writeln!(svg, "<title id=\"title\">{title}</title>")?;
            writeln!(svg, "<desc id=\"desc\">{description}</desc>")?;
            writeln!(svg, "<metadata>{}</metadata>", escape(&data))?;
            writeln!(svg, "<style>{STYLE}</style>")?;
            writeln!(
                svg,
                "<rect class=\"ground\" x=\"-{start}\" y=\"-{start}\" width=\"{width}\" height=\"{height}\"/>"
            )
        }
        SvgTarget::Page { id } => {
            let id = escape(id);
            writeln!(
                svg,
                "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
                 role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">"
            )?;
            writeln!(svg, "<title id=\"{id}-title\">{title}</title>")?;
            writeln!(svg, "<desc id=\"{id}-desc\">{description}</desc>")
        }
    }
}

/// Escapes text for an element or attribute in SVG and HTML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::two_series;

    #[test]
    fn charts_on_one_page_share_no_id() {
        let ids = |id: &str| {
            let svg = two_series().to_element(id, 320.0, 240.0);
            let ids = svg.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
            ids.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(ids("a"), ["a-title", "a-desc"]);
        assert!(ids("b").iter().all(|id| !ids("a").contains(id)));
    }
}
