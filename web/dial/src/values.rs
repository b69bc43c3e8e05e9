//! Values that programs read: sizes, the curve, progress and reports, as the declarations have them.

use boomerang_core::curve::{CurveStop, Series};
use boomerang_core::estimate::Estimate;
use boomerang_engine::messages::{Ending, RunReport};
use js_sys::JSON;
use serde::Serialize;
use wasm_bindgen::JsValue;

use boomerang_client::family::FamilyCard;

/// `Size` of the declarations.
#[derive(Debug, Serialize)]
pub struct SizeEntry {
    pub index: usize,
    pub layers: usize,
    pub parameters: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Measured>,
    pub fits: bool,
    pub loaded: bool,
}

#[derive(Debug, Serialize)]
pub struct Measured {
    pub mean: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<f64>,
}

#[derive(Debug, Serialize)]
struct CurvePoint {
    series: &'static str,
    layers: usize,
    parameters: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<Measured>,
}

#[derive(Debug, Serialize)]
pub struct Progress<'a> {
    pub bytes: u64,
    pub total: u64,
    pub path: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    tokens: usize,
    ending: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_second: Option<f64>,
}

/// A plain object of JavaScript.
pub fn object(value: &impl Serialize) -> JsValue {
    // Plain data can always be serialized, and is JSON then.
    let json = serde_json::to_string(value).unwrap_or_default();
    JSON::parse(&json).unwrap_or(JsValue::UNDEFINED)
}

/// The size at an index of the path, which has it.
pub fn size(family: &FamilyCard, index: usize, fits: bool, loaded: bool) -> SizeEntry {
    let patch = &family.path()[index];
    let size = family.size(patch);
    let score = family.score(patch);
    SizeEntry {
        index,
        layers: size.n_layers,
        parameters: size.n_params,
        bytes: size.n_bytes,
        loss: score.and_then(|score| measured(score.nats)),
        accuracy: score.and_then(|score| measured(score.accuracy)),
        fits,
        loaded,
    }
}

/// `CurvePoint` of the declarations, for every measured model.
pub fn curve(family: &FamilyCard) -> JsValue {
    let of = |series: Series| {
        let stops = family.manifest().curve.stops(series).into_iter();
        stops.map(move |stop: CurveStop| CurvePoint {
            series: series.name(),
            layers: stop.n_layers,
            parameters: stop.n_params,
            bytes: stop.size_bytes,
            loss: measured(stop.nats),
            accuracy: measured(stop.accuracy),
        })
    };
    object(&Series::ALL.into_iter().flat_map(of).collect::<Vec<_>>())
}

pub fn report(report: &RunReport) -> JsValue {
    let ending = match report.ending {
        Ending::Length => "length",
        Ending::Window => "window",
        Ending::EndOfText => "end-of-text",
        Ending::Stopped => "stopped",
    };
    let tokens_per_second = report.tokens_per_second();
    object(&Report { tokens: report.n_tokens, ending, tokens_per_second })
}

fn measured(estimate: Option<Estimate>) -> Option<Measured> {
    let Estimate { mean, stderr } = estimate?;
    Some(Measured { mean, stderr: stderr.is_finite().then_some(stderr) })
}

#[cfg(test)]
mod tests {
    use boomerang_client::testing;
    use boomerang_core::checkpoint::Precision;

    use super::*;

    #[test]
    fn what_was_not_measured_is_left_out() {
        let card = testing::card(&testing::family(true), Precision::F32);
        let json = serde_json::to_value(size(&card, 0, true, false)).unwrap();
        let names: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(names, ["bytes", "fits", "index", "layers", "loaded", "parameters"]);
    }

    #[test]
    fn an_unknown_standard_error_is_left_out() {
        let estimate = Estimate { mean: 1.5, stderr: f64::NAN };
        let json = serde_json::to_string(&measured(Some(estimate))).unwrap();
        assert_eq!(json, r#"{"mean":1.5}"#);
    }
}
