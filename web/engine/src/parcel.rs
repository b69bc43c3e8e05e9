//! A message between page and worker: a value as bytes, and beside it files, which are not copied.
//!
//! The bytes are postcard's: decoding them takes a fraction of the code that JSON takes, in the page
//! and in each worker. The first message of a worker has the version, by which different builds are detected.

use js_sys::{Array, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

/// The messages of a worker.
pub trait FromWorker: DeserializeOwned {
    /// The version that the page expects; page and worker are cached as separate files, and this number
    /// distinguishes builds.
    const PROTOCOL: u32;

    /// The worker's version, if this is its first message: the first variant in every build.
    fn protocol(&self) -> Option<u32>;
}

/// A list of the bytes and the files.
pub fn pack(message: &impl Serialize, files: &[Blob]) -> JsValue {
    let files = files.iter().map(|file| JsValue::from(file.clone()));
    let bytes = Uint8Array::from(&*to_bytes(message)).into();
    std::iter::once(bytes).chain(files).collect::<Array>().into()
}

/// The message and the files of a parcel.
///
/// # Errors
/// The reason, when it contains no such message.
pub fn unpack<M: DeserializeOwned>(parcel: &JsValue) -> Result<(M, Vec<Blob>), String> {
    let list = parcel.dyn_ref::<Array>().cloned().unwrap_or_default();
    let bytes = list.get(0).dyn_into::<Uint8Array>().map(|bytes| bytes.to_vec());
    let message = from_bytes(&bytes.unwrap_or_default())?;
    let files = list.iter().skip(1).filter_map(|file| file.dyn_into().ok());
    Ok((message, files.collect()))
}

/// A message's bytes.
pub fn to_bytes(message: &impl Serialize) -> Vec<u8> {
    // Messages are plain data, which can always be serialized.
    postcard::to_allocvec(message).unwrap_or_default()
}

/// The message of these bytes.
///
/// # Errors
/// The reason, when they are invalid.
pub fn from_bytes<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, String> {
    postcard::from_bytes(bytes).map_err(|error| error.to_string())
}
