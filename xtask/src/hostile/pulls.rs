//! Hostile images by the real `dockerloader pull`, from a registry in this process.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fixtures::hostile::Aim;
use fixtures::hostile::canary::Canary;
use fixtures::hostile::images::{Ending, HostileImage, IMAGES};
use fixtures::registry::Registry;

use super::{Cell, User};
use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace;

/// Longest time of one pull.
const TIME: Duration = Duration::from_secs(60);
/// In the short mode, every so many-th image is pulled by the user who is not root.
const QUICK: usize = 5;

pub(super) fn run(scratch: &Path, quick: bool, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Cell>> {
    let rows: Vec<_> = IMAGES.iter().filter(|image| wanted(image.name)).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let program = build(scratch)?;
    let registry = Registry::start();
    let mut cells = Vec::new();
    for user in User::BOTH {
        let place = scratch.join(format!("pulls-{}", user.name()));
        fs::create_dir(&place).context("make a directory")?;
        let mut canary = Canary::new(&place, user.ids());
        for (number, image) in rows.iter().enumerate() {
            if interrupt::interrupted() {
                return Err(Failure::new("interrupted"));
            }
            if quick && user == User::Nobody && !number.is_multiple_of(QUICK) {
                continue;
            }
            cells.push(pull(&program, &registry, &mut canary, image, user)?);
        }
    }
    Ok(cells)
}

/// The program under test, where everybody can run it.
fn build(scratch: &Path) -> Result<PathBuf> {
    workspace::cargo()
        .args(["build", "--quiet", "--package", "dockerloader", "--all-features", "--bins"])
        .run()
        .context("build dockerloader")?;
    let copy = scratch.join("dockerloader");
    fs::copy(workspace::target().join("debug/dockerloader"), &copy).context("copy dockerloader")?;
    Ok(copy)
}

/// The data directory is what an extraction's root is for a layer: all around it is the canary.
fn pull(
    program: &Path,
    registry: &Registry,
    canary: &mut Canary,
    image: &HostileImage,
    user: User,
) -> Result<Cell> {
    canary.renew(user.ids());
    let data = canary.root();
    let aim = Aim { canary: canary.folder().to_string_lossy().into_owned() };
    registry.put(image.name, "latest", &image.serve(&aim));
    chown(&data, Some(user.ids().0), Some(user.ids().1)).context("give a directory away")?;
    let call = Call::new(program)
        .args(["pull", "--stage", "--json"])
        .user(user.ids())
        .within(TIME)
        .without_all_env();
    let call = call
        .env("DOCKERLOADER_DATA_DIR", &data)
        .env("DOCKERLOADER_TREE_METHOD", "copy")
        .env("DOCKERLOADER_TARGET", registry.reference(image.name, "latest"));
    let (code, output) = call.code()?;
    let mut problems = canary.changes();
    // `EX_DATAERR` and `EX_UNAVAILABLE`.
    let expected = match image.ending {
        Ending::Staged => 0,
        Ending::Refused => 65,
        Ending::Later => 69,
    };
    if code != Some(expected) {
        problems.push(format!("expected exit code {expected}, found {code:?}: {}", output.trim()));
    }
    let attempt = data.join("dockerloader/entrypoint-attempt");
    if image.ending != Ending::Staged {
        problems.extend(left_behind(&data));
        if fs::symlink_metadata(&attempt).is_ok() {
            problems.push("a refused image is staged".into());
        }
    } else if fs::symlink_metadata(&attempt).is_err() {
        problems.push("a good image is not staged".into());
    }
    Ok(Cell {
        row: image.name.into(),
        kind: "image",
        compression: "",
        user,
        outcome: code.map_or_else(|| "killed".into(), |code| format!("exit code {code}")),
        problems,
        peak: 0,
    })
}

/// What of a refused image is still there: trees, and what describes them. Its manifest and blobs stay until the next clean-up.
fn left_behind(data: &Path) -> Vec<String> {
    let storage = data.join("dockerloader/storage/v1");
    let mut left = Vec::new();
    for folder in ["extracted", "seals", "stamps", "launch", "stacks"] {
        for entry in fs::read_dir(storage.join(folder)).into_iter().flatten().flatten() {
            left.push(format!("left behind: {folder}/{}", entry.file_name().to_string_lossy()));
        }
    }
    for entry in fs::read_dir(&storage).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("tmp")
            && fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_some())
        {
            left.push(format!("left behind: {name}"));
        }
    }
    left
}
