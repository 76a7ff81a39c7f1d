//! GNU tar with blobs that are there already, one layer after the other. It pulls nothing, verifies nothing and knows no
//! whiteouts: a yardstick.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Target, Tool, command};
use crate::failure::{Context as _, Result};

#[derive(Debug)]
pub(in crate::bench) struct Tar {
    tree: PathBuf,
}

impl Tar {
    pub(in crate::bench) fn new(place: &Path) -> Result<Self> {
        let tree = place.join("tar");
        std::fs::create_dir_all(&tree).context(format_args!("make {}", tree.display()))?;
        Ok(Self { tree })
    }
}

impl Tool for Tar {
    fn name(&self) -> String {
        "tar -xzf of the blobs, no pull".to_owned()
    }

    fn pull(&self, target: &Target<'_>) -> Vec<Command> {
        let extract = |blob: &PathBuf| {
            let mut tar = command("tar", &self.tree);
            tar.args(["--extract", "--gzip", "--directory"]).arg(&self.tree).arg("--file").arg(blob);
            tar
        };
        target.image.blobs.iter().map(extract).collect()
    }
}
