//! Images that are on disk as frozen directories.

use std::fs;
use std::path::Path;
use std::process::Command;

use dockerloader::digest::Digest;
use dockerloader::launch::Launch;
use dockerloader::layout::Layout;
use dockerloader::limits::Limits;
use dockerloader::tree::{Extraction, Seal};
use dockerloader::volume::overlay;
use fixtures::image::{BuiltImage, Image, Layer};
use tests::programs::{skip, text};
use tests::supervised::Stage;

/// Gives up the right to mount, for itself and all that it starts.
pub(crate) const WITHOUT_MOUNTING: [&str; 3] =
    ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];

/// Runs until it is asked to stop.
pub(crate) const SERVE: &str = "while :; do sleep 600 & wait $!; done";

/// Ends with 0 when it is asked to.
const POLITE: &str = "trap 'exit 0' TERM";

/// An old version, and a new one over it that the old one stages when it is first run.
pub(crate) struct Versions {
    pub(crate) stage: Stage,
    pub(crate) layout: Layout,
    pub(crate) old: Digest,
    pub(crate) new: Digest,
}

impl Versions {
    /// `None`, with a word, where overlays can't be mounted at all.
    pub(crate) fn new() -> Option<Self> {
        let stage = Stage::new();
        let layout = Layout::new(stage.ground.data());
        fs::create_dir_all(layout.storage()).unwrap();
        if let Err(why) = overlay::supported(&layout) {
            skip(&format!("overlays: {why}"));
            return None;
        }
        let ready = "$DOCKERLOADER_BINARY ready";
        let write = "echo mine >> $DOCKERLOADER_IMAGE_ROOT/written; wc -l < $DOCKERLOADER_IMAGE_ROOT/written > @notes/written";
        let new = image(&stage, &format!("{POLITE}\necho new >> @notes/starts\n{ready}\n{write}\n{SERVE}"));
        let version = |image: &BuiltImage| -> Digest { image.digest.parse().unwrap() };
        let stages = format!(
            "ln -sfn {}/entrypoint {}/entrypoint-attempt",
            text(&layout.tree(&version(&new))),
            text(layout.root())
        );
        let old = image(
            &stage,
            &format!(
                "{POLITE}\n[ \"$1\" = cli ] && {{ echo \"command line of $(cat $DOCKERLOADER_IMAGE_ROOT/name)\"; exit 7; }}\n\
                 echo old >> @notes/starts\n[ -e @notes/staged ] || {{ : > @notes/staged; {stages}; exit 42; }}\n{SERVE}"
            ),
        );
        let versions = Self { layout, old: version(&old), new: version(&new), stage };
        versions.plant(&old, None);
        versions.plant(&new, Some(&versions.old));
        versions.stage.ground.link("entrypoint", &old.digest);
        Some(versions)
    }

    /// Puts an image on disk with all that a pull leaves there, its tree frozen and not mounted.
    fn plant(&self, image: &BuiltImage, over: Option<&Digest>) {
        let (layout, digest) = (&self.layout, image.digest.parse().unwrap());
        let put = |path: &Path, bytes: &[u8]| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put(&layout.image(&digest), &image.manifest);
        put(&layout.blob(&image.config_digest.parse().unwrap()), &image.config);
        for layer in &image.layers {
            put(&layout.blob(&layer.digest.parse().unwrap()), &layer.bytes);
        }
        let seal = match over {
            None => {
                let draft = overlay::whole(layout, &digest).unwrap();
                let seal = extract(&draft.path(), image);
                draft.freeze(&seal).unwrap();
                seal
            }
            Some(over) => {
                let draft = overlay::clone(layout, over, &digest).unwrap().unwrap();
                let elsewhere = tempfile::tempdir().unwrap();
                let seal = extract(elsewhere.path(), image);
                for name in ["entrypoint", "name"] {
                    fs::remove_file(draft.path().join(name)).unwrap();
                    run(Command::new("cp").arg("-a").arg(elsewhere.path().join(name)).arg(draft.path()));
                }
                draft.freeze(&seal).unwrap();
                seal
            }
        };
        put(&layout.seal(&digest), seal.as_bytes());
        let launch = Launch { program: "entrypoint".to_owned(), ..Launch::default() };
        put(&layout.launch(&digest), &serde_json::to_vec(&launch).unwrap());
    }

    /// The versions that were started, in order.
    pub(crate) fn starts(&self) -> Vec<String> {
        self.stage.noted("starts").unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Whether a version is a plain tree, to be run without mounting anything.
    pub(crate) fn is_plain(&self, version: &Digest) -> bool {
        !self.layout.stack(version).exists() && self.layout.tree(version).join("entrypoint").is_file()
    }

    /// The digest in a slot.
    pub(crate) fn slot(&self, slot: &str) -> Option<Digest> {
        Some(self.stage.ground.read_slot(slot)?.parse().unwrap())
    }
}

/// A script as an image of two layers, the lower of which all images share.
fn image(stage: &Stage, script: &str) -> BuiltImage {
    let script = stage.script(script);
    Image::new()
        .layer(Layer::new().file("entrypoint", 0o755, b"").file("name", 0o644, b"").file(
            "shared",
            0o644,
            &[7; 50_000],
        ))
        .layer(Layer::new().file("entrypoint", 0o755, script.as_bytes()).file("name", 0o644, b"an image\n"))
        .build()
}

fn extract(root: &Path, image: &BuiltImage) -> Seal {
    let mut extraction = Extraction::new(root, Limits::default(), |_| ()).unwrap();
    for layer in &image.layers {
        extraction.apply(&*layer.bytes, None).unwrap();
    }
    extraction.finish().unwrap().seal
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
