//! The kinds of problems, each with the page that its `type` leads to.

use std::fmt::Write as _;

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its name in the address of its page.
    pub(super) name: &'static str,
    /// The status of answers of this kind.
    pub(super) status: u16,
    /// It in a sentence.
    pub(super) title: &'static str,
    /// What to do about it.
    pub(super) advice: &'static str,
}

impl Kind {
    /// The problem's `type`.
    pub(super) fn address(&self) -> String {
        format!("/problems/{}", self.name)
    }

    /// What stands at that address.
    pub(super) fn page(&self) -> String {
        format!("{} ({})\n\n{}\n", self.title, self.status, self.advice)
    }
}

/// The kind with this name.
pub(super) fn named(name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.name == name)
}

/// All of them, a line each.
pub(super) fn page() -> String {
    ALL.iter().fold(String::new(), |mut page, kind| {
        // Writing to a String can't fail.
        let _ = writeln!(page, "{} {}: {}", kind.address(), kind.status, kind.title);
        page
    })
}

macro_rules! kinds {
    ($($constant:ident $name:literal $status:literal $title:literal $advice:literal)*) => {
        $(pub(super) static $constant: Kind = Kind { name: $name, status: $status, title: $title, advice: $advice };)*
        /// In the order of their statuses.
        static ALL: &[&Kind] = &[$(&$constant),*];
    };
}

kinds! {
    MALFORMED "malformed" 400 "The request can't be understood"
        "A header, a parameter or the body is not written as it should be; `detail` says which. Nothing was done."
    UNAUTHORIZED "unauthorized" 401 "Who asks is not known"
        "Send `Authorization: Bearer TOKEN` with the token from deviced's token file, or use its Unix socket."
    NOT_FOUND "not-found" 404 "There is nothing at this address"
        "/openapi.json lists all addresses. Old revisions, operations and outputs are forgotten after a while."
    UNKNOWN_CONTAINER "unknown-container" 404 "There is no such container"
        "The id is that of the document, not the engine's. `near` is one that is written nearly so. GET /v1/containers lists them."
    METHOD_NOT_ALLOWED "method-not-allowed" 405 "This can't be done here"
        "The header `Allow` lists the methods that this address has."
    NOT_ACCEPTABLE "not-acceptable" 406 "It can't be had in this form"
        "None of the media types in `Accept` can be given; `detail` lists those that can."
    TOO_SLOW "too-slow" 408 "The request did not arrive in time"
        "Send the body without pauses."
    PROTECTED "protected" 409 "The container is protected"
        "The document says `protected: true`: it can't be stopped, restarted or removed by hand. Take that out of the document first."
    BUSY "busy" 409 "Something else is being done to the container"
        "Wait until the operation in `operation` has ended: GET /v1/operations/ID."
    NO_VERSION "no-version" 409 "There is no such version to go back to"
        "GET /v1/containers/ID/history lists the versions that ran."
    REMOVES_ALL "removes-all" 409 "The document would remove all containers"
        "It names none of the containers that are managed now. If that is what you want, add ?remove_all=true."
    KEY_RUNNING "key-running" 409 "The same request is being answered"
        "Another request with this Idempotency-Key has not been answered yet. Ask again in a moment, with the same key."
    STALE "stale" 412 "Another document is in force"
        "Somebody else changed it after you read it. Read it again, apply your change to that, and send it with the new ETag."
    TOO_LARGE "too-large" 413 "The body is too large"
        "`detail` says how much is taken."
    MEDIA_TYPE "media-type" 415 "The body is of another type"
        "`detail` lists the types that are taken."
    WRONG_HOST "wrong-host" 421 "The request is for another host"
        "Over TCP deviced answers under the names of the loopback alone, so that no web page can reach it by a name that leads here."
    INVALID "invalid" 422 "The request says something that can't be"
        "It is well written, but a value in it is wrong; `detail` says which. Nothing was done."
    DOCUMENT_REFUSED "document-refused" 422 "The document is refused"
        "`errors` lists all that was found wrong, with its place and what to do about it. The document before is still in force."
    KEY_REUSED "key-reused" 422 "The key stands for another request"
        "This Idempotency-Key came with another request within the last day. Make a new key for each request."
    PRECONDITION_REQUIRED "precondition-required" 428 "The request has to say what it is based on"
        "Send the ETag that you read in `If-Match`, or `If-None-Match: *` for the first document."
    INTERNAL "internal" 500 "deviced has failed"
        "That is a fault of deviced, whatever the request was. Its log has the request's id, which is in `instance`."
    ENGINE_REFUSED "engine-refused" 502 "The container engine refuses"
        "`detail` is what the engine says."
    ENGINE_AWAY "engine-away" 503 "The container engine does not answer"
        "GET /v1/status says since when. deviced goes on by itself when it answers again."
    STORAGE "storage" 503 "deviced's own memory can't be used"
        "The disk is full or failing, or deviced is just stopping. Nothing was done."
    NOT_READY "not-ready" 503 "deviced is not ready"
        "It has not been able to look at the device yet."
    TOO_MANY_STREAMS "too-many-streams" 503 "Too many are listening"
        "Close streams that nobody reads, or ask again later."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own_and_a_page() {
        let mut names: Vec<_> = ALL.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for kind in ALL {
            assert_eq!(named(kind.name), Some(*kind));
            assert!(kind.page().contains(kind.title) && kind.advice.ends_with('.'), "{}", kind.name);
            assert!(page().contains(&kind.address()));
        }
        assert!(ALL.is_sorted_by_key(|kind| kind.status));
        assert_eq!(named("nothing"), None);
    }
}
