//! A number as it is typed into a field.

use leptos::prelude::*;

/// The text of a field, and what it accepts. A text that is not accepted stays in the field: another
/// number in its place would not be the user's.
#[derive(Clone, Copy)]
pub struct TypedNumber<T: 'static> {
    text: RwSignal<String>,
    read: fn(&str) -> Result<T, String>,
}

impl<T: ToString> TypedNumber<T> {
    /// `read` gives the number of a text, or says what is accepted.
    pub fn new(value: T, read: fn(&str) -> Result<T, String>) -> Self {
        Self { text: RwSignal::new(value.to_string()), read }
    }

    /// As typed.
    pub fn text(self) -> String {
        self.text.get()
    }

    pub fn set(self, typed: &str) {
        self.text.set(typed.trim().to_owned());
    }

    /// `None` when the text is not accepted.
    pub fn value(self) -> Option<T> {
        self.text.with(|text| (self.read)(text)).ok()
    }

    /// What is accepted, when the text is not.
    pub fn problem(self) -> Option<String> {
        self.text.with(|text| (self.read)(text)).err()
    }
}
