//! Bringing a version on disk: room, blobs, tree.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::blobs::space::{self, Full, Need};
use crate::blobs::{self, Blobs};
use crate::digest::Digest;
use crate::disk::{Disk as _, RealDisk};
use crate::launch::Launch;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::manifest::{self, Descriptor, Platform};
use crate::progress::{Event, Progress};
use crate::registry::{self, Client};
use crate::remedy::Remedy;
use crate::tree;
use crate::volume::{self, Method, overlay, spare};

use super::base::{Base, Plan};
use super::budget::{self, Layer};
use super::content::Content;
use super::download::Downloader;
use super::resolved::Failure;
use super::sources::{self, Sources};
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
    /// Bytes of blobs that came from the registry so far.
    pub(super) fetched: AtomicU64,
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
        let probe = || volume::probe(self.layout, self.request.method).map_err(Error::from);
        let method = match probe() {
            // Not even for the attempts is there room.
            Err(error) if error.is_full() => {
                if !self.give_up_spare()? {
                    self.check_space(content, &blobs, Plan::Extract, not_enough, free)?;
                    return Err(error);
                }
                probe()?
            }
            probed => probed?,
        };
        let missing: BTreeSet<Digest> = content.missing(&blobs).map(|blob| blob.digest).collect();
        let look = || {
            let sources = Sources::read(self.layout, method, &content.digest, self.request.current);
            let plan = sources.plan(self.layout, content, &blobs);
            (sources, plan)
        };
        let (mut sources, mut plan) = look();
        if let Err(full) = self.check_space(content, &blobs, plan, not_enough, free) {
            // The spare tree is kept for as long as nothing else needs its room.
            if !self.give_up_spare()? {
                return Err(full.into());
            }
            (sources, plan) = look();
            let free = space::free(&self.layout.storage());
            let free = free.map_err(Error::io("look at", self.layout.storage()))?;
            self.check_space(content, &blobs, plan, not_enough, free)?;
        }
        let mut fetched_again = false;
        let result = loop {
            let result = self.fetch_and_install(content, by_index, &blobs, &mut sources, plan).await;
            match &result {
                // A blob of an earlier time that turned out to be damaged was removed: it is fetched now. Or wrong bytes were
                // read while they came in: what was fetched in their place is on disk.
                Err(Error::Blob(error)) if !fetched_again && is_worth_another(error, &missing) => {
                    fetched_again = true;
                    (sources, plan) = look();
                }
                Err(Error::Tree { source: tree::Error::ContentsMissing { path }, .. })
                    if plan != Plan::Extract =>
                {
                    tracing::info!(
                        event = "contents_missing", digest = %content.digest,
                        "all layers of version {} are read: no tree has the contents of {path}", content.digest.short()
                    );
                    (sources, plan) = (look().0, plan.reading_all());
                }
                // A tree that is there was no good beginning.
                Err(error @ Error::Tree { .. }) if plan != Plan::Extract => {
                    tracing::warn!(
                        event = "base_unusable", digest = %content.digest,
                        "version {} is extracted from its layers: {error}", content.digest.short()
                    );
                    spare::remove(&RealDisk, self.layout)
                        .map_err(Error::io("remove the spare tree in", self.layout.extracted()))?;
                    plan = Plan::Extract;
                }
                // The spare tree, which a failed update gave back, and what changed do not fit beside each other.
                Err(error) if error.is_full() && self.give_up_spare()? => plan = Plan::Extract,
                _ => break result,
            }
        };
        result.inspect_err(|error| {
            // A version whose tree or stack has its name is complete but for the last step, and the next pull takes it as it is: it keeps what
            // it is restored from (I3). On a disk that is full it can't be looked at more closely: a view of it may need room.
            let (layout, version) = (self.layout, &content.digest);
            let has_tree = RealDisk.kind(&layout.tree(version)).is_ok_and(|kind| kind.is_some());
            let is_named = has_tree || !matches!(overlay::stack(&RealDisk, layout, version), Ok(None));
            if error.is_full() && !is_named {
                // The error that led here is the one to report.
                missing.iter().for_each(|digest| drop(blobs.forget(digest)));
            }
        })
    }

    /// Whether there is room for what is needed, as far as that is known. Whoever pulls by hand has it tried without a guess.
    fn check_space(
        &self,
        content: &Content,
        blobs: &Blobs,
        plan: Plan,
        not_enough: Option<u64>,
        free: space::Free,
    ) -> Result<(), Full> {
        let mut missing = Need::default();
        for blob in content.missing(blobs) {
            missing.bytes =
                missing.bytes.saturating_add(blob.size.saturating_sub(blobs.partial_bytes(&blob.digest)));
            missing.files += 1;
        }
        self.progress.event(Event::Planned { blobs: missing.files, bytes: missing.bytes });
        let whole = plan == Plan::Extract;
        let history = if whole && !self.request.again {
            sources::history(self.layout, self.request.current)
        } else {
            None
        };
        let reads = |layer: &&Descriptor| whole || sources::index_bytes(self.layout, blobs, layer).is_none();
        let layers = content.image.layers.iter().map(|layer| &layer.descriptor);
        let layers: Vec<_> = layers
            .filter(reads)
            .map(|layer| Layer {
                size: layer.size,
                becomes: history.and_then(|_| sources::becomes(self.layout, &layer.digest)),
            })
            .collect();
        let mut need = budget::need(missing, &layers, history, whole);
        need.bytes = need.bytes.max(not_enough.map_or(0, |free| free.saturating_add(1)));
        space::check(&self.layout.storage(), need, free)
    }

    /// Removes the spare tree; whether there was one.
    fn give_up_spare(&self) -> Result<bool, Error> {
        let removed = spare::remove(&RealDisk, self.layout)
            .map_err(Error::io("remove the spare tree in", self.layout.extracted()))?;
        if removed {
            tracing::info!(event = "spare_removed", "the spare tree is removed: its room is needed");
        }
        Ok(removed)
    }

    async fn fetch_and_install(
        &self,
        content: &Content,
        by_index: bool,
        blobs: &Blobs,
        sources: &mut Sources,
        plan: Plan,
    ) -> Result<Launch, Error> {
        let downloader = Downloader {
            client: &self.client,
            reference: &self.request.reference,
            blobs,
            progress: &**self.progress,
            fetched: &self.fetched,
            limits: &self.limits,
            candidates: known::candidates(self.layout, self.request.current, content, blobs, &self.limits),
        };
        if !blobs.has(&content.image.config.digest, content.image.config.size) {
            downloader.fetch(&content.image.config).await?;
        }
        let config = content.config(blobs, &self.limits).map_err(|error| match error {
            Error::Manifest(source) => self.refuse(source),
            Error::Blob(blobs::Error::Corrupt { digest, .. }) => {
                // It is fetched again.
                let _ = blobs.remove(&digest);
                error
            }
            other => other,
        })?;
        if !by_index {
            config.check_platform(&self.platform).map_err(|source| self.refuse(source))?;
        }
        let (progress, lock) = (Arc::clone(self.progress), Arc::clone(&self.lock));
        let job = extract::Job::new(self.layout, content, &config, self.limits, progress, lock)?;
        let job = job.by(plan, sources);
        let tree = self.begin(&content.digest, sources.method, plan)?;
        let made = alongside::alongside(job, &downloader, content, tree.path()).await?;
        for warning in &made.extracted.warnings {
            tracing::warn!(event = "extraction_warning", digest = %content.digest, "{warning}");
        }
        let launch = tree.install(
            self.layout,
            &content.digest,
            &made.extracted,
            &made.indexes,
            &config,
            &self.platform,
        )?;
        let made =
            made.in_short(sources.method, plan, content.image.layers.len() as u64, downloader.fetched());
        tracing::info!(event = "installed", digest = %content.digest, "version {}: {made}", content.digest.short());
        self.progress.event(Event::Made { digest: content.digest, made });
        Ok(launch)
    }

    /// The error of a config that can't be used: whose it is.
    fn refuse(&self, source: manifest::Error) -> Error {
        registry::Error::Manifest { reference: self.request.reference.to_string(), source }.into()
    }

    /// What the tree begins as.
    fn begin(
        &self,
        version: &Digest,
        method: Option<Method>,
        plan: Plan,
    ) -> Result<install::Temporary, Error> {
        match plan {
            Plan::Update { base: Base::Current(current), .. } if method == Some(Method::Overlay) => {
                install::Temporary::to_freeze(self.layout, version, Some(&current))
            }
            _ if method == Some(Method::Overlay) => install::Temporary::to_freeze(self.layout, version, None),
            Plan::Update { base: Base::Spare(of), .. } => {
                install::Temporary::from_spare(self.layout, version, &of)
            }
            Plan::Update { base: Base::Current(current), .. } => {
                install::Temporary::from_snapshot(self.layout, version, &current)
            }
            Plan::Extract | Plan::Update { base: Base::Empty, .. } => {
                install::Temporary::new(self.layout, version, method)
            }
        }
    }
}

/// Whether the bytes that were wrong are other ones by now.
fn is_worth_another(error: &blobs::Error, missing: &BTreeSet<Digest>) -> bool {
    match error {
        blobs::Error::Corrupt { digest, .. } => !missing.contains(digest),
        blobs::Error::Abandoned(_) => true,
        _ => false,
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
