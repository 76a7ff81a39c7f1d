//! Bringing a version on disk: room, blobs, tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::blobs::space::{self, Full, Need};
use crate::blobs::{self, Blobs};
use crate::digest::Digest;
use crate::launch::Launch;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::manifest::Platform;
use crate::progress::{Event, Progress};
use crate::registry::Client;
use crate::remedy::Remedy;

use super::content::Content;
use super::download::Downloader;
use super::resolved::Failure;
use super::{Error, ProgramError, Request, alongside, extract, install, known};

/// One pull that has something to bring.
pub(super) struct Pull<'p> {
    pub(super) request: &'p Request,
    pub(super) layout: &'p Layout,
    pub(super) limits: Limits,
    pub(super) client: Client,
    pub(super) platform: Platform,
    pub(super) progress: &'p Arc<dyn Progress>,
    pub(super) lock: Arc<StoreLock>,
}

impl Pull<'_> {
    /// Brings a version on disk. When the disk is full, what it brought is removed again.
    pub(super) async fn bring(
        &self,
        content: &Content,
        by_index: bool,
        known_failure: Option<Failure>,
        free: space::Free,
    ) -> Result<Launch, Error> {
        let not_enough = match known_failure {
            Some(Failure::Refused { reason, loader }) if loader == LOADER => {
                return Err(Error::Refused { digest: content.digest, reason });
            }
            Some(Failure::NoRoom { free }) => Some(free),
            _ => None,
        };
        install::remove_leftovers(self.layout)?;
        let blobs = Blobs::new(self.layout);
        let missing: BTreeSet<Digest> = content.missing(&blobs).map(|blob| blob.digest).collect();
        self.check_space(content, &blobs, not_enough, free)?;
        let mut result = self.fetch_and_install(content, by_index, &blobs).await;
        let is_worth_another = match &result {
            // A blob of an earlier time that turned out to be damaged was removed: it is fetched now.
            Err(Error::Blob(blobs::Error::Corrupt { digest, .. })) => !missing.contains(digest),
            // Wrong bytes were extracted while they came in. What was fetched in their place is on disk.
            Err(Error::Blob(blobs::Error::Abandoned(_))) => true,
            _ => false,
        };
        if is_worth_another {
            result = self.fetch_and_install(content, by_index, &blobs).await;
        }
        result.inspect_err(|error| {
            if error.is_full() {
                // The error that led here is the one to report.
                missing.iter().for_each(|digest| drop(blobs.forget(digest)));
            }
        })
    }

    /// What is needed at least: the missing blobs, and the largest layer extracted, which is hardly ever smaller than
    /// compressed. More can't be known before; a false alarm would keep a device from its update.
    fn check_space(
        &self,
        content: &Content,
        blobs: &Blobs,
        not_enough: Option<u64>,
        free: space::Free,
    ) -> Result<(), Full> {
        let (mut need, mut bytes_left) = (Need::default(), 0);
        for blob in content.missing(blobs) {
            bytes_left += blob.size.saturating_sub(blobs.partial_bytes(&blob.digest));
            need.files += 1;
        }
        self.progress.event(Event::Planned { blobs: need.files, bytes: bytes_left });
        let largest = content.image.layers.iter().map(|layer| layer.descriptor.size).max();
        let at_least = not_enough.map_or(0, |free| free.saturating_add(1));
        need.bytes = bytes_left.saturating_add(largest.unwrap_or(0)).max(at_least);
        // The tree's folder, its program, the seal, the launch file.
        need.files += 4;
        space::check(&self.layout.storage(), need, free)
    }

    async fn fetch_and_install(
        &self,
        content: &Content,
        by_index: bool,
        blobs: &Blobs,
    ) -> Result<Launch, Error> {
        let downloader = Downloader {
            client: &self.client,
            reference: &self.request.reference,
            blobs,
            progress: &**self.progress,
            limits: &self.limits,
            candidates: known::candidates(self.layout, self.request.current, content, blobs, &self.limits),
        };
        if !blobs.has(&content.image.config.digest, content.image.config.size) {
            downloader.fetch(&content.image.config).await?;
        }
        let config = content.config(blobs, &self.limits).inspect_err(|error| {
            if let Error::Blob(blobs::Error::Corrupt { digest, .. }) = error {
                // It is fetched again.
                let _ = blobs.remove(digest);
            }
        })?;
        if !by_index {
            config.check_platform(&self.platform).map_err(Error::Manifest)?;
        }
        let (progress, lock) = (Arc::clone(self.progress), Arc::clone(&self.lock));
        let job = extract::Job::new(self.layout, content, &config, self.limits, progress, lock)?;
        let tree = install::Temporary::new(self.layout, &content.digest)?;
        let extracted = alongside::alongside(job, &downloader, content, tree.path()).await?;
        for warning in &extracted.warnings {
            tracing::warn!(event = "extraction_warning", digest = %content.digest, "{warning}");
        }
        tree.install(self.layout, &content.digest, &extracted.seal, &config, &self.platform)
    }
}

/// Whether, and why, the next pull of the version would end the same way.
pub(super) fn failure_of(error: &Error, free: space::Free) -> Option<Failure> {
    match error {
        Error::Full(_) => Some(Failure::NoRoom { free: free.bytes }),
        Error::Refused { reason, .. } => {
            Some(Failure::Refused { reason: reason.clone(), loader: LOADER.to_owned() })
        }
        // It may be there when this container is another one.
        Error::Program(ProgramError::Interpreter { .. }) => None,
        error if error.remedy() == Remedy::Refuse => {
            Some(Failure::Refused { reason: error.to_string(), loader: LOADER.to_owned() })
        }
        _ => None,
    }
}

/// This loader's version.
const LOADER: &str = env!("CARGO_PKG_VERSION");
