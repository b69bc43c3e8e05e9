//! The types of arguments and results, as declarations for TypeScript.
//!
//! `wasm-bindgen` writes them into `boomerang_dial.d.ts`, with those of the exported functions.

use wasm_bindgen::prelude::wasm_bindgen;

/// Of plain objects, errors and events.
pub const DECLARATIONS: &str = include_str!("types.d.ts");

#[wasm_bindgen(typescript_custom_section)]
const SECTION: &str = DECLARATIONS;

#[wasm_bindgen]
extern "C" {
    /// An address, absolute or relative to the page.
    #[wasm_bindgen(typescript_type = "string | URL")]
    pub type Address;

    #[wasm_bindgen(typescript_type = "LoadOptions")]
    pub type LoadOptions;

    #[wasm_bindgen(typescript_type = "string | readonly ChatMessage[]")]
    pub type PromptArgument;

    #[wasm_bindgen(typescript_type = "GenerateOptions")]
    pub type GenerateOptions;

    #[wasm_bindgen(typescript_type = "PromptOptions")]
    pub type PromptOptions;

    #[wasm_bindgen(typescript_type = "number")]
    pub type SizeIndex;

    #[wasm_bindgen(typescript_type = "Generation")]
    pub type GenerationObject;

    #[wasm_bindgen(typescript_type = "readonly Size[]")]
    pub type SizeList;

    #[wasm_bindgen(typescript_type = "readonly CurvePoint[]")]
    pub type CurveList;

    #[wasm_bindgen(typescript_type = "Promise<void>")]
    pub type VoidPromise;

    #[wasm_bindgen(typescript_type = "Promise<Float32Array>")]
    pub type LogitsPromise;
}
