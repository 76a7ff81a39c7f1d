//! Putting right what an inspection found: blobs first, then the seal, then the tree, then the launch file.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::quarantine::Quarantine;
use super::{Extent, Found, Inspection, Part, inspect};
use crate::blobs::Blobs;
use crate::config::RegistrySettings;
use crate::digest::Digest;
use crate::disk::{Disk as _, Kind, RealDisk};
use crate::health;
use crate::layout::Layout;
use crate::lock::StoreLock;
use crate::progress::{Event, Progress};
use crate::pull::{self, Error};
use crate::reference::Reference;
use crate::remedy::Remedy;
use crate::status::Condition;
use crate::tree::Depth;

/// How far a repair goes.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is looked at.
    pub extent: Extent,
    /// Whether damage is repaired; else it is only told.
    pub repair: bool,
    /// Whether what a program changed on purpose is put right as well.
    pub everything: bool,
    /// The version by its digest, in the repository that missing blobs are fetched from; `None` to ask no registry.
    pub reference: Option<Reference>,
    /// Whether nobody runs in the tree, so that it may be changed.
    pub is_idle: bool,
    /// How long to wait for whoever changes the store.
    pub wait: Duration,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version.
    pub digest: Digest,
    /// How it is now.
    pub condition: Condition,
    /// What was found.
    pub findings: Vec<Found>,
    /// Damaged things that were put into the quarantine.
    pub quarantined: u64,
    /// Whether something came from the registry.
    pub fetched: bool,
    /// Whether it can be run as it is.
    pub runnable: bool,
    /// Neither its seal nor its manifest is there, or they may not be read: nothing can be said of it, and it may be the work of another
    /// program.
    pub unknown: bool,
    /// Why it is still damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// Looks at a version, repairs it if wanted, and remembers what came of it.
///
/// Blocks its thread.
pub fn heal(
    layout: &Layout,
    version: &Digest,
    options: &Options,
    settings: &RegistrySettings,
    progress: &Arc<dyn Progress>,
) -> Report {
    let found = inspect(layout, version, options.extent, settings);
    let mut report = Report {
        digest: *version,
        condition: Condition::Intact,
        quarantined: 0,
        fetched: false,
        runnable: found.is_runnable(),
        unknown: found.unreadable
            || (found.is_part_damaged(Part::Seal)
                && !matches!(RealDisk.kind(&layout.image(version)), Ok(Some(_)))),
        findings: found.findings.clone(),
        error: None,
        remedy: None,
    };
    let to_do = found.is_damaged() || (options.everything && !found.written.is_empty());
    if report.unknown {
        report.condition = Condition::Damaged;
        report.error = Some("nothing can be said of it without its seal and its manifest".to_owned());
    } else if to_do {
        tell_damage(version, &found, options);
        let mut repair = Repair { layout, version, options, settings, progress, report: &mut report };
        match if options.repair { repair.run(found) } else { Ok(false) } {
            Ok(true) => {
                report.condition = Condition::Repaired;
                report.runnable = true;
                tracing::info!(
                    event = "repaired", digest = %version, from = if report.fetched { "registry" } else { "blobs" },
                    quarantined = report.quarantined,
                    "version {} is repaired: {}", version.short(), in_short(&report.findings)
                );
            }
            Ok(false) => report.condition = Condition::Damaged,
            Err(error) => {
                tracing::error!(
                    event = "repair_failed", digest = %version, "version {} is damaged still: {error}", version.short()
                );
                report.condition = Condition::Damaged;
                (report.error, report.remedy) = (Some(error.to_string()), Some(error.remedy()));
            }
        }
    }
    let detail = match &report.error {
        Some(error) => format!("{}; {error}", in_short(&report.findings)),
        None => in_short(&report.findings),
    };
    let is_known = options.extent.tree == Depth::Full || report.condition != Condition::Intact;
    if is_known
        && !report.unknown
        && let Err(error) = health::note(layout, version, report.condition, &detail)
    {
        tracing::warn!(
            event = "health_not_noted",
            "what was found of {version} can't be remembered: {error}"
        );
    }
    report
}

fn tell_damage(version: &Digest, found: &Inspection, options: &Options) {
    let text = in_short(&found.findings);
    tracing::warn!(event = "damaged", digest = %version, repair = options.repair, "version {} is damaged: {text}", version.short());
}

/// The damage in one line: the first things, and how many more.
fn in_short(findings: &[Found]) -> String {
    const LISTED: usize = 3;
    let damage: Vec<_> = findings.iter().filter(|found| found.damage).collect();
    let mut text: Vec<String> =
        damage.iter().take(LISTED).map(|found| format!("{} {}", found.name, found.problem)).collect();
    if damage.len() > LISTED {
        text.push(format!("and {} more", damage.len() - LISTED));
    }
    if text.is_empty() { "nothing is damaged".to_owned() } else { text.join("; ") }
}

struct Repair<'r> {
    layout: &'r Layout,
    version: &'r Digest,
    options: &'r Options,
    settings: &'r RegistrySettings,
    progress: &'r Arc<dyn Progress>,
    report: &'r mut Report,
}

impl Repair<'_> {
    /// `false` when something is left that may not be touched now.
    fn run(&mut self, found: Inspection) -> Result<bool, Error> {
        let progress = Arc::clone(self.progress);
        let lock = Arc::new(StoreLock::take(self.layout, "repair", self.options.wait, |holder| {
            progress.event(Event::Waiting { holder: holder.to_owned() });
        })?);
        let mut quarantine = Quarantine::open(self.layout);
        self.put_blobs_aside(&found, &mut quarantine)?;
        let store_damaged = found.is_part_damaged(Part::Manifest) || found.is_part_damaged(Part::Blob);
        if store_damaged && self.options.reference.is_some() {
            self.fetch()?;
        }
        let mut done = !store_damaged || self.options.reference.is_some();
        if self.is_tree_concerned(&found) {
            done &= self.repair_tree(&found, &lock, &mut quarantine)?;
        } else {
            self.write_launch_if_damaged(&found)?;
        }
        if !done && store_damaged && self.options.reference.is_none() {
            // Said by the first blob that is not there.
            pull::layers_of(self.layout, self.version)?
                .iter()
                .try_for_each(|blob| Blobs::new(self.layout).open(&blob.digest, blob.size).map(drop))?;
        }
        Ok(done)
    }

    fn is_tree_concerned(&self, found: &Inspection) -> bool {
        let parts = [Part::Seal, Part::Tree, Part::Path];
        parts.iter().any(|part| found.is_part_damaged(*part))
            || (self.options.everything && !found.written.is_empty())
    }

    fn put_blobs_aside(&mut self, found: &Inspection, quarantine: &mut Quarantine) -> Result<(), Error> {
        let manifest = found.bad_manifest.then(|| self.layout.image(self.version));
        let blobs = found.corrupt.iter().map(|digest| self.layout.blob(digest));
        for path in manifest.into_iter().chain(blobs) {
            self.keep(quarantine, &path)?;
            // It has a name in the quarantine now, if there was room for it.
            match RealDisk.kind(&path).map_err(failed("look at", &path))? {
                Some(Kind::Directory) => RealDisk.remove_tree(&path).map_err(failed("remove", &path))?,
                Some(_) => RealDisk.remove_file(&path).map_err(failed("remove", &path))?,
                None => {}
            }
        }
        Ok(())
    }

    fn keep(&mut self, quarantine: &mut Quarantine, path: &std::path::Path) -> Result<(), Error> {
        let kept = quarantine.keep(self.version, path).map_err(failed("put into the quarantine", path))?;
        if kept {
            self.report.quarantined += 1;
        }
        Ok(())
    }

    /// Brings what is missing of manifest, config and layers.
    fn fetch(&mut self) -> Result<(), Error> {
        let Some(reference) = &self.options.reference else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed("begin to ask", self.layout.root()))?;
        let (version, settings) = (self.version, self.settings);
        let done = pull::complete(reference, version, settings, self.layout, &**self.progress);
        runtime.block_on(done)?;
        self.report.fetched = true;
        Ok(())
    }

    /// `false` when a tree would have to be changed that somebody runs in.
    fn repair_tree(
        &mut self,
        found: &Inspection,
        lock: &Arc<StoreLock>,
        quarantine: &mut Quarantine,
    ) -> Result<bool, Error> {
        match self.try_tree(found, lock, quarantine) {
            // A blob that was not looked at is damaged as well, and removed by now; or one is missing.
            Err(error) if error.remedy() == Remedy::Corrupt && self.options.reference.is_some() => {
                self.fetch()?;
                self.try_tree(found, lock, quarantine)
            }
            done => done,
        }
    }

    fn try_tree(
        &mut self,
        found: &Inspection,
        lock: &Arc<StoreLock>,
        quarantine: &mut Quarantine,
    ) -> Result<bool, Error> {
        let resealed = if found.is_part_damaged(Part::Seal) {
            self.keep(quarantine, &self.layout.seal(self.version))?;
            pull::reseal(self.version, self.layout, lock, self.progress)?;
            let extent = Extent { tree: Depth::Full, store: false };
            Some(inspect(self.layout, self.version, extent, self.settings))
        } else {
            None
        };
        let found = resealed.as_ref().unwrap_or(found);
        let paths = self.paths(found);
        let is_lost = found.is_part_damaged(Part::Tree);
        if paths.is_empty() && !is_lost {
            return self.write_launch_if_damaged(found).map(|()| true);
        }
        if !self.options.is_idle {
            return Ok(false);
        }
        let is_stack = matches!(RealDisk.kind(&self.layout.stack(self.version)), Ok(Some(_)));
        match &found.seal {
            Some(seal) if !is_stack && !is_lost => {
                let tree = self.layout.tree(self.version);
                for path in &paths {
                    let path = tree.join(std::ffi::OsStr::from_bytes(path));
                    if is_replaced(&path) {
                        self.keep(quarantine, &path)?;
                    }
                }
                let (version, settings, layout) = (self.version, self.settings, self.layout);
                let sealed = (seal, found.stamps.as_ref());
                pull::mend(version, sealed, paths, settings, layout, lock, self.progress)?;
            }
            // Frozen directories are never written to: the version becomes a plain tree.
            _ => pull::restore_locked(self.version, self.settings, self.layout, lock, self.progress)?,
        }
        self.check().map(|()| true)
    }

    fn paths(&self, found: &Inspection) -> BTreeSet<Vec<u8>> {
        let mut paths = found.damaged.clone();
        if self.options.everything {
            paths.extend(found.written.iter().cloned());
        }
        paths
    }

    /// Nothing is called repaired that is not.
    fn check(&self) -> Result<(), Error> {
        let quick = Extent { tree: Depth::Quick, store: false };
        let left = inspect(self.layout, self.version, quick, self.settings);
        if left.is_damaged() {
            let text = format!("it was repaired, and is damaged again: {}", in_short(&left.findings));
            return Err(failed("repair", &self.layout.tree(self.version))(std::io::Error::other(text)));
        }
        Ok(())
    }

    fn write_launch_if_damaged(&self, found: &Inspection) -> Result<(), Error> {
        if found.is_part_damaged(Part::Launch) {
            pull::write_launch(self.version, self.settings, self.layout)?;
        }
        Ok(())
    }
}

/// Whether something else takes this path's place; of what only has other attributes nothing is lost.
fn is_replaced(path: &std::path::Path) -> bool {
    // A directory that is one still keeps its place: only what is in it is replaced.
    std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_dir())
}

fn failed(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| Error::of_io(action, path, source)
}
