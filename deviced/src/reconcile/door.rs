//! The two doors of the document, its file and the API: a text -> in force, or refused. Pure.

use crate::document::Document;
use crate::manager::Refusal;

/// What is known of the document that is in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct InForce<'a> {
    /// Its revision; 0 for none.
    pub(super) revision: u64,
    /// As it was written.
    pub(super) text: &'a str,
    /// Ids of the containers that deviced has in the engine, or had in the document.
    pub(super) managed: &'a [String],
}

/// What becomes of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Door {
    /// It is in force already.
    Same,
    /// It comes into force.
    Open(Box<Document>),
}

/// Lets a document in, or says why not. Whatever is refused removes nothing.
///
/// # Errors
/// [`Refusal::Document`], [`Refusal::Stale`], [`Refusal::RemovesAll`].
pub(super) fn open(
    text: &str,
    now: InForce<'_>,
    based_on: Option<u64>,
    may_remove_all: bool,
) -> Result<Door, Refusal> {
    if let Some(expected) = based_on.filter(|expected| *expected != now.revision) {
        return Err(Refusal::Stale { expected, found: now.revision });
    }
    if now.revision > 0 && text == now.text {
        return Ok(Door::Same);
    }
    let document = Document::read(text).map_err(Refusal::Document)?;
    let names = |id: &String| document.containers.iter().any(|container| container.id == *id);
    let count = now.managed.len();
    if count > 0 && !may_remove_all && !now.managed.iter().any(names) {
        return Err(Refusal::RemovesAll { count });
    }
    Ok(Door::Open(Box::new(document)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "apiVersion: deviced/v1\ncontainers: [{id: web, image: acme/web, versions: ['1']}]\n";
    const DATABASE: &str =
        "apiVersion: deviced/v1\ncontainers: [{id: db, image: acme/db, versions: ['1']}]\n";
    const NOTHING: &str = "apiVersion: deviced/v1\ncontainers: []\n";

    #[test]
    fn what_is_refused_removes_nothing() {
        let web = ["web".to_owned()];
        let both = ["web".to_owned(), "db".to_owned()];
        for (text, revision, managed, based_on, all, expected) in [
            (WEB, 0, &[][..], None, false, "open"),
            (WEB, 3, &web[..], None, false, "same"),
            (DATABASE, 3, &both, None, false, "open"),
            (DATABASE, 3, &web, None, false, "removes all"),
            (DATABASE, 3, &web, None, true, "open"),
            // Without a history too: what the engine has of ours counts.
            (NOTHING, 0, &web, None, false, "removes all"),
            (NOTHING, 3, &web, None, false, "removes all"),
            (NOTHING, 3, &[], None, false, "open"),
            ("", 3, &web, None, true, "wrong"),
            ("containers: [", 3, &web, None, true, "wrong"),
            (DATABASE, 3, &web, Some(2), true, "stale"),
            (DATABASE, 3, &both, Some(3), false, "open"),
            (DATABASE, 0, &[], Some(0), false, "open"),
        ] {
            let found = match open(text, InForce { revision, text: WEB, managed }, based_on, all) {
                Ok(Door::Same) => "same",
                Ok(Door::Open(_)) => "open",
                Err(Refusal::RemovesAll { .. }) => "removes all",
                Err(Refusal::Stale { .. }) => "stale",
                Err(Refusal::Document(_)) => "wrong",
                Err(other) => panic!("{other}"),
            };
            assert_eq!(found, expected, "{text:?} at {revision}, {managed:?}, {based_on:?}, {all}");
        }
    }
}
