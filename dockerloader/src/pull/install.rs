//! From a finished temporary tree to a version that can be started, in an order that a crash can't hurt.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk::{self, Disk as _, Kind, RealDisk};
use crate::health;
use crate::launch::Launch;
use crate::layout::{Layout, Slot};
use crate::manifest::{ImageConfig, Platform};
use crate::status::Condition;
use crate::tree::{self, Depth, Extracted, LayerIndex, Problem, Seal};
use crate::volume::overlay::{self, Draft, View};
use crate::volume::{Method, spare, subvolume};

use super::{Error, program};

/// How a version that is completely on disk is started; `None` when its tree, seal or launch file is missing or damaged.
/// Files that were added to the tree by whoever ran it don't count; contents are not read.
pub(super) fn installed(layout: &Layout, digest: &Digest) -> Option<Launch> {
    // Contents that are damaged may have the size and the times that they should have.
    if health::is_damaged(&RealDisk, layout, digest) {
        return None;
    }
    let launch = Launch::read(&RealDisk, layout, digest).ok()??;
    let seal = Seal::parse(RealDisk.read(&layout.seal(digest), Seal::MAX_BYTES).ok()?).ok()?;
    // A version that is not mounted is looked at all the same; one that can't be is made anew.
    let view = View::of(layout, digest).ok()?;
    let findings = tree::verify(view.path(), &seal, Depth::Quick);
    findings.iter().all(|finding| finding.problem == Problem::Extra).then_some(launch)
}

/// Removes what earlier extractions and removals left. The caller holds the store's lock.
pub(super) fn remove_leftovers(layout: &Layout) -> Result<(), Error> {
    let folder = layout.extracted();
    // The spare tree is no leftover.
    spare::recover(&RealDisk, layout).map_err(Error::io("rename the spare tree in", folder.clone()))?;
    overlay::remove_leftovers(layout)?;
    RealDisk.create_directories(&folder).map_err(Error::io("make", folder.clone()))?;
    for name in RealDisk.list(&folder).map_err(Error::io("list", folder.clone()))? {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"tmp-") || bytes.starts_with(b"removing-") {
            remove(&folder.join(name))?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Error> {
    let removed = match RealDisk.kind(path) {
        Ok(Some(Kind::Directory)) => RealDisk.remove_tree(path),
        Ok(None) => Ok(()),
        Ok(Some(_)) => RealDisk.remove_file(path),
        Err(error) => Err(error),
    };
    removed.map_err(Error::io("remove", path.to_owned()))
}

fn make_subvolume(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        RealDisk.create_directories(parent)?;
    }
    subvolume::create(path)
}

/// A tree under construction; removed when it is dropped before it is installed.
pub(super) struct Temporary {
    path: PathBuf,
    installed: bool,
    /// The spare tree that it was. Whatever was done to it since, its stamps tell what it still has of that.
    spare: Option<PathBuf>,
    /// What will be frozen, where versions are overlays.
    draft: Option<Draft>,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A draft takes itself away.
        if !self.installed && self.draft.is_none() {
            if let Some(spare) = &self.spare
                && disk::rename_synced(&RealDisk, &self.path, spare).is_ok()
            {
                return;
            }
            // The error that led here is the one to report; the next pull removes what is left.
            let _ = remove(&self.path);
        }
    }
}

impl Temporary {
    /// An empty directory for a version's tree. Where trees are made from snapshots it is a subvolume, so that later ones can
    /// be.
    pub(super) fn new(layout: &Layout, digest: &Digest, method: Option<Method>) -> Result<Self, Error> {
        Self::at(layout, digest, |path| {
            // What was remembered of the volume may be of another one by now: a directory is one everywhere.
            if method == Some(Method::Snapshot) && make_subvolume(path).is_ok() {
                return Ok(());
            }
            RealDisk.create_directories(path)
        })
    }

    /// The spare tree, which is the spare one again if nothing comes of it.
    pub(super) fn from_spare(layout: &Layout, digest: &Digest, of: &Digest) -> Result<Self, Error> {
        remove(&layout.extracted().join(format!("tmp-{digest}")))?;
        let make = |path: &Path| spare::take(&RealDisk, layout, of, path);
        let mut taken = Self::at_path(spare::taken(layout, of), make)?;
        taken.spare = Some(layout.spare(of));
        Ok(taken)
    }

    /// A snapshot of the tree of `current`.
    pub(super) fn from_snapshot(layout: &Layout, digest: &Digest, current: &Digest) -> Result<Self, Error> {
        Self::at(layout, digest, |path| subvolume::snapshot(&layout.tree(current), path))
    }

    fn at(
        layout: &Layout,
        digest: &Digest,
        make: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<Self, Error> {
        Self::at_path(layout.extracted().join(format!("tmp-{digest}")), make)
    }

    fn at_path(path: PathBuf, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<Self, Error> {
        remove(&path)?;
        make(&path).map_err(Error::io("make", path.clone()))?;
        Ok(Self { path, installed: false, spare: None, draft: None })
    }

    /// A directory that will be frozen: over the stack of `current`, or empty.
    pub(super) fn to_freeze(
        layout: &Layout,
        digest: &Digest,
        current: Option<&Digest>,
    ) -> Result<Self, Error> {
        let draft = match current {
            Some(current) => overlay::clone(layout, current, digest)?,
            None => Some(overlay::whole(layout, digest)?),
        };
        let draft = draft.ok_or_else(|| {
            Error::io("build upon", layout.stacks())(std::io::Error::other("the stack is gone"))
        })?;
        Ok(Self { path: draft.path(), installed: false, spare: None, draft: Some(draft) })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the version can be started, and gives the tree its name. The tree is durable already; seal and launch
    /// file come before the name, so that under it there is always all of a version. Stamps and the indexes of layers may be
    /// lost or torn by a crash: then the next version is extracted. A tree that was there before is swapped out in one
    /// step: links to it never lead to nothing.
    pub(super) fn install(
        mut self,
        layout: &Layout,
        digest: &Digest,
        extracted: &Extracted,
        indexes: &[(Digest, LayerIndex)],
        config: &ImageConfig,
        platform: &Platform,
    ) -> Result<Launch, Error> {
        let launch = program::launch(&self.path, config, platform, Path::exists)?;
        let text = serde_json::to_vec(&launch)
            .map_err(|error| Error::io("write", layout.launch(digest))(std::io::Error::other(error)))?;
        let stamps = (layout.stamps_folder(), layout.stamps(digest), extracted.stamps.as_bytes());
        let indexes = indexes
            .iter()
            .map(|(layer, index)| (layout.layer_indexes(), layout.layer_index(layer), index.as_bytes()));
        for (folder, path, bytes) in indexes.chain([stamps]) {
            RealDisk
                .create_directories(&folder)
                .and_then(|()| disk::replace_cache(&RealDisk, &path, bytes))
                .map_err(Error::io("write", path))?;
        }
        for (folder, path, bytes) in [
            (layout.seals(), layout.seal(digest), extracted.seal.as_bytes()),
            (layout.launches(), layout.launch(digest), text.as_slice()),
        ] {
            RealDisk
                .create_directories(&folder)
                .and_then(|()| disk::replace_file(&RealDisk, &path, bytes))
                .map_err(Error::io("write", path))?;
        }
        if let Some(draft) = self.draft.take() {
            self.installed = true;
            draft.freeze(&extracted.seal)?;
            note_health(layout, digest)?;
            return Ok(launch);
        }
        let tree = layout.tree(digest);
        // A mount would keep the name from being swapped. The stack's file goes after the tree is there, which counts before it.
        overlay::unmount(layout, digest)?;
        match RealDisk.kind(&tree).map_err(Error::io("look at", tree.clone()))? {
            None => {
                disk::rename_synced(&RealDisk, &self.path, &tree).map_err(Error::io("rename", tree))?;
                self.installed = true;
            }
            Some(_) => {
                let aside = layout.extracted().join(format!("removing-{digest}"));
                remove(&aside)?;
                disk::exchange(&RealDisk, &self.path, &tree, &aside).map_err(Error::io("rename", tree))?;
                self.installed = true;
                remove(&aside)?;
            }
        }
        overlay::forget(layout, digest)?;
        note_health(layout, digest)?;
        Ok(launch)
    }
}

/// A version that was damaged is whole again.
fn note_health(layout: &Layout, digest: &Digest) -> Result<(), Error> {
    if !health::is_damaged(&RealDisk, layout, digest) {
        return Ok(());
    }
    let noted = health::note(layout, digest, Condition::Repaired, "made anew from its layers");
    noted.map_err(Error::io("write", layout.health()))
}

/// Writes how a version is started.
pub(super) fn write_launch(layout: &Layout, digest: &Digest, launch: &Launch) -> Result<(), Error> {
    let path = layout.launch(digest);
    let text = serde_json::to_vec(launch)
        .map_err(|error| Error::io("write", path.clone())(std::io::Error::other(error)))?;
    RealDisk
        .create_directories(&layout.launches())
        .and_then(|()| disk::replace_file(&RealDisk, &path, &text))
        .map_err(Error::io("write", path))
}

/// The version that a slot's link names.
pub(super) fn named(layout: &Layout, slot: Slot) -> Option<Digest> {
    let target = RealDisk.read_link(&layout.slot(slot)).ok()?;
    layout.version_of(&target).map(|(digest, _)| digest)
}

/// Puts a version into the slot `entrypoint-attempt`; nothing is done when it is there. Gives whether it is staged: not when it has
/// come to be tried, or to be current, since `current` was what the slot `entrypoint` named. The supervisor moves links while a pull
/// goes on, always from `entrypoint-attempt` by `-attempting` to `entrypoint`; they are read in that order, so that a version on
/// its way is seen.
pub(super) fn stage(
    layout: &Layout,
    digest: &Digest,
    launch: &Launch,
    current: Option<Digest>,
) -> Result<bool, Error> {
    let slot = layout.slot(Slot::Attempt);
    let target = layout.tree(digest).join(&launch.program);
    if RealDisk.read_link(&slot).is_ok_and(|found| found == target) {
        return Ok(true);
    }
    let is_tried = named(layout, Slot::Attempting) == Some(*digest);
    if is_tried || (named(layout, Slot::Current) == Some(*digest) && current != Some(*digest)) {
        return Ok(false);
    }
    disk::replace_symlink(&RealDisk, &target, &slot).map_err(Error::io("stage", slot))?;
    tracing::info!(event = "stage", %digest, "staged version {}", digest.short());
    Ok(true)
}

/// Takes another version than `current` out of the slot `entrypoint-attempt`.
pub(super) fn withdraw(layout: &Layout, current: &Digest) -> Result<(), Error> {
    let slot = layout.slot(Slot::Attempt);
    let Ok(target) = RealDisk.read_link(&slot) else { return Ok(()) };
    match layout.version_of(&target) {
        Some((staged, _)) if staged != *current => {
            disk::remove_file_synced(&RealDisk, &slot).map_err(Error::io("remove", slot))?;
            tracing::info!(
                event = "withdraw", digest = %staged,
                "version {} is no longer staged: the target is back at the version that runs", staged.short()
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_has_come_to_be_tried_or_current_meanwhile_is_not_staged_again() {
        let digest = |byte| Digest::from_bytes([byte; 32]);
        let (old, new, older) = (digest(1), digest(2), digest(3));
        // Attempt, attempting and current; what was current when the pull began; whether the new version is staged.
        for (links, before, expected) in [
            ([None, None, Some(old)], Some(old), true),
            ([Some(new), None, Some(old)], Some(old), true),
            ([Some(older), None, Some(old)], Some(old), true),
            ([None, Some(new), Some(old)], Some(old), false),
            ([None, None, Some(new)], Some(old), false),
            ([None, None, Some(new)], None, false),
            // Its tree was lost, and is there again: the supervisor waits for it to be staged.
            ([None, None, Some(new)], Some(new), true),
            ([None, None, None], None, true),
        ] {
            let ground = tempfile::tempdir().unwrap();
            let layout = Layout::new(ground.path());
            RealDisk.create_directories(layout.root()).unwrap();
            let slots = [Slot::Attempt, Slot::Attempting, Slot::Current];
            for (slot, version) in slots.into_iter().zip(links) {
                if let Some(version) = version {
                    let target = layout.tree(&version).join("entrypoint");
                    disk::replace_symlink(&RealDisk, &target, &layout.slot(slot)).unwrap();
                }
            }
            let launch = Launch { program: "entrypoint".into(), ..Launch::default() };
            assert_eq!(stage(&layout, &new, &launch, before).unwrap(), expected, "{links:?}");
            let staged = if expected { Some(new) } else { links[0] };
            assert_eq!(named(&layout, Slot::Attempt), staged, "{links:?}");
        }
    }
}
