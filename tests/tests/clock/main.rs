//! The wall clock is wrong, or jumps by ten years while things are under way: nothing changes, nothing is deleted, no verdict is lifted or
//! lasts for ever (I6). The machine's clock is never touched: the unmodified binary runs with `preload/trouble.c`.
#![expect(clippy::disallowed_methods, reason = "a test starts programs")]

use std::process::Output;

use fixtures::image::{BuiltImage, Image};
use fixtures::registry::Registry;
use serde_json::Value;
use tests::preload::Preload;
use tests::supervised::{Running, Stage};
use tests::wait::eventually;

/// 22 November 2026, 2036 and 2016; and a machine without a battery.
const NOW: i64 = 1_795_000_000;
const TEN_YEARS: i64 = 315_576_000;
const EPOCH: i64 = 0;
/// A clock that stands wrong, and then all over the place.
const JUMPS: [i64; 5] = [NOW + TEN_YEARS, EPOCH, NOW - TEN_YEARS, 4_102_444_800, NOW];

const SERVE: &str = "trap 'exit 0' TERM\nwhile :; do sleep 600 & wait $!; done";

struct Scene {
    preload: Preload,
    stage: Stage,
    registry: Registry,
    target: String,
    ca: tempfile::NamedTempFile,
}

impl Scene {
    fn new(registry: Registry, current: &str) -> Option<Self> {
        let preload = Preload::new()?;
        preload.set_clock(NOW);
        let target = registry.reference("app", "v");
        let ca = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(ca.path(), registry.ca_pem().unwrap_or_default()).expect("the CA");
        Some(Self { preload, stage: Stage::with_current(current), registry, target, ca })
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut all = self.preload.environment().to_vec();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        all.push(pair("DOCKERLOADER_TARGET", &self.target));
        all.push(pair("DOCKERLOADER_UPDATE_INTERVAL_SECS", "3600"));
        if self.registry.ca_pem().is_some() {
            all.push(pair("DOCKERLOADER_CA_FILE", &self.ca.path().display().to_string()));
        }
        all
    }

    fn supervise(&self) -> Running<'_> {
        let environment = self.environment();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.stage.supervise(&environment)
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = self.stage.command(arguments);
        command.envs(self.environment()).output().expect("the program under test")
    }

    fn check(&self) -> (Option<i32>, Value) {
        let output = self.command(&["check", "--json"]);
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }

    /// Offers an image whose entrypoint is this script.
    fn offer(&self, script: &str) -> BuiltImage {
        let image = Image::with_entrypoint(self.stage.script(script).as_bytes()).build();
        self.registry.put("app", "v", &image);
        image
    }
}

#[test]
fn jumps_change_nothing_in_a_trial_in_probation_and_between_polls() {
    let Some(scene) = Scene::new(Registry::start(), SERVE) else { return };
    let new = scene.stage.plant("entrypoint-attempt", "new", &format!("echo $$ >> @notes/new\n{SERVE}"));
    let mut running = scene.supervise();
    scene.stage.note("new");
    let mut left = u64::MAX;
    for seconds in JUMPS {
        scene.preload.set_clock(seconds);
        // Every event makes the supervisor look at its clock.
        running.signal(28);
        let status = scene.stage.status();
        assert_eq!(status["supervisor"]["phase"], "trial", "{status}");
        let now = status["supervisor"]["trial_ends_in_ms"].as_u64().unwrap();
        assert!(now <= left && now > 0, "{now} after {left}");
        left = now;
    }
    let output = scene.command(&["ready"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let before: Vec<_> = ["extracted", "launch"].map(|folder| scene.stage.ground.list(folder)).into();
    for seconds in JUMPS {
        scene.preload.set_clock(seconds);
        running.signal(28);
        let collected = scene.command(&["gc", "--json"]);
        assert!(collected.status.success(), "{}", String::from_utf8_lossy(&collected.stderr));
        let status = scene.stage.status();
        let left = status["probation"]["seconds_left"].as_u64().unwrap();
        assert!((500..=600).contains(&left), "{status}");
        // While one is under way there is no next one.
        let next = || scene.stage.status()["supervisor"]["next_check_seconds"].as_u64();
        let next = eventually("a next look", next);
        assert!((3000..=4000).contains(&next), "{status}");
        assert_eq!(status["current"]["digest"], new.as_str());
    }
    let after: Vec<_> = ["extracted", "launch"].map(|folder| scene.stage.ground.list(folder)).into();
    assert_eq!(before, after, "nothing is deleted");
    assert_eq!(scene.stage.note("new").lines().count(), 1, "it was started once");
    assert!(running.seen("proven").is_empty() && running.seen("trial_failed").is_empty());
    assert_eq!(running.stop(15), 0);
}

#[test]
fn a_pause_is_not_cut_short_and_not_made_endless() {
    let app = "echo start >> @notes/starts\n[ $(wc -l < @notes/starts) -ge 3 ] || exit 42";
    let up = "trap 'exit 0' TERM\necho up > @notes/up";
    let Some(scene) = Scene::new(Registry::start(), &format!("{app}\n{up}\n{SERVE}")) else { return };
    let mut running = scene.supervise();
    for (count, seconds) in [(1, NOW + TEN_YEARS), (2, EPOCH)] {
        running.event("back_off", count);
        scene.preload.set_clock(seconds);
        running.signal(28);
    }
    running.event("run", 3);
    scene.stage.note("up");
    let ends: Vec<_> = running.seen("back_off").iter().map(|entry| entry["message"].to_string()).collect();
    assert!(ends[0].contains("1000 ms") && ends[1].contains("2000 ms"), "{ends:?}");
    assert_eq!(running.stop(15), 0);
}

#[test]
fn a_passing_verdict_neither_ends_with_a_jump_nor_lasts_beyond_its_pause() {
    let Some(scene) = Scene::new(Registry::start(), SERVE) else { return };
    // Killed from outside, as by the kernel for memory: the environment's fault, to be tried again in a minute.
    let image = scene.offer("kill -KILL $$");
    let mut running = scene.supervise();
    running.event("run", 1);
    assert_eq!(scene.check().0, Some(42));
    running.stop(15);
    let mut running = scene.supervise();
    running.event("roll_back", 1);
    for seconds in JUMPS {
        scene.preload.set_clock(seconds);
        let (code, answer) = scene.check();
        assert_eq!((code, &answer["reply"]), (Some(0), &"skipped".into()), "at {seconds}: {answer}");
        assert_eq!(scene.stage.ground.read_slot("entrypoint-attempt"), None);
    }
    // A minute of uptime later it may be tried, whatever the clock says. What is written down is aged, since nobody waits here.
    let path = scene.stage.ground.root().join("state.json");
    let mut memory = scene.stage.memory();
    let uptime = &mut memory["verdicts"][0]["uptime"]["seconds"];
    *uptime = (uptime.as_u64().unwrap() - 60).into();
    std::fs::write(&path, memory.to_string()).unwrap();
    scene.preload.set_clock(EPOCH);
    let (code, answer) = scene.check();
    assert_eq!(code, Some(42), "{answer}");
    assert_eq!(scene.stage.ground.read_slot("entrypoint-attempt"), Some(image.digest));
    running.stop(15);
}

#[test]
fn a_first_install_waits_for_the_clock_to_be_set() {
    let Some(scene) = Scene::new(Registry::builder().tls().start(), SERVE) else { return };
    std::fs::remove_dir_all(scene.stage.ground.root()).unwrap();
    let image = scene.offer(&format!("echo up > @notes/up\n{SERVE}"));
    scene.preload.set_clock(EPOCH);
    let mut running = scene.supervise();
    let said = running.event("install_failed", 1)["message"].to_string();
    assert!(said.contains("not valid yet") && said.contains("next try in 1 s"), "{said}");
    scene.preload.set_clock(NOW);
    scene.stage.note("up");
    assert_eq!(scene.stage.ground.read_slot("entrypoint"), Some(image.digest));
    running.stop(15);
}

#[test]
fn a_machine_that_starts_in_1970_updates_and_its_clock_may_then_be_set() {
    let Some(scene) = Scene::new(Registry::start(), "echo old > @notes/old\nexit 0") else { return };
    scene.preload.set_clock(EPOCH);
    std::fs::remove_dir_all(scene.stage.ground.root()).unwrap();
    let first = scene.offer(&format!("echo first >> @notes/first\n{SERVE}"));
    let mut running = scene.supervise();
    scene.stage.note("first");
    assert_eq!(scene.stage.ground.read_slot("entrypoint"), Some(first.digest.clone()));
    scene.preload.set_clock(NOW);
    let second = scene.offer(&format!("$DOCKERLOADER_BINARY ready\necho second >> @notes/second\n{SERVE}"));
    assert_eq!(scene.check().0, Some(42));
    running.stop(15);
    scene.preload.set_clock(NOW - TEN_YEARS);
    let mut running = scene.supervise();
    scene.stage.note("second");
    running.event("commit", 1);
    eventually("both versions on disk", || {
        let slots = ["entrypoint", "entrypoint-previous"].map(|slot| scene.stage.ground.read_slot(slot));
        (slots == [Some(second.digest.clone()), Some(first.digest.clone())]).then_some(())
    });
    assert_eq!(scene.stage.status()["findings"], serde_json::json!([]));
    running.stop(15);
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_the_clocks_fault_and_passes_with_it() {
    let Some(scene) = Scene::new(Registry::builder().tls().start(), SERVE) else { return };
    let image = scene.offer(SERVE);
    scene.preload.set_clock(EPOCH);
    let mut running = scene.supervise();
    running.event("run", 1);
    let (code, answer) = scene.check();
    let said = answer["error"].to_string();
    assert_eq!((code, &answer["remedy"]), (Some(77), &"local".into()), "{answer}");
    assert!(said.contains("certificate not valid yet: verification time "), "{said}");
    assert!(said.contains("check the clocks of this machine and of the registry"), "{said}");
    assert_eq!(scene.stage.status()["last_check"]["outcome"], "failed");
    scene.preload.set_clock(NOW);
    let (code, answer) = scene.check();
    assert_eq!(code, Some(42), "{answer}");
    assert_eq!(scene.stage.ground.read_slot("entrypoint-attempt"), Some(image.digest));
    running.stop(15);
}
