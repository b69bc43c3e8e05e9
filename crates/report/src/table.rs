//! A table that can be written as HTML, as Markdown and as CSV.

use std::fmt::Write as _;

use boomerang_core::chart::escape;

/// Rows of text under named columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it shows, as a sentence.
    pub caption: String,
    pub columns: Vec<Column>,
    /// Each as long as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// A name, and whether its cells are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub is_number: bool,
}

impl Table {
    /// A column's name ends in `#` when its cells are numbers.
    pub fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        let column = |name: &&str| match name.strip_suffix('#') {
            Some(name) => Column { name: name.to_owned(), is_number: true },
            None => Column { name: (*name).to_owned(), is_number: false },
        };
        Self {
            caption: caption.into(),
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// One row; missing cells are empty.
    pub fn push<Cell: Into<String>>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    pub(crate) fn to_html(&self) -> String {
        let class = |column: &Column| if column.is_number { " class=\"number\"" } else { "" };
        let mut html = String::from("<div class=\"scroll\"><table>\n");
        // Writing to a string cannot fail.
        if !self.caption.is_empty() {
            let _ = writeln!(html, "<caption>{}</caption>", escape(&self.caption));
        }
        html.push_str("<thead><tr>");
        for column in &self.columns {
            let _ =
                write!(html, "<th scope=\"col\"{}>{}</th>", class(column), escape(&column.name));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (index, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
                let cell = escape(cell);
                // The first cell names its row.
                let _ = if index == 0 {
                    write!(html, "<th scope=\"row\"{}>{cell}</th>", class(column))
                } else {
                    write!(html, "<td{}>{cell}</td>", class(column))
                };
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }

    pub fn to_markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut markdown = String::new();
        if !self.caption.is_empty() {
            let _ = writeln!(markdown, "{}\n", markdown_text(&self.caption));
        }
        markdown.push_str(&line(self.columns.iter().map(|c| markdown_text(&c.name)).collect()));
        let rule = |column: &Column| if column.is_number { "---:" } else { "---" }.to_owned();
        markdown.push_str(&line(self.columns.iter().map(rule).collect()));
        for row in &self.rows {
            markdown.push_str(&line(row.iter().map(|cell| markdown_text(cell)).collect()));
        }
        markdown
    }

    /// For a terminal: columns as wide as their widest cell, separated by two spaces.
    pub fn to_text(&self) -> String {
        let header = self.columns.iter().map(|column| column.name.clone()).collect();
        let lines: Vec<Vec<String>> =
            [header].into_iter().chain(self.rows.iter().cloned()).collect();
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for line in &lines {
            let cells =
                line.iter().zip(&self.columns).zip(&widths).map(|((cell, column), width)| {
                    match column.is_number {
                        true => format!("{cell:>width$}"),
                        false => format!("{cell:<width$}"),
                    }
                });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    pub fn to_csv(&self) -> String {
        let line = |cells: Vec<String>| format!("{}\n", cells.join(","));
        let header = line(self.columns.iter().map(|column| csv_field(&column.name)).collect());
        let rows =
            self.rows.iter().map(|row| line(row.iter().map(|cell| csv_field(cell)).collect()));
        header + &rows.collect::<String>()
    }
}

/// Text escaped for Markdown: on one line, without HTML, and inside its cell.
pub fn markdown_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => safe.extend(['\\', character]),
            control if control.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Table {
        let mut table = Table::new("Sizes", &["name", "layers#"]);
        table.push(["<script>alert(1)</script> | a,\"b\"\n", "3"]);
        table
    }

    #[test]
    fn html_stays_text() {
        let html = hostile().to_html();
        assert!(html.contains("<th scope=\"row\">&lt;script&gt;"), "{html}");
        assert!(!html.contains("<script>"));
        assert!(html.contains("<td class=\"number\">3</td>"));
    }

    #[test]
    fn a_cell_of_markdown_stays_in_its_row() {
        let markdown = hostile().to_markdown();
        let row = markdown.lines().last().unwrap();
        assert_eq!(row, r#"| &lt;script&gt;alert(1)&lt;/script&gt; \| a,"b"  | 3 |"#);
    }

    #[test]
    fn a_field_with_commas_is_quoted() {
        let csv = hostile().to_csv();
        assert!(csv.ends_with("\"<script>alert(1)</script> | a,\"\"b\"\"\n\",3\n"), "{csv}");
    }

    #[test]
    fn columns_of_a_terminal_are_aligned() {
        let mut table = Table::new("", &["name", "n#"]);
        table.push(["abcdef", "10"]);
        assert_eq!(table.to_text(), "name     n\nabcdef  10\n");
    }

    #[test]
    fn a_short_row_is_filled() {
        let mut table = Table::new("", &["a", "b#"]);
        table.push(["x"]);
        assert_eq!(table.rows[0], ["x", ""]);
    }
}
