//! A registry, a data directory on a volume, and the life of versions in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockerloader::config::RegistrySettings;
use dockerloader::digest::Digest;
use dockerloader::disk::RealDisk;
use dockerloader::gc;
use dockerloader::layout::Layout;
use dockerloader::lock::StoreLock;
use dockerloader::progress::{Event, Progress};
use dockerloader::pull::{self, Error, Outcome, Request};
use dockerloader::tree::{Depth, Seal, verify};
use dockerloader::volume::overlay::View;
use dockerloader::volume::{Made, Method, Wanted};
use fixtures::ground::Ground;
use fixtures::image::BuiltImage;
use fixtures::registry::Registry;

use crate::volume::Volume;

pub(crate) struct Scene {
    pub(crate) registry: Registry,
    pub(crate) ground: Ground,
    pub(crate) layout: Layout,
    pub(crate) wanted: Wanted,
    events: Arc<Mutex<Vec<Event>>>,
}

pub(crate) fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

impl Scene {
    pub(crate) fn new(volume: &Volume, wanted: Wanted) -> Self {
        let ground = Ground::within(&volume.path());
        let layout = Layout::new(ground.data());
        Self { registry: Registry::start(), ground, layout, wanted, events: Arc::default() }
    }

    /// Publishes the image and pulls it, as the supervisor would have it pulled.
    pub(crate) fn pull(&self, image: &BuiltImage) -> Result<Outcome, Error> {
        self.registry.put("app", "v1", image);
        self.registry.clear_requests();
        self.events.lock().unwrap().clear();
        let request = Request {
            reference: self.registry.reference("app", "v1").parse().unwrap(),
            stage: true,
            current: self.ground.read_slot("entrypoint").map(|text| digest(&text)),
            rejected: BTreeMap::new(),
            again: true,
            method: self.wanted,
            wait: Duration::ZERO,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let events = Arc::clone(&self.events);
        let progress: Arc<dyn Progress> = Arc::new(move |event| events.lock().unwrap().push(event));
        runtime.block_on(pull::pull(&request, &RegistrySettings::default(), &self.layout, progress))
    }

    /// How the last pull made its tree.
    pub(crate) fn made(&self) -> Made {
        let events = self.events.lock().unwrap();
        let mut made = events.iter().filter_map(|event| match event {
            Event::Made { digest: _, made } => Some(made.clone()),
            _ => None,
        });
        made.next_back().expect("a tree was made")
    }

    /// Pulls, and has the trial succeed: the staged version becomes the current one, and what no slot names is cleaned up.
    pub(crate) fn update(&self, image: &BuiltImage) -> Made {
        assert_eq!(self.pull(image).unwrap(), Outcome::Staged { digest: digest(&image.digest) });
        self.assert_whole(image);
        let made = self.made();
        self.commit(image);
        made
    }

    /// The trial of what was pulled succeeds.
    pub(crate) fn commit(&self, image: &BuiltImage) {
        if let Some(current) = self.ground.read_slot("entrypoint") {
            self.ground.link("entrypoint-previous", &current);
        }
        self.ground.link("entrypoint", &image.digest);
        fs::remove_file(self.ground.root().join("entrypoint-attempt")).unwrap();
        self.collect();
    }

    /// A clean-up, as `dockerloader gc` does it with these settings.
    pub(crate) fn collect(&self) -> gc::Report {
        let method =
            dockerloader::volume::recall(&RealDisk, &self.layout).and_then(|memory| memory.trees.method);
        let spare = self.wanted != Wanted::Extract && method.is_some_and(Method::uses_spare);
        let lock = StoreLock::take(&self.layout, "gc", Duration::ZERO, |_| {}).unwrap();
        gc::collect(&lock, &RealDisk, &self.layout, &BTreeSet::new(), &BTreeSet::new(), spare).unwrap()
    }

    pub(crate) fn seal(&self, image: &BuiltImage) -> Seal {
        Seal::parse(fs::read(self.layout.seal(&digest(&image.digest))).unwrap()).unwrap()
    }

    /// The tree is what its seal says, to the last byte, with nothing besides.
    pub(crate) fn assert_whole(&self, image: &BuiltImage) {
        let view = View::of(&self.layout, &digest(&image.digest)).unwrap();
        let findings = verify(view.path(), &self.seal(image), Depth::Full);
        let names: Vec<_> = findings
            .iter()
            .map(|finding| (finding.path.escape_ascii().to_string(), finding.problem))
            .collect();
        assert_eq!(names, []);
    }

    /// As [`Scene::assert_whole`], and the seal is that of a tree that was extracted from nothing.
    pub(crate) fn assert_as_extracted(&self, image: &BuiltImage) {
        self.assert_whole(image);
        let fresh = Self {
            registry: Registry::start(),
            ground: Ground::within(self.ground.data()),
            layout: Layout::new(Path::new("/")),
            wanted: Wanted::Extract,
            events: Arc::default(),
        };
        let fresh = Self { layout: Layout::new(fresh.ground.data()), ..fresh };
        fresh.pull(image).unwrap();
        assert_eq!(fresh.made().method, None);
        assert_eq!(differences(&self.seal(image), &fresh.seal(image)), Vec::<String>::new());
        assert!(self.seal(image) == fresh.seal(image), "only the numbers of groups differ");
    }

    /// Unmounts every version, so that the volume can be taken away.
    pub(crate) fn unmount(&self) {
        for version in self.ground.list("extracted").iter().filter_map(|name| name.parse().ok()) {
            dockerloader::volume::overlay::unmount(&self.layout, &version).unwrap();
        }
    }

    /// Names in `extracted` that are no versions'.
    pub(crate) fn others(&self) -> Vec<String> {
        self.ground.list("extracted").into_iter().filter(|name| !name.starts_with("sha256:")).collect()
    }
}

/// The paths whose records differ.
fn differences(left: &Seal, right: &Seal) -> Vec<String> {
    let records = |seal: &Seal| {
        let mut records = seal.records();
        let mut all = BTreeMap::new();
        while let Some(record) = records.next() {
            all.insert(record.path.escape_ascii().to_string(), format!("{record:?}"));
        }
        all
    };
    let (left, right) = (records(left), records(right));
    let paths: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    paths.into_iter().filter(|path| left.get(*path) != right.get(*path)).cloned().collect()
}

/// All that can be seen of a tree, but for access times: inodes, times, contents.
pub(crate) fn picture(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let contents =
            if found.is_file() { fixtures::sha256(&fs::read(&path).unwrap()) } else { String::new() };
        let text = format!(
            "{} {:o} {} {} {} {}.{} {}.{} {contents}",
            found.ino(),
            found.mode(),
            found.uid(),
            found.size(),
            found.nlink(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        );
        all.insert(path.as_os_str().as_bytes().to_vec(), text);
        if found.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all
}
