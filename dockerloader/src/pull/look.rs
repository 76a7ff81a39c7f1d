//! A look at the registry: what the reference stands for, and whether that is wanted.

use crate::digest::Digest;
use crate::disk::RealDisk;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::manifest::Platform;
use crate::registry::Client;
use crate::reserve;

use super::content::{self, Content};
use super::resolved::Resolved;
use super::{Error, Outcome, Request};

/// What a look at the registry showed.
pub(super) enum Look {
    /// There is nothing to bring.
    Settled(Outcome),
    /// This version is wanted.
    Wanted(Box<(Content, Memory)>),
}

/// What is remembered of a look.
pub(super) struct Memory {
    pub(super) resolved: Resolved,
    /// Whether it takes the place of what is remembered: a version that is put on disk by the way, for a repair, doesn't
    /// make the target forgotten.
    is_target: bool,
}

impl Memory {
    /// Remembers it.
    pub(super) fn write(&self, layout: &Layout) -> Result<(), Error> {
        if !self.is_target {
            return Ok(());
        }
        // What must not be forgotten for want of room is that there was none.
        reserve::with_room(&RealDisk, layout, || self.resolved.write(&RealDisk, layout))
            .map_err(Error::io("write", layout.resolved()))
    }
}

/// Resolves the reference, and finds the platform's manifest: on disk if the last look led to it, else in the registry.
pub(super) async fn look(
    request: &Request,
    layout: &Layout,
    client: &Client,
    platform: &Platform,
    limits: &Limits,
) -> Result<Look, Error> {
    let (reference, platform_name) = (request.reference.to_string(), platform.to_string());
    let tag = client.resolve(&request.reference).await?.digest;
    let last = Resolved::read(&RealDisk, layout);
    let known = last.as_ref().and_then(|last| last.version(&reference, &platform_name, &tag));
    if let Some(outcome) = known.and_then(|version| request.judge(version)) {
        return Ok(Look::Settled(outcome));
    }
    let stored = known.and_then(|version| Content::read(layout, &version, limits).ok());
    let (content, bytes) = match stored {
        Some(content) => (content, None),
        None => {
            let selected = client.select(&request.reference, &tag, platform).await?;
            (Content { digest: selected.digest, image: selected.image }, Some(selected.bytes))
        }
    };
    let is_target = request.stage || last.as_ref().is_none_or(|last| last.reference == reference);
    let is_known = known == Some(content.digest);
    let failure = last.filter(|_| is_known).and_then(|last| last.failure);
    let resolved = Resolved { reference, platform: platform_name, tag, manifest: content.digest, failure };
    let memory = Memory { resolved, is_target };
    let settled = request.judge(content.digest);
    if let (None, Some(bytes)) = (&settled, &bytes) {
        content::write(layout, &content.digest, bytes)?;
    }
    if !is_known {
        memory.write(layout)?;
    }
    Ok(settled.map_or_else(|| Look::Wanted(Box::new((content, memory))), Look::Settled))
}

impl Request {
    /// What there is to say about a version without looking at the disk.
    fn judge(&self, version: Digest) -> Option<Outcome> {
        if self.current == Some(version) {
            return Some(Outcome::UpToDate { digest: version });
        }
        let reason = self.rejected.get(&version)?;
        Some(Outcome::Skipped { digest: version, reason: reason.clone() })
    }
}
