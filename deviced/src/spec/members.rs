//! Members of a JSON object that are only there when the document sets them: a spec's hash does not change because a newer deviced knows more.

use serde_json::{Map, Value};

/// An object under construction.
#[derive(Debug, Default)]
pub(super) struct Members(pub(super) Map<String, Value>);

impl Members {
    /// Sets it whatever it is.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets what there is.
    pub(super) fn some<T: Into<Value>>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Sets what is true.
    pub(super) fn truth(&mut self, name: &str, truth: bool) {
        if truth {
            self.set(name, true);
        }
    }

    /// Sets a list that is not empty.
    pub(super) fn list<T: Into<Value>>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        let items: Vec<Value> = items.into_iter().map(Into::into).collect();
        if !items.is_empty() {
            self.set(name, items);
        }
    }

    /// Sets an object that is not empty.
    pub(super) fn object<T: Into<Value>>(
        &mut self,
        name: &str,
        members: impl IntoIterator<Item = (String, T)>,
    ) {
        let members: Map<String, Value> =
            members.into_iter().map(|(name, value)| (name, value.into())).collect();
        if !members.is_empty() {
            self.set(name, members);
        }
    }
}
