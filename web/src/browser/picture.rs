//! A drawing as pixels.

use js_sys::Reflect;
use leptos::prelude::document;
use wasm_bindgen::JsValue;

use crate::browser::js::{call, promised};

/// Pixels for each CSS pixel: enough for a slide.
const SCALE: f64 = 2.0;

/// An SVG document as a PNG, in a `data:` address; `None` if the browser cannot draw it.
pub async fn png(svg: &str, width: f64, height: f64) -> Option<String> {
    draw(svg, width, height).await.ok()
}

async fn draw(svg: &str, width: f64, height: f64) -> Result<String, JsValue> {
    let image = JsValue::from(document().create_element("img")?);
    let address = format!("data:image/svg+xml;charset=utf-8,{}", js_sys::encode_uri_component(svg));
    Reflect::set(&image, &"src".into(), &address.into())?;
    promised(&image, "decode", &[]).await?;

    let canvas = JsValue::from(document().create_element("canvas")?);
    Reflect::set(&canvas, &"width".into(), &(width * SCALE).into())?;
    Reflect::set(&canvas, &"height".into(), &(height * SCALE).into())?;
    let context = call(&canvas, "getContext", &["2d".into()])?;
    let size: [JsValue; 4] = [0.0, 0.0, width * SCALE, height * SCALE].map(JsValue::from);
    let [left, top, right, bottom] = size;
    call(&context, "drawImage", &[image, left, top, right, bottom])?;
    call(&canvas, "toDataURL", &["image/png".into()])?
        .as_string()
        .ok_or_else(|| "no picture".into())
}
