//! Files and folders that the user drops on the page or chooses in a field.

use js_sys::{Array, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use crate::browser::files::NamedFile;
use crate::browser::js::call;

/// A family of models has fewer than a hundred.
const MOST_FILES: usize = 10_000;

/// The dropped entries, read during the event; folders are listed later.
pub struct Dropped(Vec<JsValue>);

impl Dropped {
    /// Dragged texts belong to the field under them.
    pub fn is_of_files(event: &leptos::ev::DragEvent) -> bool {
        let types = Reflect::get(event, &"dataTransfer".into())
            .and_then(|transfer| Reflect::get(&transfer, &"types".into()));
        types.is_ok_and(|types| Array::from(&types).includes(&"Files".into(), 0))
    }

    /// `None` when no file was dropped.
    pub fn of(event: &leptos::ev::DragEvent) -> Option<Self> {
        let items = Reflect::get(event, &"dataTransfer".into())
            .and_then(|transfer| Reflect::get(&transfer, &"items".into()))
            .ok()?;
        let items = Array::from(&items);
        let entries = items.iter().filter_map(|item| {
            let entry = call(&item, "webkitGetAsEntry", &[]).ok()?;
            (!entry.is_null() && !entry.is_undefined()).then_some(entry)
        });
        let entries: Vec<JsValue> = entries.collect();
        (!entries.is_empty()).then_some(Self(entries))
    }

    /// All files, with their folders in their names.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub async fn files(self) -> Result<Vec<NamedFile>, JsValue> {
        let mut waiting = self.0;
        let mut files = Vec::new();
        while let Some(entry) = waiting.pop() {
            if waiting.len() + files.len() > MOST_FILES {
                return Err(format!("there are more than {MOST_FILES} files").into());
            }
            if Reflect::get(&entry, &"isFile".into())?.is_truthy() {
                let file: Blob = called_back(&entry, "file").await?.unchecked_into();
                let path = Reflect::get(&entry, &"fullPath".into())?;
                files.push((path.as_string().unwrap_or_default(), file));
            } else {
                let reader = call(&entry, "createReader", &[])?;
                loop {
                    let some = Array::from(&called_back(&reader, "readEntries").await?);
                    if some.length() == 0 {
                        break;
                    }
                    waiting.extend(some.iter());
                }
            }
        }
        Ok(files)
    }
}

/// The files chosen in a field, which is cleared so that the same files can be chosen again.
pub fn chosen(event: &leptos::ev::Event) -> Vec<NamedFile> {
    let text = |file: &JsValue, key: &str| {
        Reflect::get(file, &key.into()).ok().and_then(|value| value.as_string())
    };
    let files = event.target().and_then(|field| Reflect::get(&field, &"files".into()).ok());
    let files = files.map(|files| Array::from(&files)).unwrap_or_default();
    let file = |file: JsValue| {
        let path = text(&file, "webkitRelativePath").filter(|path| !path.is_empty());
        let name = path.or_else(|| text(&file, "name")).unwrap_or_default();
        (name, file.unchecked_into())
    };
    let files = files.iter().map(file).collect();
    if let Some(field) = event.target() {
        // A field that is not cleared gives no event for the same files.
        let _ = Reflect::set(&field, &"value".into(), &"".into());
    }
    files
}

/// The result of a method that takes two callbacks, for success and failure.
async fn called_back(object: &JsValue, name: &str) -> Result<JsValue, JsValue> {
    let promise = Promise::new(&mut |resolve, reject| {
        let arguments = [resolve.into(), JsValue::from(&reject)];
        if let Err(error) = call(object, name, &arguments) {
            // Rejecting a promise twice has no effect.
            let _ = reject.call1(&JsValue::NULL, &error);
        }
    });
    JsFuture::from(promise).await
}
