//! What is damaged of one version. Nothing is changed.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Extent;
use crate::blobs::{self, Blobs};
use crate::config::RegistrySettings;
use crate::digest::Digest;
use crate::disk::{Disk as _, Kind, RealDisk};
use crate::launch::Launch;
use crate::layout::Layout;
use crate::pull;
use crate::tree::{self, Cause, Seal, Stamps};
use crate::volume::overlay::View;

/// A part of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Its manifest.
    Manifest,
    /// Its config, or a layer.
    Blob,
    /// What was extracted, as it is remembered.
    Seal,
    /// How it is started.
    Launch,
    /// The whole extracted tree.
    Tree,
    /// A path in the tree.
    Path,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is a part of.
    pub part: Part,
    /// A path in the tree, or a digest.
    pub name: String,
    /// What is wrong, in words.
    pub problem: String,
    /// What a program did on purpose is no damage, and is left as it is unless a person asks.
    pub damage: bool,
    /// Whether something that is executed may be concerned.
    pub executable: bool,
}

/// What an inspection came to.
#[derive(Debug, Default)]
pub struct Inspection {
    /// All that differs.
    pub findings: Vec<Found>,
    /// Paths of the tree that are damaged.
    pub damaged: BTreeSet<Vec<u8>>,
    /// Paths of the image whose contents or attributes a program changed.
    pub written: BTreeSet<Vec<u8>>,
    /// Blobs that are there with wrong bytes.
    pub(super) corrupt: Vec<Digest>,
    /// The seal may not be read.
    pub(super) unreadable: bool,
    /// The manifest is there and damaged.
    pub(super) bad_manifest: bool,
    pub(super) seal: Option<Seal>,
    pub(super) stamps: Option<Stamps>,
}

impl Inspection {
    /// Whether there is any damage.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|found| found.damage)
    }

    /// Whether this part is damaged.
    pub fn is_part_damaged(&self, part: Part) -> bool {
        self.findings.iter().any(|found| found.damage && found.part == part)
    }

    /// Whether the version can be run with what is damaged: only data files are, and all that is executed is as it should be.
    pub fn is_runnable(&self) -> bool {
        let keeps_from_running = |found: &Found| match found.part {
            Part::Manifest | Part::Blob | Part::Launch => false,
            Part::Seal | Part::Tree => true,
            Part::Path => found.executable,
        };
        !self.findings.iter().any(|found| found.damage && keeps_from_running(found))
    }

    fn add(&mut self, part: Part, name: impl Into<String>, problem: impl Into<String>) {
        let (name, problem) = (name.into(), problem.into());
        self.findings.push(Found { part, name, problem, damage: true, executable: false });
    }
}

/// Looks at what a version's tree could be made of again: its manifest, its config and its layers, which are hashed.
pub fn inspect_store(layout: &Layout, version: &Digest) -> Vec<Found> {
    let mut found = Inspection::default();
    store(layout, version, &mut found);
    found.findings
}

/// Looks at one version.
pub fn inspect(layout: &Layout, version: &Digest, extent: Extent, settings: &RegistrySettings) -> Inspection {
    let mut found = Inspection::default();
    if extent.store {
        store(layout, version, &mut found);
    }
    launch(layout, version, settings, &mut found);
    tree(layout, version, extent.tree, &mut found);
    found
}

fn store(layout: &Layout, version: &Digest, found: &mut Inspection) {
    let blobs = Blobs::new(layout);
    let needed = match pull::layers_of(layout, version) {
        Ok(needed) => needed,
        Err(error) => {
            found.bad_manifest = matches!(RealDisk.kind(&layout.image(version)), Ok(Some(_)));
            return found.add(Part::Manifest, version.to_string(), error.to_string());
        }
    };
    for blob in needed {
        if let Err(error) = blobs.open_verified(&blob.digest, blob.size) {
            if !matches!(error, blobs::Error::Absent { .. }) {
                found.corrupt.push(blob.digest);
            }
            found.add(Part::Blob, blob.digest.to_string(), error.to_string());
        }
    }
}

/// The launch file says what the config says, if that can be read.
fn launch(layout: &Layout, version: &Digest, settings: &RegistrySettings, found: &mut Inspection) {
    let name = layout.launch(version).display().to_string();
    let expected = pull::launch_of(version, settings, layout).ok();
    match (Launch::read(&RealDisk, layout, version), expected) {
        (Ok(Some(launch)), Some(expected)) if launch != expected => {
            found.add(Part::Launch, name, "does not say what the image's config says");
        }
        (Ok(Some(_)), _) => {}
        (Ok(None), _) => found.add(Part::Launch, name, "is missing"),
        (Err(error), _) => found.add(Part::Launch, name, error.to_string()),
    }
}

fn tree(layout: &Layout, version: &Digest, depth: tree::Depth, found: &mut Inspection) {
    if !matches!(RealDisk.kind(&layout.tree(version)), Ok(Some(Kind::Directory))) {
        return found.add(Part::Tree, version.to_string(), "its tree is missing");
    }
    let path = layout.seal(version);
    let read = RealDisk.read(&path, Seal::MAX_BYTES);
    // Of another user: that says nothing of what it is.
    found.unreadable = matches!(&read, Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied);
    let seal = read
        .map_err(|error| error.to_string())
        .and_then(|bytes| Seal::parse(bytes).map_err(|error| error.to_string()));
    let seal = match seal {
        Ok(seal) => seal,
        Err(problem) => return found.add(Part::Seal, path.display().to_string(), problem),
    };
    let is_stack = matches!(RealDisk.kind(&layout.stack(version)), Ok(Some(_)));
    let stamps = RealDisk.read(&layout.stamps(version), Stamps::MAX_BYTES).ok();
    let stamps = stamps.and_then(|bytes| Stamps::parse(bytes, &seal).ok());
    match View::of(layout, version) {
        Ok(view) if is_stack && depth == tree::Depth::Quick => {
            add_differences(tree::examine_stacked(view.path(), &seal), found);
        }
        // Inodes of an overlay are not those that were sealed.
        Ok(view) if is_stack => add_differences(tree::examine(view.path(), &seal, None, depth), found),
        Ok(view) => add_differences(tree::examine(view.path(), &seal, stamps.as_ref(), depth), found),
        Err(error) => found.add(Part::Tree, version.to_string(), error.to_string()),
    }
    (found.seal, found.stamps) = (Some(seal), stamps);
}

fn add_differences(differences: Vec<tree::Difference>, found: &mut Inspection) {
    for difference in differences {
        let name = String::from_utf8_lossy(&difference.path).into_owned();
        match difference.cause {
            Cause::Damage => found.damaged.insert(difference.path),
            Cause::Program => found.written.insert(difference.path),
            Cause::Added => false,
        };
        found.findings.push(Found {
            part: Part::Path,
            name: if name.is_empty() { ".".to_owned() } else { name },
            problem: difference.problem.to_string(),
            damage: difference.cause == Cause::Damage,
            executable: difference.executable,
        });
    }
}
