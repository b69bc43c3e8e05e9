//! The orders that a search compared: `order.json`.

use std::path::{Path, PathBuf};

use boomerang_core::chart::{Axis, Chart, Format, Point, Series, SeriesStyle};
use serde::Deserialize;

use crate::error::{Context as _, ReportError, Result};
use crate::import::read_json;

/// One order, with the results of its sizes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Order {
    #[serde(rename = "order")]
    pub name: String,
    pub sizes: Vec<OrderSize>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct OrderSize {
    pub layers: u64,
    #[serde(default)]
    pub patched: Vec<u64>,
    pub kl: f64,
    pub kl_stderr: Option<f64>,
    pub nats: f64,
    pub nats_stderr: Option<f64>,
}

/// What one or several searches compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Orders {
    pub orders: Vec<Order>,
    /// Methods and the orders they found.
    pub found: Vec<(String, Vec<u64>)>,
}

#[derive(Deserialize)]
struct OrdersFile {
    format: String,
    method: String,
    order: Vec<u64>,
    #[serde(default)]
    compared: Vec<Order>,
    #[serde(default)]
    best_by_size: Vec<OrderSize>,
}

/// The best set of each size, whatever the order.
const BEST: &str = "best of each size";

impl Orders {
    /// Reads the files of searches; an order that several have in common is kept once.
    ///
    /// # Errors
    /// Names the file that is not the output of a search.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut orders = Self::default();
        for path in paths {
            let file = read_file(path)?;
            let mut compared = file.compared;
            if !file.best_by_size.is_empty() {
                compared.push(Order { name: BEST.to_owned(), sizes: file.best_by_size });
            }
            for mut order in compared {
                if orders.orders.contains(&order) {
                    continue;
                }
                if orders.orders.iter().any(|other| other.name == order.name) {
                    order.name = format!("{} ({})", order.name, path.display());
                }
                orders.orders.push(order);
            }
            orders.found.push((file.method, file.order));
        }
        Ok(orders)
    }

    /// Mean divergence of an order's sizes strictly between student and teacher; `None` without
    /// any.
    pub(crate) fn mean_between(order: &Order) -> Option<f64> {
        let layers = || order.sizes.iter().map(|size| size.layers);
        let (least, most) = (layers().min()?, layers().max()?);
        let between = order.sizes.iter().filter(|size| size.layers > least && size.layers < most);
        let values: Vec<f64> = between.map(|size| size.kl).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// The order that is closest to the teacher over the sizes between, followed by the others.
    pub(crate) fn finding(&self) -> Option<String> {
        let means = self.orders.iter().filter(|order| !order.name.starts_with(BEST));
        let mut means: Vec<(&str, f64)> =
            means.filter_map(|order| Some((&*order.name, Self::mean_between(order)?))).collect();
        means.sort_by(|a, b| a.1.total_cmp(&b.1));
        let ((name, mean), others) = means.split_first()?;
        let others: Vec<String> =
            others.iter().map(|(name, mean)| format!("{name} {mean:.4}")).collect();
        let behind =
            if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
        Some(format!(
            "Over the sizes between student and teacher, the order {name} is closest to the teacher: mean \
             KL divergence {mean:.4} nats{behind}."
        ))
    }

    /// Divergence over layers, a line for each order; `None` when nothing was compared.
    pub(crate) fn chart(&self) -> Option<Chart> {
        let series = self.orders.iter().filter(|order| !order.sizes.is_empty()).enumerate();
        let series: Vec<Series> = series
            .map(|(index, order)| {
                let mut points: Vec<Point> = order
                    .sizes
                    .iter()
                    .map(|size| Point {
                        x: size.layers as f64,
                        y: size.kl,
                        stderr: size.kl_stderr.filter(|stderr| *stderr > 0.0),
                        note: None,
                    })
                    .collect();
                points.sort_by(|a, b| a.x.total_cmp(&b.x));
                Series { name: order.name.clone(), style: SeriesStyle::at(index), points }
            })
            .collect();
        (!series.is_empty()).then(|| Chart {
            title: self.finding().unwrap_or_else(|| "KL divergence from the teacher by size".to_owned()),
            description: "KL divergence from the teacher on the calibration texts, in nats/token, by \
                          number of layers, for each patching order. Bars: one standard error each way."
                .to_owned(),
            x: Axis { label: "layers".to_owned(), format: Format::Count },
            y: Axis {
                label: "KL from the teacher in nats/token (lower is better)".to_owned(),
                format: Format::Plain,
            },
            series,
            reference: None,
            here: None,
        })
    }
}

fn read_file(path: &Path) -> Result<OrdersFile> {
    let value = read_json(path)?;
    let file: Result<OrdersFile> = serde_json::from_value(value)
        .with_context(|| "expected the order that `boomerang search` writes".to_owned())
        .with_context(|| path.display().to_string());
    let file = file?;
    if file.format != boomerang_core::plan::OrderFile::FORMAT {
        return Err(ReportError::Unusable(format!(
            "{} has format {:?}; expected {:?}",
            path.display(),
            file.format,
            boomerang_core::plan::OrderFile::FORMAT
        )));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(name: &str, kls: &[f64]) -> Order {
        let sizes = kls.iter().zip(3..).map(|(&kl, layers)| OrderSize {
            layers,
            patched: Vec::new(),
            kl,
            kl_stderr: Some(0.001),
            nats: 2.0,
            nats_stderr: None,
        });
        Order { name: name.to_owned(), sizes: sizes.collect() }
    }

    #[test]
    fn the_closest_order_is_named_with_its_numbers() {
        let orders =
            vec![order("last", &[0.4, 0.3, 0.2, 0.0]), order("klpatch", &[0.4, 0.2, 0.1, 0.0])];
        let orders = Orders { orders, found: Vec::new() };
        assert_eq!(
            orders.finding().unwrap(),
            "Over the sizes between student and teacher, the order klpatch is closest to the teacher: \
             mean KL divergence 0.1500 nats; last 0.2500."
        );
    }

    #[test]
    fn an_order_without_sizes_between_has_no_mean() {
        assert_eq!(Orders::mean_between(&order("last", &[0.4, 0.0])), None);
    }
}
