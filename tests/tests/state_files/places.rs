//! Each file with each kind of damage, under the real supervisor.

use std::fs;

use tests::supervised::Stage;

use crate::damage::Damage::{self, *};

const RUNS: &str = "echo \"$0\" >> @notes/runs\nexec sleep 1000";

/// A state file, and whether damage of its contents is a finding; damage of its kind always is.
struct Place {
    path: &'static str,
    contents: bool,
}

/// All of them. `@` is the digest of the current version.
const PLACES: [Place; 16] = [
    Place { path: "state.json", contents: true },
    Place { path: "update-attempt", contents: true },
    Place { path: "entrypoint", contents: true },
    Place { path: "entrypoint-attempt", contents: true },
    Place { path: "entrypoint-attempting", contents: true },
    Place { path: "entrypoint-previous", contents: true },
    Place { path: "supervisor.json", contents: true },
    Place { path: "supervisor.lock", contents: false },
    Place { path: "store.lock", contents: false },
    Place { path: "storage/v1/launch/@", contents: true },
    Place { path: "storage/v1/resolved.json", contents: true },
    Place { path: "storage/v1/volume.json", contents: true },
    // These are looked into by `verify` and by the next pull.
    Place { path: "storage/v1/seals/@", contents: false },
    Place { path: "storage/v1/stamps/@", contents: false },
    Place { path: "storage/v1/images/@", contents: false },
    Place { path: "storage/v1/stacks/@", contents: false },
];

/// Whether the damage leaves JSON, which a cache of another form is not blamed for before it is used.
fn is_json(damage: Damage) -> bool {
    matches!(damage, Newer | Doubled)
}

fn every_place(damage: Damage) {
    for Place { path, contents } in PLACES {
        let stage = Stage::new();
        let old = stage.plant("entrypoint-previous", "old", RUNS);
        let good = stage.plant("entrypoint", "good", RUNS);
        let outside = stage.note_path("outside");
        fs::write(&outside, "mine").unwrap();
        fs::write(stage.ground.root().join("state.json"), r#"{"format":1,"verdicts":[]}"#).unwrap();
        damage.put(&stage.ground.root().join(path.replace('@', &good)), &outside);
        let case = format!("{path} {damage:?}");

        let before = stage.status();
        let findings = before["findings"].as_array().unwrap();
        let is_cache = path.ends_with(".json") && path != "state.json";
        let is_odd = !matches!(damage, Empty | Cut | Random | Newer | Nested | Doubled | Huge);
        if is_odd || (contents && !(is_cache && is_json(damage))) {
            assert!(!findings.is_empty(), "{case}: no finding");
        }

        let mut running = stage.supervise(&[]);
        let run = running.event("run", 1);
        // Without a link to it, the version before is the last good one.
        let expected = if path == "entrypoint" { &old } else { &good };
        assert_eq!(run["digest"], **expected, "{case}");
        stage.note("runs");
        // Where the supervisor can be reached, it writes anew before it looks.
        let is_healed = path == "supervisor.json" && damage != Directory;
        for finding in findings.iter().filter(|_| !is_healed) {
            // Each is logged once.
            let text = finding.as_str().unwrap();
            let told = running.seen("finding").iter().filter(|entry| entry["message"] == text).count();
            assert_eq!(told, 1, "{case}: {text}");
        }
        assert_eq!(running.stop(15), 143, "{case}");
        assert_eq!(fs::read(&outside).unwrap(), b"mine", "{case}");
    }
}

#[test]
fn empty() {
    every_place(Empty);
}

#[test]
fn cut() {
    every_place(Cut);
}

#[test]
fn random() {
    every_place(Random);
}

#[test]
fn newer() {
    every_place(Newer);
}

#[test]
fn nested() {
    every_place(Nested);
}

#[test]
fn doubled() {
    every_place(Doubled);
}

#[test]
fn huge() {
    every_place(Huge);
}

#[test]
fn directory() {
    every_place(Directory);
}

#[test]
fn fifo() {
    every_place(Fifo);
}

#[test]
fn link_outside() {
    every_place(LinkOutside);
}

#[test]
fn link_nowhere() {
    every_place(LinkNowhere);
}

#[test]
fn link_loop() {
    every_place(LinkLoop);
}
