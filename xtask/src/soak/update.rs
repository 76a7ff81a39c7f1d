//! One update, from the registry's new tag to the version that runs.

use std::time::Duration;

use fixtures::image::BuiltImage;
use fixtures::registry::{Fault, Kind as Route, Rule};
use serde_json::Value;

use super::scene::Scene;
use super::schedule::Kind;
use crate::contained::wait_for;
use crate::failure::{Context as _, Failure, Result};
use crate::seeded::Seeded;

/// `dockerloader check` found something and staged it.
const STAGED: i32 = 42;

/// Brings an image and waits for what has to become of it.
pub(super) fn perform(scene: &mut Scene, image: &BuiltImage, kind: Kind, seeded: &mut Seeded) -> Result {
    scene.registry.put("app", "v", image);
    match kind {
        Kind::Good | Kind::Crash | Kind::Hang | Kind::Restart => {
            let checked = scene.check()?;
            if checked.status.code() != Some(STAGED) {
                let said = String::from_utf8_lossy(&checked.stdout);
                return Err(Failure::new(format!("check ended with {}: {said}", checked.status)));
            }
        }
        Kind::Faults => {
            let (rule, fault) = fault(seeded);
            scene.registry.fault(rule, fault);
            // Whether it is retried or refused depends on the fault; the version that is there runs on.
            scene.check()?;
            runs(scene, &[&scene.running.clone(), &image.digest])?;
            scene.registry.clear_faults();
            scene.check()?;
        }
        Kind::PowerCut => {
            let mut check = scene.begin_check()?;
            std::thread::sleep(Duration::from_millis(seeded.below(200)));
            scene.supervisor.cut_power()?;
            check.wait().context("wait for the check")?;
            scene.start_again()?;
            runs(scene, &[&scene.running.clone(), &image.digest])?;
            check_until_staged(scene, &image.digest)?;
        }
        Kind::PullerKilled => {
            let mut check = scene.begin_check()?;
            std::thread::sleep(Duration::from_millis(seeded.below(100)));
            scene.kill_puller();
            check.wait().context("wait for the check")?;
            check_until_staged(scene, &image.digest)?;
        }
    }
    if kind.is_good() {
        scene.wait_until_current(&image.digest)?;
        scene.running.clone_from(&image.digest);
    } else {
        scene.wait_until_rejected(&image.digest)?;
    }
    status_is_true(scene, image, kind)
}

/// Faults that pass and faults that stay until they are removed. Those that pass are retried, after half a second.
fn fault(seeded: &mut Seeded) -> (Rule, Fault) {
    match seeded.below(8) {
        0 => (Rule::on(Route::Blob).times(1), Fault::status(503)),
        1 => (Rule::on(Route::Blob).times(1), Fault::Reset { after: 100 }),
        2 => (Rule::on(Route::Blob).times(1), Fault::Truncate { after: 100 }),
        3 => (Rule::on(Route::Blob).times(1), Fault::WrongByte { at: 50 }),
        4 => (Rule::on(Route::Manifest).any_method(), Fault::status(404)),
        5 => (Rule::on(Route::Manifest).any_method(), Fault::status(403)),
        6 => (Rule::on(Route::Manifest), Fault::Replace("{}".into())),
        _ => (Rule::on(Route::Blob), Fault::status(404)),
    }
}

/// Asks until the version is staged or beyond that; bounded by the patience of the wait.
fn check_until_staged(scene: &Scene, digest: &str) -> Result {
    wait_for("the version to be staged", || {
        let is_there = |slot| scene.ground.read_slot(slot).as_deref() == Some(digest);
        let slots = ["entrypoint", "entrypoint-attempt", "entrypoint-attempting"];
        if slots.into_iter().any(is_there) {
            return Ok(Some(()));
        }
        scene.check()?;
        Ok(None)
    })
}

/// Exactly one version runs, and it is one of these (I1).
fn runs(scene: &Scene, allowed: &[&str]) -> Result {
    wait_for(&format!("one of {allowed:?} to run"), || {
        let versions = scene.versions_that_run();
        Ok((versions.len() == 1 && allowed.contains(&versions[0].as_str())).then_some(()))
    })
}

/// `status` says what is so (I8).
fn status_is_true(scene: &Scene, image: &BuiltImage, kind: Kind) -> Result {
    runs(scene, &[&scene.running])?;
    let mut last = Value::Null;
    let settled = wait_for("status to tell what runs", || {
        last = scene.status()?;
        let is_running = last["supervisor"]["running"] == scene.running.as_str()
            && last["supervisor"]["phase"] == "running";
        Ok((is_running && !last["supervisor"]["pulling"].as_bool().unwrap_or(true)).then_some(()))
    });
    settled.map_err(|failure| Failure::new(format!("{failure}; it says {last}")))?;
    let rejected = &last["rejected"][0];
    for (what, is_so) in [
        ("current", last["current"]["digest"] == scene.running.as_str()),
        ("staged", last["staged"].is_null()),
        ("trying", last["trying"].is_null()),
        ("findings", last["findings"].as_array().is_some_and(Vec::is_empty)),
        (
            "rejected",
            kind.is_good() || (rejected["digest"] == image.digest.as_str() && rejected["kind"] == "app"),
        ),
    ] {
        if !is_so {
            return Err(Failure::new(format!("status is wrong about {what}: {last}")));
        }
    }
    Ok(())
}
