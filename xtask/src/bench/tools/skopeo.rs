//! `skopeo copy` into an OCI layout, then `umoci unpack`: what a script would do.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Target, Tool, command};
use crate::bench::image::TAG;
use crate::failure::Result;

#[derive(Debug)]
pub(in crate::bench) struct Skopeo {
    place: PathBuf,
    /// Each version is unpacked into a directory of its own.
    versions: u32,
}

impl Skopeo {
    pub(in crate::bench) fn new(place: &Path) -> Self {
        Self { place: place.to_owned(), versions: 0 }
    }

    fn layout(&self) -> PathBuf {
        self.place.join("skopeo")
    }

    fn bundle(&self, version: u32) -> PathBuf {
        self.place.join(format!("umoci-{version}"))
    }
}

impl Tool for Skopeo {
    fn name(&self) -> String {
        "skopeo copy + umoci unpack".to_owned()
    }

    fn pull(&self, target: &Target<'_>) -> Vec<Command> {
        let mut commands = self.look(target);
        let mut unpack = command("umoci", &self.place);
        unpack.args(["unpack", "--image"]).arg(format!("{}:{TAG}", self.layout().display()));
        unpack.arg(self.bundle(self.versions));
        commands.push(unpack);
        commands
    }

    /// A script that asks before it unpacks; one that doesn't pays the whole price each time.
    fn look(&self, target: &Target<'_>) -> Vec<Command> {
        let mut copy = command("skopeo", &self.place);
        copy.args(["copy", "--quiet", "--src-tls-verify=false"])
            .arg(format!("docker://{}", target.reference));
        copy.arg(format!("oci:{}:{TAG}", self.layout().display()));
        vec![copy]
    }

    fn look_name(&self) -> String {
        "skopeo copy alone".to_owned()
    }

    fn starts_anew(&self) -> bool {
        true
    }

    fn settle(&mut self) -> Result {
        self.versions += 1;
        Ok(())
    }

    fn tree(&self) -> Option<PathBuf> {
        let unpacked = |version: &u32| self.bundle(*version).join("rootfs");
        (0..=self.versions).rev().map(|version| unpacked(&version)).find(|tree| tree.is_dir())
    }
}
