//! The plan by tables, and the removal against real files.
#![expect(clippy::disallowed_methods, reason = "the tests make what is then removed")]

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;
use crate::blobs::digest_of_bytes;
use crate::disk::RealDisk;
use crate::layout::Slot;
use crate::pull::resolved::Resolved;

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

/// `launch:a images:a blobs:ab,tmp-x`: names of one letter stand for digests, `p-a` for partial downloads.
fn present(text: &str) -> Present {
    let name = |name: &str| -> OsString {
        match name.strip_prefix("p-") {
            Some(letter) => format!("partial-{}", digest(letter.chars().next().unwrap())).into(),
            None if name.starts_with("s-") => {
                format!("spare-{}", digest(name.chars().nth(2).unwrap())).into()
            }
            None if name.len() == 1 => digest(name.chars().next().unwrap()).to_string().into(),
            None => name.into(),
        }
    };
    text.split_whitespace()
        .map(|part| {
            let (folder, names) = part.split_once(':').unwrap();
            let folder = match folder {
                "launch" => Folder::Launch,
                "seals" => Folder::Seals,
                "extracted" => Folder::Extracted,
                "images" => Folder::Images,
                "blobs" => Folder::Blobs,
                "stamps" => Folder::Stamps,
                "indexes" => Folder::Indexes,
                "quarantine" => Folder::Quarantine,
                "stacks" => Folder::Stacks,
                "writes" => Folder::Writes,
                "frozen" => Folder::Frozen,
                other => panic!("{other}"),
            };
            (folder, names.split(',').map(name).collect())
        })
        .collect()
}

/// The deletions of a plan, in the form that `present` reads.
fn deletes(plan: &Plan) -> Present {
    let mut by_folder = Present::new();
    for delete in &plan.deletes {
        by_folder.entry(delete.folder).or_default().insert(delete.name.clone());
    }
    by_folder
}

#[test]
fn what_nothing_needs_goes_and_nothing_else() {
    let all = "launch:a,b seals:a,b extracted:a,b images:a,b blobs:1,2,3,p-3,p-4";
    // (needed, complete, references of the needed, what is there, what goes)
    for (needed, complete, references, there, goes) in [
        ("a", true, "a=12", all, "launch:b seals:b extracted:b images:b blobs:3,p-3,p-4"),
        ("ab", true, "a=12 b=3", all, "blobs:p-4"),
        ("ab", true, "a=12 b=34", all, ""),
        ("", true, "", all, all),
        // A slot can't be read: no version can be ruled out.
        ("a", false, "a=12", all, ""),
        (
            "a",
            false,
            "a=12",
            "extracted:b,tmp-1,removing-x blobs:tmp-2",
            "extracted:tmp-1,removing-x blobs:tmp-2",
        ),
        // A needed version's manifest can't be read: its tree is known, its blobs are not.
        ("ab", true, "a=12 b=?", all, ""),
        ("a", true, "a=?", all, "launch:b seals:b extracted:b images:b"),
        ("a", true, "", all, "launch:b seals:b extracted:b images:b"),
        // Needed, but not there.
        ("c", true, "c=9", all, all),
        // Nobody's: left alone.
        ("a", true, "a=1", "blobs:1,lost+found,sha256:zz images:README extracted:p-a", ""),
    ] {
        let versions = needed.chars().map(digest).collect();
        let references = references
            .split_whitespace()
            .map(|part| {
                let (version, blobs) = part.split_once('=').unwrap();
                let known = (blobs != "?").then(|| blobs.chars().map(digest).collect());
                (digest(version.chars().next().unwrap()), known)
            })
            .collect();
        let plan = plan(&versions, complete, &present(there), &references, None);
        assert_eq!(deletes(&plan), present(goes), "needed {needed:?}, complete {complete}: {there}");
    }
}

#[test]
fn one_tree_that_nothing_needs_may_stay_as_the_spare_one() {
    let all = "launch:a,b,c seals:a,b,c stamps:a,b,c extracted:a,b,c images:a,b,c blobs:1,2 indexes:1,2";
    // (what is there, seals from the oldest, the spare, what goes); a is needed, with its blob 1.
    for (there, ages, spare, goes) in [
        (all, "bc", Some('c'), "launch:b,c seals:b stamps:b extracted:b images:b,c blobs:2 indexes:2"),
        (all, "cb", Some('b'), "launch:b,c seals:c stamps:c extracted:c images:b,c blobs:2 indexes:2"),
        // It is one already, and nothing younger is to be had.
        ("seals:a,b stamps:a,b extracted:a,s-b", "b", Some('b'), ""),
        // A younger one takes its place.
        ("seals:a,b,c stamps:a,b,c extracted:a,c,s-b", "cb", Some('c'), "seals:b stamps:b extracted:s-b"),
        // Nobody can tell what is in a tree without seal and stamps.
        ("seals:a,b stamps:a extracted:a,b", "b", None, "seals:b extracted:b"),
        ("stamps:a,b extracted:a,s-b", "", None, "stamps:b extracted:s-b"),
        // Back under its own name, and needed.
        ("seals:a stamps:a extracted:a,s-a", "", None, "extracted:s-a"),
        ("seals:b stamps:b extracted:b,s-b", "b", Some('b'), "extracted:s-b"),
    ] {
        let (versions, there) = ([digest('a')].into(), present(there));
        let ages = ages.chars().zip(1..).map(|(letter, age)| (digest(letter), age)).collect();
        let references = [(digest('a'), Some([digest('1')].into()))].into();
        let chosen = choose_spare(&versions, &there, &ages);
        let plan = plan(&versions, true, &there, &references, chosen);
        assert_eq!(plan.spare, spare.map(digest), "{there:?}");
        assert_eq!(deletes(&plan), present(goes), "{there:?}");
    }
    let there = present(all);
    let plan = plan(&[digest('a')].into(), false, &there, &References::new(), Some(digest('b')));
    assert_eq!(plan.spare, None, "a slot can't be read: nothing is renamed");
}

#[test]
fn a_version_loses_what_makes_it_usable_first() {
    let plan = plan(
        &BTreeSet::new(),
        true,
        &present(
            "quarantine:old blobs:1 indexes:1 images:a writes:a extracted:a stacks:a stamps:a seals:a launch:a",
        ),
        &References::new(),
        None,
    );
    let order: Vec<Folder> = plan.deletes.iter().map(|delete| delete.folder).collect();
    // Frozen directories go by another rule.
    assert_eq!(order, Folder::ALL.into_iter().filter(|folder| *folder != Folder::Frozen).collect::<Vec<_>>());
}

#[test]
fn a_frozen_directory_goes_when_no_needed_version_stands_on_it() {
    let all = "frozen:x-1,y-1,y-2,tmp-z-1,tmp-z-1-work";
    let leftovers = "frozen:tmp-z-1,tmp-z-1-work";
    // (complete, the stacks of the needed versions, what goes, whether something is said)
    for (complete, stacks, goes, says) in [
        (true, "a=x-1", "frozen:y-1,y-2,tmp-z-1,tmp-z-1-work", false),
        (true, "a=x-1,y-1 b=y-1", "frozen:y-2,tmp-z-1,tmp-z-1-work", false),
        (true, "", all, false),
        (false, "a=x-1", leftovers, false),
        (true, "a=x-1 b=?", leftovers, true),
    ] {
        let stacks = stacks
            .split_whitespace()
            .map(|part| {
                let (version, names) = part.split_once('=').unwrap();
                let known = (names != "?").then(|| names.split(',').map(OsString::from).collect());
                (digest(version.chars().next().unwrap()), known)
            })
            .collect();
        let found = plan_frozen(complete, &present(all), &stacks);
        assert_eq!(deletes(&found), present(goes), "complete {complete}: {stacks:?}");
        assert_eq!(!found.findings.is_empty(), says, "{stacks:?}");
    }
}

#[test]
fn a_stack_is_no_spare_tree() {
    let there = present("seals:b,c stamps:b,c stacks:c extracted:b,c");
    let ages = [(digest('b'), 1), (digest('c'), 2)].into();
    assert_eq!(choose_spare(&BTreeSet::new(), &there, &ages), Some(digest('b')));
}

struct Scene {
    directory: tempfile::TempDir,
    layout: Layout,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        for folder in Folder::ALL {
            fs::create_dir_all(folder.path(&layout)).unwrap();
        }
        Self { directory, layout }
    }

    /// A version with one layer and a config, both of which are named in its manifest; its digest and theirs.
    fn version(&self, seed: &str) -> (Digest, [Digest; 2]) {
        let blobs = ["layer", "config"].map(|kind| {
            let content = format!("{kind} of {seed}");
            let digest = digest_of_bytes(content.as_bytes());
            fs::write(self.layout.blob(&digest), content).unwrap();
            digest
        });
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
               "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":9}},
               "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":9}}]}}"#,
            blobs[1], blobs[0],
        );
        let version = digest_of_bytes(manifest.as_bytes());
        fs::write(self.layout.image(&version), manifest).unwrap();
        fs::write(self.layout.seal(&version), "seal").unwrap();
        fs::write(self.layout.launch(&version), "launch").unwrap();
        let tree = self.layout.tree(&version);
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        fs::write(tree.join("entrypoint"), "x").unwrap();
        (version, blobs)
    }

    fn link(&self, slot: Slot, version: &Digest) {
        symlink(self.layout.tree(version).join("entrypoint"), self.layout.slot(slot)).unwrap();
    }

    fn collect(&self, keep: &[Digest]) -> Report {
        self.collect_without(keep, &[])
    }

    fn collect_without(&self, keep: &[Digest], rejected: &[Digest]) -> Report {
        let lock = StoreLock::take(&self.layout, "gc", Duration::ZERO, |_| {}).unwrap();
        let set = |digests: &[Digest]| digests.iter().copied().collect();
        collect(&lock, &RealDisk, &self.layout, &set(keep), &set(rejected), false).unwrap()
    }

    /// Says that the target's tag stands for `version`.
    fn resolve(&self, version: &Digest) {
        let resolved = Resolved {
            reference: "r/a:1".to_owned(),
            platform: "linux/amd64".to_owned(),
            tag: *version,
            manifest: *version,
            failure: None,
        };
        resolved.write(&RealDisk, &self.layout).unwrap();
    }

    fn is_complete(&self, (version, blobs): &(Digest, [Digest; 2])) -> bool {
        let files = [self.layout.image(version), self.layout.seal(version), self.layout.launch(version)];
        let blobs = blobs.map(|blob| self.layout.blob(&blob));
        files.iter().chain(&blobs).all(|path| path.is_file())
            && self.layout.tree(version).join("entrypoint").is_file()
    }

    fn count(&self) -> usize {
        Folder::ALL.iter().map(|folder| fs::read_dir(folder.path(&self.layout)).unwrap().count()).sum()
    }
}

#[test]
fn all_four_slots_and_what_runs_are_kept_and_the_rest_goes() {
    let scene = Scene::new();
    let versions = ["1", "2", "3", "4", "5", "6"].map(|seed| scene.version(seed));
    for (slot, version) in Slot::ALL.into_iter().zip(&versions) {
        scene.link(slot, &version.0);
    }
    fs::create_dir(scene.layout.extracted().join("tmp-half")).unwrap();
    fs::write(scene.layout.blobs().join("partial-sha256:x"), "foreign").unwrap();
    fs::write(scene.layout.blobs().join(format!("partial-{}", digest('a'))), "old").unwrap();
    let report = scene.collect(&[versions[4].0]);
    for version in &versions[..5] {
        assert!(scene.is_complete(version));
    }
    // Five complete versions of six files each, and the foreign one.
    assert_eq!(scene.count(), 5 * 6 + 1);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(scene.collect(&[versions[4].0]).deleted, [], "a second time nothing is left to do");
}

#[test]
fn what_the_target_needs_is_kept_until_it_is_rejected() {
    let scene = Scene::new();
    let (current, target) = (scene.version("1"), scene.version("2"));
    scene.link(Slot::Current, &current.0);
    scene.resolve(&target.0);
    // A download that was interrupted, of a version without a tree.
    fs::remove_dir_all(scene.layout.tree(&target.0)).unwrap();
    let partial = scene.layout.blobs().join(format!("partial-{}", target.1[0]));
    fs::rename(scene.layout.blob(&target.1[0]), &partial).unwrap();
    assert_eq!(scene.collect(&[]).deleted, []);
    scene.collect_without(&[], &[target.0]);
    assert!(!partial.exists() && !scene.layout.image(&target.0).exists());
    assert!(scene.is_complete(&current));
    assert_eq!(scene.count(), 6);
}

#[test]
fn a_slot_that_cannot_be_read_keeps_everything() {
    let scene = Scene::new();
    let version = scene.version("1");
    symlink("/usr/bin/app", scene.layout.slot(Slot::Current)).unwrap();
    let report = scene.collect(&[]);
    assert!(scene.is_complete(&version));
    assert!(report.findings[0].contains("entrypoint leads to /usr/bin/app"), "{report:?}");
}

#[test]
fn a_damaged_manifest_keeps_the_blobs() {
    let scene = Scene::new();
    let (kept, other) = (scene.version("1"), scene.version("2"));
    scene.link(Slot::Current, &kept.0);
    fs::write(scene.layout.image(&kept.0), "{}").unwrap();
    scene.collect(&[]);
    assert!(scene.is_complete(&kept));
    assert!(!scene.layout.tree(&other.0).exists());
    assert!(scene.layout.blob(&other.1[0]).exists());
}

#[test]
fn a_link_out_of_the_store_is_removed_and_not_followed() {
    let scene = Scene::new();
    let outside = scene.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("mine"), "mine").unwrap();
    symlink(&outside, scene.layout.tree(&digest('a'))).unwrap();
    let version = scene.version("1");
    symlink(&outside, scene.layout.tree(&version.0).join("usr/out")).unwrap();
    symlink(&outside, scene.layout.extracted().join("removing-x")).unwrap();
    scene.collect(&[]);
    assert_eq!(scene.count(), 0);
    assert_eq!(fs::read(outside.join("mine")).unwrap(), b"mine");
}

#[test]
fn an_empty_data_directory_is_clean() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene { layout: Layout::new(directory.path()), directory };
    assert_eq!(scene.collect(&[]), Report::default());
}

/// The machine's disk, one operation of which fails. Looking doesn't count.
struct Failing {
    left: Cell<u32>,
}

impl Failing {
    fn count(&self) -> io::Result<()> {
        match self.left.get() {
            0 => Err(io::Error::from_raw_os_error(5)),
            left => {
                self.left.set(left - 1);
                Ok(())
            }
        }
    }
}

impl Disk for Failing {
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        RealDisk.kind(path)
    }
    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        RealDisk.read_link(path)
    }
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        RealDisk.read(path, limit)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        RealDisk.list(directory)
    }
    fn modified(&self, path: &Path) -> io::Result<u64> {
        RealDisk.modified(path)
    }
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.count().and_then(|()| RealDisk.write_new(path, bytes))
    }
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        self.count().and_then(|()| RealDisk.symlink(target, path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count().and_then(|()| RealDisk.rename(from, to))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.count().and_then(|()| RealDisk.remove_file(path))
    }
    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        // Fails half-way.
        self.count().inspect_err(|_| drop(fs::remove_file(path.join("entrypoint"))))?;
        RealDisk.remove_tree(path)
    }
    fn create_directories(&self, path: &Path) -> io::Result<()> {
        self.count().and_then(|()| RealDisk.create_directories(path))
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.count().and_then(|()| RealDisk.sync_directory(path))
    }
}

#[test]
fn a_clean_up_that_stops_anywhere_leaves_whole_versions_and_ends_the_next_time() {
    for operations in 0.. {
        let scene = Scene::new();
        let (kept, old) = (scene.version("1"), scene.version("2"));
        scene.link(Slot::Current, &kept.0);
        let lock = StoreLock::take(&scene.layout, "gc", Duration::ZERO, |_| {}).unwrap();
        let disk = Failing { left: Cell::new(operations) };
        let result = collect(&lock, &disk, &scene.layout, &BTreeSet::new(), &BTreeSet::new(), false);
        assert!(scene.is_complete(&kept), "after {operations} operations");
        let tree = scene.layout.tree(&old.0);
        assert!(!tree.exists() || tree.join("entrypoint").exists(), "after {operations} operations");
        if let Err(error) = &result {
            assert_eq!(error.source.raw_os_error(), Some(5));
        }
        drop(lock);
        scene.collect(&[]);
        assert!(scene.is_complete(&kept));
        assert_eq!(scene.count(), 6);
        if result.is_ok() {
            assert!(operations > 5, "the failures were reached");
            return;
        }
    }
}
