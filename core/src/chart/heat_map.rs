//! Heat map: data and geometry.

use serde::{Deserialize, Serialize};

use super::geometry::{FONT_SIZE, Rect, Tick, text_width};
use super::scale::{Format, Steps};

/// Values in rows and columns; the first row is at the top.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// The finding, as a sentence; the chart's title.
    pub title: String,
    /// Text alternative for screen readers.
    pub description: String,
    /// Titles of columns, rows and values.
    pub x_label: String,
    pub y_label: String,
    pub value_label: String,
    pub columns: Vec<String>,
    pub rows: Vec<String>,
    /// One row per row name and one column per column name; `None` for a missing value.
    pub cells: Vec<Vec<Option<f64>>>,
    /// Row and column of the outlined cells.
    pub marked: Vec<(usize, usize)>,
}

/// Layout of a heat map, in pixels from the top left corner.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatGeometry {
    pub width: f64,
    pub height: f64,
    pub plot: Rect,
    pub cells: Vec<PlacedCell>,
    pub marks: Vec<Rect>,
    /// Names of columns and rows, as many as fit.
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    /// Base line of the row title, above the rows.
    pub y_label_at: f64,
    pub legend: HeatLegend,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedCell {
    pub rect: Rect,
    /// Opacity of the hue over the background, from 0 to 1.
    pub strength: f64,
    /// The value, if it fits into the cell.
    pub text: Option<String>,
    /// The value with its row and column, for the tooltip.
    pub tooltip: String,
}

/// The color scale: its end values and its position.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatLegend {
    pub bar: Rect,
    pub low: String,
    pub high: String,
    /// Right end of the value title, left of the scale.
    pub label_x: f64,
}

const GAP: f64 = 1.0;
const ROW: f64 = 24.0;
const CELL_FONT_SIZE: f64 = 11.0;
const LEGEND_WIDTH: f64 = 160.0;
/// The faintest cell that is still distinguishable from the background.
const LEAST_STRENGTH: f64 = 0.03;

impl PlacedCell {
    /// CSS classes of the value in the cell, chosen for legibility in both themes.
    pub fn text_class(&self) -> &'static str {
        match self.strength {
            strength if strength < 0.6 => "in-cell",
            strength if strength < 0.81 => "in-cell over-middle",
            _ => "in-cell over-dark",
        }
    }
}

impl HeatMap {
    /// Computes the layout; `width` should be 240 or more, the height follows from it.
    pub fn geometry(&self, width: f64) -> HeatGeometry {
        let name_width = self.rows.iter().map(|row| text_width(row)).fold(0.0, f64::max);
        let left = (name_width + 12.0).round().min(width / 2.0);
        let top = ROW + 12.0 + FONT_SIZE + 8.0;
        let right = width - 16.0;
        let (n_columns, n_rows) = (self.columns.len().max(1), self.rows.len());
        let cell_width = (right - left) / n_columns as f64;
        let cell_height = (cell_width * 0.7).clamp(13.0, 30.0);
        let bottom = top + cell_height * n_rows as f64;
        let (low, high) = self.domain();
        let rect = |row: usize, column: usize| Rect {
            left: left + cell_width * column as f64,
            top: top + cell_height * row as f64,
            right: left + cell_width * (column + 1) as f64 - GAP,
            bottom: top + cell_height * (row + 1) as f64 - GAP,
        };
        let cells = self.cells.iter().enumerate().flat_map(|(row, cells)| {
            cells.iter().enumerate().filter_map(move |(column, value)| {
                let value = (*value)?;
                let strength = (value - low) / (high - low);
                Some(PlacedCell {
                    rect: rect(row, column),
                    strength: strength.clamp(LEAST_STRENGTH, 1.0),
                    text: in_cell(value, cell_width),
                    tooltip: format!(
                        "{} {}, {} {}: {value:.3}",
                        self.y_label, self.rows[row], self.x_label, self.columns[column]
                    ),
                })
            })
        });
        let middle = |start: f64, size: f64, index: usize| start + size * (index as f64 + 0.5);
        let ticks = |names: &[String], start: f64, size: f64, label_size: f64| -> Vec<Tick> {
            let every = (label_size / size).ceil().max(1.0) as usize;
            let names = names.iter().enumerate().step_by(every);
            let tick = |(index, name): (usize, &String)| Tick {
                at: middle(start, size, index) - GAP / 2.0,
                label: name.clone(),
            };
            names.map(tick).collect()
        };
        let column_width = self.columns.iter().map(|name| text_width(name)).fold(0.0, f64::max);
        let high_width = text_width(&number(high));
        let bar_right = right - high_width - 8.0;
        let bar_left = bar_right - LEGEND_WIDTH.min(width * 0.4);
        HeatGeometry {
            width,
            height: bottom + 2.0 * ROW,
            plot: Rect { left, top, right, bottom },
            cells: cells.collect(),
            marks: self.marked.iter().map(|&(row, column)| rect(row, column)).collect(),
            x_ticks: ticks(&self.columns, left, cell_width, column_width + 6.0),
            y_ticks: ticks(&self.rows, top, cell_height, FONT_SIZE),
            y_label_at: top - 10.0,
            legend: HeatLegend {
                bar: Rect { left: bar_left, top: 4.0, right: bar_right, bottom: 20.0 },
                low: number(low),
                high: number(high),
                label_x: bar_left - text_width(&number(low)) - 22.0,
            },
        }
    }

    /// Round end values that cover all values.
    fn domain(&self) -> (f64, f64) {
        let values =
            self.cells.iter().flatten().flatten().copied().filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return (0.0, 1.0);
        }
        Steps::covering(low, high, 10, Format::Plain).domain()
    }
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    // No sign before zero.
    if text == "-0.00" { "0.00".to_owned() } else { text }
}

/// Two decimals, without the leading zero if that makes it fit.
fn in_cell(value: f64, cell_width: f64) -> Option<String> {
    const PADDING: f64 = 4.0;
    let full = number(value);
    let short = full.replacen("0.", ".", 1);
    let width = |text: &str| text.chars().count() as f64 * CELL_FONT_SIZE * 0.56 + PADDING;
    [full, short].into_iter().find(|text| width(text) <= cell_width)
}

#[cfg(test)]
pub(in crate::chart) mod tests {
    use super::super::frame::STYLE;
    use super::*;

    pub(in crate::chart) fn map(n_rows: usize, n_columns: usize) -> HeatMap {
        let names = |n: usize| (0..n).map(|index| index.to_string()).collect();
        let value = |row: usize, column: usize| 0.2 + 0.6 * (row + column) as f64 / 40.0;
        let cells = (0..n_rows)
            .map(|row| (0..n_columns).map(|column| Some(value(row, column))).collect())
            .collect();
        HeatMap {
            title: "Alike & <unlike>".to_owned(),
            description: "Cosines.".to_owned(),
            x_label: "teacher state".to_owned(),
            y_label: "student state".to_owned(),
            value_label: "cosine".to_owned(),
            columns: names(n_columns),
            rows: names(n_rows),
            cells,
            marked: vec![(0, 0)],
        }
    }

    #[test]
    fn every_cell_lies_in_the_plot() {
        for (n_rows, n_columns) in [(1, 1), (8, 13), (20, 37), (3, 120)] {
            let geometry = map(n_rows, n_columns).geometry(640.0);
            let Rect { left, top, right, bottom } = geometry.plot;
            for cell in &geometry.cells {
                assert!(left <= cell.rect.left && cell.rect.right <= right);
                assert!(top <= cell.rect.top && cell.rect.bottom <= bottom);
                assert!((0.0..=1.0).contains(&cell.strength));
            }
            assert_eq!(geometry.cells.len(), n_rows * n_columns);
        }
    }

    #[test]
    fn values_are_written_where_they_fit() {
        let has_text = |n_columns: usize, width: f64| {
            let geometry = map(2, n_columns).geometry(width);
            geometry.cells.iter().any(|cell| cell.text.is_some())
        };
        assert!(has_text(13, 640.0) && !has_text(60, 640.0));
        assert_eq!(in_cell(0.973, 24.0).as_deref(), Some(".97"));
        assert_eq!(in_cell(-0.001, 60.0).as_deref(), Some("0.00"));
    }

    #[test]
    fn names_of_many_columns_are_thinned() {
        let n_ticks = |n_columns: usize| map(2, n_columns).geometry(640.0).x_ticks.len();
        assert!(n_ticks(120) < 60);
        assert_eq!(n_ticks(13), 13);
    }

    /// Relative luminance and contrast as in WCAG 2.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let luminance = |color: [f64; 3]| {
            let linear = color.map(|part| {
                let part = part / 255.0;
                if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    fn color(hex: &str) -> [f64; 3] {
        let short = hex.len() == 3;
        let part = |index: usize| {
            let digits = if short {
                hex[index..=index].repeat(2)
            } else {
                hex[2 * index..2 * index + 2].to_owned()
            };
            f64::from(u8::from_str_radix(&digits, 16).unwrap())
        };
        [part(0), part(1), part(2)]
    }

    /// The color that the style sheet's last rule for `selector` in `css` gives.
    fn fill(css: &str, selector: &str) -> [f64; 3] {
        let rules = css.split('}').filter_map(|rule| rule.rsplit_once('{'));
        let rules = rules.filter(|(selectors, _)| selectors.split(',').any(|one| one == selector));
        let mut hues = rules.filter_map(|(_, body)| body.split("fill:#").nth(1));
        color(hues.next_back().unwrap().split(';').next().unwrap())
    }

    #[test]
    fn values_are_legible_on_every_color_in_both_themes() {
        let (light, dark) = STYLE.split_once("@media(prefers-color-scheme:dark){").unwrap();
        for step in 0..=100 {
            let strength = f64::from(step) / 100.0;
            let rect = Rect { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
            let cell = PlacedCell { rect, strength, text: None, tooltip: String::new() };
            let classes: Vec<String> =
                cell.text_class().split(' ').map(|class| format!(".{class}")).collect();
            for (css, theme) in [(light.to_owned(), "light"), (format!("{light}{dark}"), "dark")] {
                let (hue, ground) = (fill(&css, ".cell"), fill(&css, ".ground"));
                let mixed =
                    [0, 1, 2].map(|part| hue[part] * strength + ground[part] * (1.0 - strength));
                // The last rule wins.
                let mut rules = css.split('}').filter_map(|rule| rule.rsplit_once('{'));
                let is_of_text = |selectors: &str| {
                    selectors.split(',').any(|one| classes.iter().any(|class| class == one))
                };
                let last = rules
                    .rfind(|(selectors, body)| body.contains("fill:#") && is_of_text(selectors))
                    .unwrap();
                let text = last.1.split("fill:#").nth(1).unwrap().split(';').next().unwrap();
                let found = contrast(mixed, color(text));
                assert!(found >= 4.5, "{theme}, strength {strength}: {found:.2}");
            }
        }
    }
}
