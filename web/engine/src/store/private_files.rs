//! Files in the browser's private file system, which only secure contexts have.

use std::collections::BTreeMap;

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::bindings::{
    Content, FileHandle, Folder, SyncHandle, error_name, given, manager, option, scope, timer,
};
use crate::fetch::reason;

/// Below the root of the origin's files.
const FOLDER: &str = "boomerang-models";

/// Read at once.
const PIECE: f64 = (4 << 20) as f64;

/// A folder of files, by name.
pub(super) struct PrivateFiles {
    folder: Folder,
}

/// A file being written; no other tab can write it before this is dropped.
pub(super) struct FileWriter {
    handle: SyncHandle,
}

impl PrivateFiles {
    /// # Errors
    /// Why they are not available.
    pub(super) async fn open() -> Result<Self, String> {
        if !scope().is_secure() {
            let why = "browsers offer their private file system only over https or on localhost";
            return Err(why.to_owned());
        }
        let lacks = || "this browser has no private file system for workers".to_owned();
        let manager = manager().ok_or_else(lacks)?;
        // Only workers have them; the page does not write.
        if scope().sync_handles().is_undefined() {
            return Err(lacks());
        }
        let open = async {
            let root: Folder = given(manager.directory()).await?;
            given(root.folder(FOLDER, &option("create", true))).await
        };
        let folder = open.await.map_err(|error: JsValue| reason(&error))?;
        Ok(Self { folder })
    }

    pub(super) async fn sizes(&self) -> Result<BTreeMap<String, u64>, JsValue> {
        let names = self.folder.keys()?;
        let mut sizes = BTreeMap::new();
        loop {
            let next = JsFuture::from(names.next()?).await?;
            let Some(name) = Reflect::get(&next, &"value".into())?.as_string() else {
                return Ok(sizes);
            };
            // Another tab may have removed it in the meantime.
            if let Ok(content) = self.content(&name).await {
                sizes.insert(name, content.size() as u64);
            }
        }
    }

    /// Reads a file piece by piece; no pieces if it does not exist.
    pub(super) async fn read(
        &self,
        name: &str,
        each: &mut dyn FnMut(&Uint8Array),
    ) -> Result<(), JsValue> {
        let Ok(content) = self.content(name).await else { return Ok(()) };
        let mut start = 0.0;
        while start < content.size() {
            let buffer: JsValue = given(content.slice(start, start + PIECE).buffer()).await?;
            each(&Uint8Array::new(&buffer));
            start += PIECE;
        }
        Ok(())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), JsValue> {
        match given::<JsValue>(self.folder.remove(name)).await {
            Err(error) if error_name(&error) != "NotFoundError" => Err(error),
            _ => Ok(()),
        }
    }

    /// Opens a file for writing and truncates it to its first `start` bytes.
    pub(super) async fn write(&self, name: &str, start: u64) -> Result<FileWriter, JsValue> {
        let file = self.folder.file(name, &option("create", true));
        let file: FileHandle = given(file).await?;
        let mut n_tries = 0;
        let handle: SyncHandle = loop {
            match given(file.writable()).await {
                // The worker of the page before a reload takes a moment to release it.
                Err(error) if is_locked(&error) && n_tries < 10 => {
                    n_tries += 1;
                    given::<JsValue>(Ok(timer(50))).await?;
                }
                handle => break handle?,
            }
        };
        let writer = FileWriter { handle };
        writer.handle.truncate(start as f64)?;
        Ok(writer)
    }

    async fn content(&self, name: &str) -> Result<Content, JsValue> {
        let file: JsValue = given(self.folder.file(name, &option("create", false))).await?;
        given(file.unchecked_ref::<FileHandle>().content()).await
    }
}

impl FileWriter {
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), JsValue> {
        let n_written = self.handle.write(bytes, &option("at", at as f64))?;
        if n_written as usize == bytes.len() {
            Ok(())
        } else {
            Err(JsValue::from_str("only a part was written to the file"))
        }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // Bytes lost by a failed flush are detected by the file's hash.
        let _ = self.handle.flush();
        self.handle.close();
    }
}

/// Whether another context is writing the file.
pub(super) fn is_locked(error: &JsValue) -> bool {
    matches!(error_name(error).as_str(), "NoModificationAllowedError" | "InvalidStateError")
}
