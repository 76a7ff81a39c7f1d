//! `restore`: a version is made anew, from its blobs on disk, or else from the registry.

use std::sync::Arc;

use serde::Serialize;

use super::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::progress;
use super::pull::{self, Answer, Error, PATIENCE};
use crate::digest::Digest;
use crate::disk::{self, Disk as _, RealDisk};
use crate::progress::Progress;
use crate::pull::Request;
use crate::reference::Reference;

/// Told for each version that was made anew.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "repaired")]
struct Repaired {
    digest: Digest,
    /// `blobs` or `registry`.
    from: &'static str,
}

/// Makes one version anew, whatever its state; `offline` without the registry.
pub(super) fn restore(
    context: &Context,
    digest: Digest,
    offline: bool,
    json: bool,
    progress: &Arc<dyn Progress>,
) -> Result<Exit, Failure> {
    let restored = if offline {
        from_blobs(context, digest, progress).map_err(Error::from)
    } else {
        repair(context, digest, progress)
    };
    let answer = match restored {
        Ok(from) => {
            tell(&Repaired { digest, from }, json)?;
            Answer { outcome: "restored", digest: Some(digest), reason: None, error: None, remedy: None }
        }
        Err(error) if json => Answer { digest: Some(digest), ..pull::failed(&error) },
        Err(error) => return Err(error.into()),
    };
    pull::finish(&answer, json)
}

fn tell(repaired: &Repaired, json: bool) -> Result<(), Failure> {
    if json {
        progress::json(repaired);
        return Ok(());
    }
    super::output::print(&format!("{} is made anew from the {}\n", repaired.digest, repaired.from))
}

fn from_blobs(
    context: &Context,
    digest: Digest,
    progress: &Arc<dyn Progress>,
) -> Result<&'static str, crate::pull::Error> {
    let (registry, layout) = (&context.settings.registry, &context.layout);
    crate::pull::restore(&digest, registry, layout, PATIENCE, progress).map(|()| "blobs")
}

/// Where the version came from.
fn repair(context: &Context, digest: Digest, progress: &Arc<dyn Progress>) -> Result<&'static str, Error> {
    let layout = &context.layout;
    let error = match from_blobs(context, digest, progress) {
        Ok(from) => return Ok(from),
        Err(error) => error,
    };
    tracing::warn!(event = "repair", %digest, "cannot make {digest} anew from what is on disk: {error}");
    let reference = of_version(&pull::target(context)?, &digest)?;
    // Without its seal the version counts as absent, however well its sizes and times look.
    let seal = layout.seal(&digest);
    let removed = RealDisk.kind(&seal).and_then(|found| match found {
        Some(_) => disk::remove_file_synced(&RealDisk, &seal),
        None => Ok(()),
    });
    removed.map_err(|error| Error::Local(Failure::file(&seal, &error)))?;
    let request = Request {
        reference,
        stage: false,
        current: None,
        rejected: std::collections::BTreeMap::new(),
        again: true,
        method: context.settings.tree_method,
        wait: PATIENCE,
    };
    pull::execute(context, &request, Arc::clone(progress))?;
    Ok("registry")
}

/// A version by its digest, in the target's repository.
pub(super) fn of_version(target: &Reference, digest: &Digest) -> Result<Reference, Error> {
    let text = format!("{}/{}@{digest}", target.registry(), target.repository());
    text.parse().map_err(|error| Error::Local(Failure::new(Exit::Internal, format!("{text}: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_asked_for_in_the_targets_repository() {
        let digest = Digest::from_bytes([1; 32]);
        for target in ["nginx", "localhost:5000/a/b:1", "r.example/a@sha256:"] {
            let target =
                if target.ends_with(':') { format!("{target}{}", digest.hex()) } else { target.into() };
            let target: Reference = target.parse().unwrap();
            let version = of_version(&target, &digest).unwrap();
            assert_eq!((version.registry(), version.repository()), (target.registry(), target.repository()));
            assert_eq!((version.tag(), version.digest()), (None, Some(&digest)));
        }
    }
}
