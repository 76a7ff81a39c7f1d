//! Downloads and extraction at the same time: which of their ends counts.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::blobs::{self, Abandoned, Arrival};
use crate::digest::Digest;
use crate::manifest::Descriptor;

use super::Error;
use super::content::Content;
use super::download::{Downloader, Fetch};
use super::extract::{Job, Tree, abandoned, run};

/// Downloads what is missing while a thread of its own extracts what is there. The blobs get their names when the tree is
/// complete and durable, and they with it.
///
/// # Errors
/// [`blobs::Error::Abandoned`] when bytes turned out to be wrong that something was made of; the right ones may have
/// taken their place by then, so that it works when it is done once more.
pub(super) async fn alongside(
    job: Job,
    downloader: &Downloader<'_>,
    content: &Content,
    root: &Path,
) -> Result<Tree, Error> {
    let missing: Vec<&Descriptor> = content.missing(downloader.blobs).collect();
    let absent: BTreeSet<Digest> = missing.iter().map(|blob| blob.digest).collect();
    let layers = content.image.layers.iter().map(|layer| layer.descriptor.digest);
    let present: BTreeSet<Digest> = layers.filter(|digest| !absent.contains(digest)).collect();
    let (begun, wait) = mpsc::channel();
    let (done, extracted) = oneshot::channel();
    let into = root.to_owned();
    let thread = std::thread::Builder::new()
        .name("extract".to_owned())
        .spawn(move || done.send(run(job, &present, &wait, &into)).map_err(drop))
        .map_err(Error::io("extract", root.to_owned()))?;
    let fetch = downloader.begin(missing, move |arrival| {
        // If the thread has ended, its own error is the one that counts.
        let _ = begun.send(arrival);
    });
    let mut thread = Thread { extracted, thread: Some(thread), root };
    let result = both(&fetch, &mut thread).await;
    let is_redone = fetch.was_redone();
    let verified = fetch.into_verified();
    if result.is_err() {
        // The downloads are gone, which a thread that waits for them has been told. The tree is not to be removed under
        // its hands.
        thread.end().await;
    }
    match result {
        Ok(_) | Err(Error::Tree { .. }) if is_redone => Err(abandoned(content.digest)),
        Ok(extracted) => {
            downloader.blobs.name(&verified, root)?;
            Ok(extracted)
        }
        Err(error) => Err(error),
    }
}

/// Waits for the downloads and for the extraction, or for the error that counts.
async fn both<F: Fn(Arrival)>(fetch: &Fetch<'_, F>, thread: &mut Thread<'_>) -> Result<Tree, Error> {
    let mut downloads = std::pin::pin!(fetch.run());
    let early = tokio::select! {
        downloaded = &mut downloads => {
            downloaded?;
            return thread.result().await;
        }
        early = thread.result() => early,
    };
    let error = match early {
        Ok(extracted) => {
            downloads.await?;
            return Ok(extracted);
        }
        Err(error) => error,
    };
    if let Error::Tree { digest, .. } | Error::Blob(blobs::Error::Abandoned(Abandoned { digest })) = &error {
        // If its bytes are wrong, it is them; if not, it is the layer.
        fetch.only(digest);
        loop {
            let changed = fetch.changed.notified();
            if !fetch.is_open(digest) {
                break;
            }
            tokio::select! {
                downloaded = &mut downloads => downloaded?,
                () = changed => {}
            }
        }
    }
    Err(error)
}

/// The thread that extracts.
struct Thread<'t> {
    extracted: oneshot::Receiver<Result<Tree, Error>>,
    thread: Option<std::thread::JoinHandle<Result<(), ()>>>,
    root: &'t Path,
}

impl Thread<'_> {
    /// What came of it. To be asked for once.
    async fn result(&mut self) -> Result<Tree, Error> {
        let result = (&mut self.extracted).await;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        result.unwrap_or_else(|_| {
            Err(Error::io("extract", self.root.to_owned())(io::Error::other("the extracting thread died")))
        })
    }

    /// Waits until it has ended, if it has not been waited for.
    async fn end(&mut self) {
        if self.thread.is_some() {
            let _ = self.result().await;
        }
    }
}
