//! The browser's private file system and IndexedDB, as far as they are used here.
//!
//! Bound by hand: a browser may lack any of it, and then a call has to fail instead of throwing
//! through the worker.

use js_sys::{Array, AsyncIterator, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    pub(super) type Scope;
    #[wasm_bindgen(method, getter = isSecureContext)]
    pub(super) fn is_secure(this: &Scope) -> bool;
    #[wasm_bindgen(method, getter = indexedDB, catch)]
    pub(super) fn indexed_db(this: &Scope) -> Result<Option<Factory>, JsValue>;
    #[wasm_bindgen(method, getter = FileSystemSyncAccessHandle)]
    pub(super) fn sync_handles(this: &Scope) -> JsValue;
    #[wasm_bindgen(method, getter)]
    pub(super) fn navigator(this: &Scope) -> Navigator;
    #[wasm_bindgen(method, js_name = setTimeout)]
    fn set_timeout(this: &Scope, then: &Function, millis: u32);

    pub(super) type Navigator;
    #[wasm_bindgen(method, getter)]
    pub(super) fn storage(this: &Navigator) -> Option<Manager>;

    pub(super) type Manager;
    #[wasm_bindgen(method, catch, js_name = getDirectory)]
    pub(super) fn directory(this: &Manager) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn estimate(this: &Manager) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn persist(this: &Manager) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn persisted(this: &Manager) -> Result<Promise, JsValue>;

    pub(super) type Folder;
    #[wasm_bindgen(method, catch, js_name = getDirectoryHandle)]
    pub(super) fn folder(this: &Folder, name: &str, options: &Object) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getFileHandle)]
    pub(super) fn file(this: &Folder, name: &str, options: &Object) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = removeEntry)]
    pub(super) fn remove(this: &Folder, name: &str) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn keys(this: &Folder) -> Result<AsyncIterator, JsValue>;

    pub(super) type FileHandle;
    #[wasm_bindgen(method, catch, js_name = getFile)]
    pub(super) fn content(this: &FileHandle) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = createSyncAccessHandle)]
    pub(super) fn writable(this: &FileHandle) -> Result<Promise, JsValue>;

    pub(super) type SyncHandle;
    #[wasm_bindgen(method, catch)]
    pub(super) fn write(this: &SyncHandle, bytes: &[u8], options: &Object) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn truncate(this: &SyncHandle, size: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn flush(this: &SyncHandle) -> Result<(), JsValue>;
    #[wasm_bindgen(method)]
    pub(super) fn close(this: &SyncHandle);

    pub(super) type Content;
    #[wasm_bindgen(method, getter)]
    pub(super) fn size(this: &Content) -> f64;
    #[wasm_bindgen(method)]
    pub(super) fn slice(this: &Content, start: f64, end: f64) -> Content;
    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    pub(super) fn buffer(this: &Content) -> Result<Promise, JsValue>;

    pub(super) type Factory;
    #[wasm_bindgen(method, catch)]
    pub(super) fn open(this: &Factory, name: &str, version: u32) -> Result<Request, JsValue>;

    pub(super) type Base;
    #[wasm_bindgen(method, catch, js_name = createObjectStore)]
    pub(super) fn create_table(this: &Base, name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn transaction(
        this: &Base,
        tables: &Array,
        mode: &str,
    ) -> Result<Transaction, JsValue>;

    pub(super) type Transaction;
    #[wasm_bindgen(method, catch, js_name = objectStore)]
    pub(super) fn table(this: &Transaction, name: &str) -> Result<Table, JsValue>;
    #[wasm_bindgen(method, setter = oncomplete)]
    fn on_complete(this: &Transaction, then: &Function);
    #[wasm_bindgen(method, setter = onabort)]
    fn on_abort(this: &Transaction, then: &Function);
    #[wasm_bindgen(method, getter = error)]
    fn why_aborted(this: &Transaction) -> JsValue;

    pub(super) type Table;
    #[wasm_bindgen(method, catch)]
    pub(super) fn get(this: &Table, key: &JsValue) -> Result<Request, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getAll)]
    pub(super) fn all(this: &Table) -> Result<Request, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getAllKeys)]
    pub(super) fn all_keys(this: &Table) -> Result<Request, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn put(this: &Table, value: &JsValue, key: &JsValue) -> Result<Request, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn delete(this: &Table, key: &JsValue) -> Result<Request, JsValue>;

    pub(super) type Request;
    #[wasm_bindgen(method, setter = onupgradeneeded)]
    pub(super) fn on_upgrade(this: &Request, then: &Function);
    #[wasm_bindgen(method, setter = onsuccess)]
    fn on_success(this: &Request, then: &Function);
    #[wasm_bindgen(method, setter = onerror)]
    fn on_error(this: &Request, then: &Function);
    #[wasm_bindgen(method, getter, catch)]
    pub(super) fn result(this: &Request) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter = error, catch)]
    fn why_failed(this: &Request) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = IDBKeyRange, catch, js_name = bound)]
    pub(super) fn between(first: &JsValue, last: &JsValue) -> Result<JsValue, JsValue>;
}

impl Request {
    /// Listens from the call on, not only from the first poll.
    pub(super) fn answer(self) -> impl Future<Output = Result<JsValue, JsValue>> {
        let answered = Promise::new(&mut |resolve, reject| {
            self.on_success(&resolve);
            self.on_error(&reject);
        });
        async move {
            match JsFuture::from(answered).await {
                Ok(_) => self.result(),
                Err(_) => Err(self.why_failed()?),
            }
        }
    }
}

impl Transaction {
    /// Waits until all of it is on disk; nothing of it is when it fails.
    pub(super) async fn end(&self) -> Result<(), JsValue> {
        let ended = Promise::new(&mut |resolve, reject| {
            self.on_complete(&resolve);
            self.on_abort(&reject);
        });
        match JsFuture::from(ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.why_aborted()),
        }
    }
}

/// The page's global scope, or the worker's.
pub(super) fn scope() -> Scope {
    js_sys::global().unchecked_into()
}

pub(super) fn manager() -> Option<Manager> {
    scope().navigator().storage()
}

/// What a promise gives, as the type that it is known to be of.
pub(super) async fn given<T: JsCast>(promise: Result<Promise, JsValue>) -> Result<T, JsValue> {
    Ok(JsFuture::from(promise?).await?.unchecked_into())
}

pub(super) fn option(name: &str, value: impl Into<JsValue>) -> Object {
    let options = Object::new();
    // An empty object takes any property.
    let _ = Reflect::set(&options, &name.into(), &value.into());
    options
}

pub(super) fn timer(millis: u32) -> Promise {
    Promise::new(&mut |resolve, _reject| scope().set_timeout(&resolve, millis))
}

/// The name of a thrown error, such as `QuotaExceededError`.
pub(super) fn error_name(error: &JsValue) -> String {
    let name = Reflect::get(error, &"name".into()).ok();
    name.and_then(|name| name.as_string()).unwrap_or_default()
}
