//! What an engine says while it pulls: a line for each change of a layer -> how far it is. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Error, Progress, failure};

/// The layers of a pull.
#[derive(Debug, Default)]
pub(super) struct Layers {
    layers: BTreeMap<String, Layer>,
}

#[derive(Debug, Default)]
struct Layer {
    done: u64,
    total: u64,
    is_there: bool,
}

impl Layers {
    /// Takes a line in. The progress if it has changed.
    ///
    /// # Errors
    /// When the line is an error: the stream began with 200, and the pull has failed all the same.
    pub(super) fn take(&mut self, call: &str, line: &Value) -> Result<Option<Progress>, Error> {
        let text =
            |pointer: &str| line.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(message) = text("/errorDetail/message").or_else(|| text("/error")) {
            return Err(failure::of_stream(call, message));
        }
        if line.get("errorDetail").or_else(|| line.get("error")).is_some_and(|error| !error.is_null()) {
            return Err(failure::of_stream(call, "it failed, and does not say why"));
        }
        let (Some(id), Some(status)) = (text("/id"), text("/status")) else { return Ok(None) };
        // The first line names the tag or digest where others name a layer.
        if status.starts_with("Pulling from") {
            return Ok(None);
        }
        let before = self.progress();
        let layer = self.layers.entry(id.to_owned()).or_default();
        let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        match status {
            "Downloading" => {
                layer.total = layer.total.max(number("/progressDetail/total"));
                layer.done = layer.done.max(number("/progressDetail/current"));
            }
            "Download complete" | "Verifying Checksum" | "Extracting" => {
                layer.done = layer.done.max(layer.total)
            }
            "Pull complete" | "Already exists" => {
                layer.done = layer.done.max(layer.total);
                layer.is_there = true;
            }
            _ => {}
        }
        let after = self.progress();
        Ok((after != before).then_some(after))
    }

    fn progress(&self) -> Progress {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Progress {
            done: self.layers.values().map(|layer| layer.done).sum(),
            total: self.layers.values().map(|layer| layer.total.max(layer.done)).sum(),
            layers_done: count(self.layers.values().filter(|layer| layer.is_there).count()),
            layers_total: count(self.layers.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let mut layers = Layers::default();
        let progress = |done, total, layers_done, layers_total| {
            Some(Progress { done, total, layers_done, layers_total })
        };
        for (line, expected) in [
            (json!({"status": "Pulling from acme/web", "id": "sha256:12"}), None),
            (json!({"status": "Pulling fs layer", "progressDetail": {}, "id": "aa"}), progress(0, 0, 0, 1)),
            (json!({"status": "Already exists", "progressDetail": {}, "id": "bb"}), progress(0, 0, 1, 2)),
            (
                json!({"status": "Downloading", "progressDetail": {"current": 10, "total": 100}, "id": "aa"}),
                progress(10, 100, 1, 2),
            ),
            (
                json!({"status": "Downloading", "progressDetail": {"current": 10, "total": 100}, "id": "aa"}),
                None,
            ),
            // Again after a connection was lost.
            (
                json!({"status": "Downloading", "progressDetail": {"current": 5, "total": 100}, "id": "aa"}),
                None,
            ),
            (json!({"status": "Retrying in 5 seconds", "id": "aa"}), None),
            (
                json!({"status": "Download complete", "progressDetail": {}, "id": "aa"}),
                progress(100, 100, 1, 2),
            ),
            (
                json!({"status": "Extracting", "progressDetail": {"current": 3, "total": 300}, "id": "aa"}),
                None,
            ),
            (json!({"status": "Pull complete", "progressDetail": {}, "id": "aa"}), progress(100, 100, 2, 2)),
            (json!({"status": "Digest: sha256:12"}), None),
            (json!({"stream": "anything else"}), None),
        ] {
            assert_eq!(layers.take("pull", &line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn an_error_in_a_line_is_an_error() {
        let failed = |line: Value| Layers::default().take("pull of web", &line).unwrap_err();
        let error =
            failed(json!({"errorDetail": {"message": "manifest unknown"}, "error": "manifest unknown"}));
        assert_eq!(
            error,
            Error::Failed { call: "pull of web".to_owned(), message: "manifest unknown".to_owned() }
        );
        assert!(matches!(failed(json!({"error": "toomanyrequests"})), Error::Failed { .. }));
        assert!(matches!(failed(json!({"errorDetail": {"code": 1}})), Error::Failed { .. }));
        let full = json!({"errorDetail": {"message": "write /x: no space left on device"}});
        assert!(matches!(failed(full), Error::Full { .. }));
    }
}
