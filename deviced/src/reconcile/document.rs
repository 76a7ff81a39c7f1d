//! The document's two doors, with their effects: the file is read, and written.

use std::io;
use std::sync::Arc;

use dockerloader::disk::{RealDisk, replace_file};

use super::door::{self, Door};
use super::state::{InForce, Loop};
use crate::document::{Document, MAX_BYTES};
use crate::engine::Engine;
use crate::history::Audit;
use crate::manager::Refusal;
use crate::probe::Probe;
use crate::sources::Sources;

/// Who has written to the file is not known.
const FILE: &str = "file";

impl<E: Engine, P: Probe> Loop<E, P> {
    /// Puts the last revision in force, at the start.
    pub(super) fn read_history(&mut self) {
        let revision = match self.device.history.latest_revision() {
            Ok(revision) => revision,
            Err(error) => {
                tracing::error!(event = "history", %error, "the last document can't be read");
                None
            }
        };
        let Some(revision) = revision else { return };
        match Document::read(&revision.text) {
            Ok(document) => self.put_in_force(revision.revision, revision.text, document),
            // Another version of deviced has accepted it.
            Err(refused) => {
                self.document.problem =
                    Some(format!("revision {} is not accepted any more: {refused}", revision.revision));
            }
        }
    }

    fn put_in_force(&mut self, revision: u64, text: String, document: Document) {
        let remembered = self.device.history.registries().unwrap_or_default();
        let (settings, environment) = (&self.device.registry, &self.device.environment);
        self.sources = Some(Arc::new(Sources::new(&document.registries, &remembered, settings, environment)));
        for container in &document.containers {
            self.surveys.want(&container.id);
            self.failed_steps.forget(&container.id);
        }
        let is_named = |id: &str| document.containers.iter().any(|container| container.id == id);
        self.surveys.retain(is_named);
        self.rests.retain(|id| is_named(id));
        self.offers.retain(|id, _| is_named(id));
        self.document = InForce { revision, text, document: Some(document), problem: None };
    }

    /// Reads the file, and lets it in if it is another one. One that is missing or wrong changes nothing.
    pub(super) fn read_file(&mut self) {
        // Without a history only the engine knows what a document would remove.
        if self.document.revision == 0 && self.passes.count == 0 {
            return;
        }
        let path = self.device.document.clone();
        let text = match std::fs::metadata(&path) {
            Ok(found) if found.len() > MAX_BYTES as u64 => {
                Err(format!("it has {} bytes, more than the {MAX_BYTES} allowed", found.len()))
            }
            Ok(_) => std::fs::read_to_string(&path).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.document.revision == 0 => {
                self.document.problem = Some(format!(
                    "there is no document yet: write {}, or `deviced apply FILE`",
                    path.display()
                ));
                return;
            }
            Err(error) => Err(error.to_string()),
        };
        let problem = match text {
            Ok(text) => match self.let_in(text, None, false, FILE) {
                Ok(_) => None,
                Err(refusal) => Some(refusal.to_string()),
            },
            Err(problem) => Some(problem),
        };
        let problem = problem.map(|problem| format!("{}: {problem}", path.display()));
        if let Some(problem) = problem.as_deref().filter(|_| problem != self.document.problem) {
            self.say(
                "document",
                None,
                &format!("refused, revision {} stays in force: {problem}", self.document.revision),
            );
        }
        self.document.problem = problem;
    }

    /// Containers that deviced manages now.
    fn managed(&self) -> Vec<String> {
        let named = self.document.document.iter().flat_map(|document| &document.containers);
        let mut managed: Vec<_> = named.map(|container| container.id.clone()).collect();
        managed.extend(
            self.observed.containers.iter().filter_map(|container| Some(container.made()?.container)),
        );
        managed.sort();
        managed.dedup();
        managed
    }

    /// Lets a text in. Its revision.
    fn let_in(
        &mut self,
        text: String,
        based_on: Option<u64>,
        may_remove_all: bool,
        who: &str,
    ) -> Result<u64, Refusal> {
        let managed = self.managed();
        let now = InForce { document: None, ..self.document.clone() };
        let now = door::InForce { revision: now.revision, text: &now.text, managed: &managed };
        match door::open(&text, now, based_on, may_remove_all)? {
            Door::Same => Ok(self.document.revision),
            Door::Open(document) => {
                let stored = self.device.history.add_revision(&text, who);
                let revision = stored.map_err(|error| Refusal::Storage(error.to_string()))?;
                self.put_in_force(revision, text, *document);
                self.say("document", None, &format!("revision {revision} is in force, by {who}"));
                if who == FILE {
                    self.audit_file(revision);
                }
                Ok(revision)
            }
        }
    }

    /// What comes over the API is audited there.
    fn audit_file(&self, revision: u64) {
        let audit = Audit {
            id: 0,
            at: crate::apply::unix_time(),
            who: FILE.to_owned(),
            action: "put document".to_owned(),
            container: None,
            before: None,
            after: Some(revision.into()),
            outcome: format!("revision {revision}"),
        };
        if let Err(error) = self.device.history.audit(&audit) {
            tracing::warn!(event = "history", %error, "who changed the document can't be written down");
        }
    }

    /// A document that came over the API: it is written to the file as well.
    pub(super) fn put(
        &mut self,
        text: String,
        based_on: Option<u64>,
        may_remove_all: bool,
        who: &str,
    ) -> Result<u64, Refusal> {
        let managed = self.managed();
        let now =
            door::InForce { revision: self.document.revision, text: &self.document.text, managed: &managed };
        door::open(&text, now, based_on, may_remove_all)?;
        let path = &self.device.document;
        // First the file: if it can't be written, the next look at it would take the document back.
        replace_file(&RealDisk, path, text.as_bytes())
            .map_err(|error| Refusal::Storage(format!("{} can't be written: {error}", path.display())))?;
        let revision = self.let_in(text, based_on, may_remove_all, who)?;
        self.document.problem = None;
        Ok(revision)
    }
}
