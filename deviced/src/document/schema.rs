//! The document's JSON Schema, made of its types.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::Document;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>());

/// The JSON Schema (draft 2020-12) of a document.
pub fn schema() -> &'static Schema {
    &SCHEMA
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Editors take the committed file: `# yaml-language-server: $schema=...`.
    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/deviced-v1.json");
        let generated = serde_json::to_string_pretty(schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            #[expect(
                clippy::disallowed_methods,
                reason = "a test writes what is committed, when it is told to"
            )]
            std::fs::write(path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == generated,
            "{path} is not that of the types: run the test with UPDATE_SCHEMA=1 and commit it"
        );
    }
}
