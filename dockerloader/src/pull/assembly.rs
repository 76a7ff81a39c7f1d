//! Layers that are put together from what is on disk, as a part of their download.

use crate::blobs::Partial;
use crate::chunked::{self, Assembly, Candidate, Figures, Source};
use crate::manifest::Descriptor;
use crate::progress::Event;
use crate::registry::retry::Attempts;
use crate::remedy::Remedy;

use super::Error;
use super::download::{Downloader, STEP};

/// A blob of fewer bytes is had at once.
const SMALL: u64 = 256 << 10;

/// How far the attempt to put a blob together is.
pub(super) enum Assembling {
    /// There is nothing to put it together from, or it went wrong.
    No,
    /// Its table has not been fetched.
    Planned(Candidate, Vec<Candidate>),
    /// It is under way, or done.
    Begun(Box<Assembly>, Figures),
}

impl Downloader<'_> {
    /// Whether there is something on disk to put a blob together from.
    pub(super) fn assembling(&self, descriptor: &Descriptor) -> Assembling {
        let new = Candidate::of(descriptor, self.limits).filter(|_| !self.candidates.is_empty());
        match new.map(|new| (new.nearest(&self.candidates), new)) {
            Some((old, new)) if !old.is_empty() => Assembling::Planned(new, old),
            _ => Assembling::No,
        }
    }

    /// Puts together what is missing of a blob. `false` when it is to be downloaded.
    ///
    /// # Errors
    /// Of the registry and the store: nothing else stands in the way of a download.
    pub(super) async fn assemble(
        &self,
        descriptor: &Descriptor,
        assembling: &mut Assembling,
        partial: &mut Partial,
        attempts: &mut Attempts,
    ) -> Result<bool, Error> {
        let tried = self.try_to_assemble(descriptor, assembling, partial, attempts).await;
        match tried {
            Ok(true) => Ok(true),
            Err(chunked::Error::Registry(error)) if error.remedy() == Remedy::Retry => Err(error.into()),
            Err(chunked::Error::Blob(error)) => Err(error.into()),
            Ok(false) => {
                *assembling = Assembling::No;
                Ok(false)
            }
            Err(error) => {
                self.not_assembled(descriptor, assembling, &error);
                Ok(false)
            }
        }
    }

    async fn try_to_assemble(
        &self,
        descriptor: &Descriptor,
        assembling: &mut Assembling,
        partial: &mut Partial,
        attempts: &mut Attempts,
    ) -> Result<bool, chunked::Error> {
        let source = Source { client: self.client, reference: self.reference, descriptor };
        if let Assembling::Planned(new, old) = &*assembling {
            if descriptor.size.saturating_sub(partial.offset()) < SMALL {
                return Ok(false);
            }
            let (old, done) = (old.clone(), partial.offset());
            let prepared = Assembly::prepare(&source, new, old, done, self.blobs, self.limits).await?;
            let Some(assembly) = prepared else { return Ok(false) };
            let figures = Figures { fetched: assembly.fetched(), copied: 0 };
            *assembling = Assembling::Begun(Box::new(assembly), figures);
        }
        let Assembling::Begun(assembly, figures) = assembling else { return Ok(false) };
        let event = |done| {
            self.progress.event(Event::Blob { digest: descriptor.digest, done, total: descriptor.size });
        };
        event(partial.offset());
        let mut told = partial.offset();
        let progress = |offset: u64, fetched: u64| {
            attempts.progress(fetched);
            if offset - told >= STEP {
                told = offset;
                event(offset);
            }
        };
        assembly.run(&source, partial, progress, figures).await?;
        event(partial.offset());
        Ok(true)
    }

    /// Says what came from where, once the blob was verified.
    pub(super) fn assembled(&self, descriptor: &Descriptor, assembling: &Assembling) {
        if let Assembling::Begun(_, Figures { fetched, copied }) = *assembling {
            let digest = descriptor.digest;
            tracing::info!(event = "layer_assembled", %digest, fetched, copied, "put together from layers on disk");
            self.progress.event(Event::Assembled { digest, fetched, copied });
        }
    }

    /// Gives up putting a blob together, and says why: it is downloaded.
    pub(super) fn not_assembled(
        &self,
        descriptor: &Descriptor,
        assembling: &mut Assembling,
        error: &dyn std::error::Error,
    ) {
        if !matches!(std::mem::replace(assembling, Assembling::No), Assembling::No) {
            let digest = descriptor.digest;
            tracing::warn!(event = "layer_not_assembled", %digest, %error, "it is downloaded as a whole");
        }
    }
}
