use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::engine::{Container as Found, ContainerId, Image, ImageId, State};
use crate::labels;
use crate::swap::{Cause, Failure, Reason};

/// One container of a device, with everything that a choice is made from.
struct World {
    container: Container,
    said: Override,
    spec: Spec,
    offers: Vec<Offer>,
    was_asked: bool,
    problems: Vec<(String, String)>,
    observed: Observed,
    versions: Vec<Version>,
    verdicts: Vec<Verdict>,
    hurried: bool,
}

const NOW: i64 = 1_800_000_000;

fn digest(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

fn spec(level: &str) -> Spec {
    serde_json::from_value(json!({"Env": [level]})).unwrap()
}

fn image_of(number: u8) -> ImageId {
    ImageId(format!("image{number}"))
}

impl World {
    fn new(versions: &[&str]) -> Self {
        let container = json!({"id": "web", "image": "acme/web", "versions": versions});
        Self {
            container: serde_json::from_value(container).unwrap(),
            said: Override::default(),
            spec: spec("new"),
            offers: Vec::new(),
            was_asked: true,
            problems: Vec::new(),
            observed: Observed::default(),
            versions: Vec::new(),
            verdicts: Vec::new(),
            hurried: false,
        }
    }

    fn offer(mut self, version: &str, number: u8) -> Self {
        self.offers.push(Offer {
            entry: None,
            version: version.to_owned(),
            digest: digest(number),
            repository: "r.example/acme/web".to_owned(),
            registry: "https://r.example".to_owned(),
            known_for: Duration::from_secs(86_400),
        });
        self
    }

    fn known_for(mut self, hours: u64) -> Self {
        self.offers.last_mut().unwrap().known_for = Duration::from_secs(hours * 3600);
        self
    }

    fn image(mut self, number: u8, tags: &[&str]) -> Self {
        self.observed.images.push(Image {
            id: image_of(number),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            digests: vec![format!("r.example/acme/web@{}", digest(number))],
            size: 1,
            created: i64::from(number),
            labels: BTreeMap::new(),
        });
        self
    }

    /// A version of the history, older than those before it, with its image.
    fn ran(mut self, version: &str, number: u8, level: &str) -> Self {
        let id = 100 - i64::try_from(self.versions.len()).unwrap();
        let target = Target {
            digest: digest(number),
            version: version.to_owned(),
            repository: "r.example/acme/web".to_owned(),
            image: Some(image_of(number)),
            spec: spec(level),
        };
        let ended = (!self.versions.is_empty()).then_some(NOW);
        self.versions.push(Version {
            id,
            container: "web".to_owned(),
            target,
            revision: 1,
            operation: format!("op{id}"),
            cause: Cause::Version,
            who: "deviced".to_owned(),
            began: NOW,
            ended,
            failure: None,
            took: Duration::ZERO,
            probation: Duration::ZERO,
            crashes: 0,
        });
        self.image(number, &[])
    }

    /// A container that runs, and its version in the history.
    fn runs(self, version: &str, number: u8, level: &str) -> Self {
        let mut world = self.ran(version, number, level);
        let labels = [
            (labels::ID, "web".to_owned()),
            (labels::OPERATION, world.versions[0].operation.clone()),
            (labels::DIGEST, digest(number).to_string()),
            (labels::VERSION, version.to_owned()),
            (labels::SPEC, spec(level).hash().0),
        ];
        world.observed.containers.push(Found {
            id: ContainerId("c1".to_owned()),
            name: "web".to_owned(),
            image: "r.example/acme/web".to_owned(),
            image_id: image_of(number),
            state: State::Running,
            health: None,
            created: 1,
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ports: Vec::new(),
            network_mode: "bridge".to_owned(),
            networks: BTreeMap::new(),
        });
        world
    }

    fn judged(mut self, number: u8, level: &str, reason: Reason, attempts: u32, seconds_ago: i64) -> Self {
        self.verdicts.push(Verdict {
            container: "web".to_owned(),
            digest: digest(number),
            version: number.to_string(),
            spec: spec(level).hash(),
            failure: Failure::new(reason, "no"),
            at: NOW - seconds_ago,
            attempts,
            log: Vec::new(),
        });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn choose(&self) -> Choice {
        choose(&Input {
            container: &self.container,
            said: &self.said,
            spec: &self.spec,
            offers: &self.offers,
            was_asked: self.was_asked,
            problems: &self.problems,
            observed: &self.observed,
            swap: None,
            versions: &self.versions,
            verdicts: &self.verdicts,
            hurried: self.hurried,
            now: NOW,
        })
    }
}

/// `1.5.0#5 new`: version, digest, the spec that it runs with; then what was passed over.
fn said(choice: &Choice) -> String {
    let target = match &choice.target {
        Ok(target) => {
            let number = target.digest.bytes()[0];
            let level = target.spec.get("/Env/0").and_then(serde_json::Value::as_str).unwrap();
            let here = if target.image.is_some() { "" } else { " (not here)" };
            format!("{}#{number} {level}{here}", target.version)
        }
        Err(_) => "none".to_owned(),
    };
    let passed: Vec<_> = choice
        .passed_over
        .iter()
        .map(|passed| {
            let number = passed.digest.map(|digest| format!("#{}", digest.bytes()[0])).unwrap_or_default();
            format!("{}{number}: {}", passed.version, passed.why)
        })
        .collect();
    if passed.is_empty() { target } else { format!("{target}; not {}", passed.join(", ")) }
}

#[test]
fn the_best_that_can_be_had() {
    let tag = |tag: &'static str| move |world: &mut World| world.said.tag = Some(tag.to_owned());
    let app = Reason::App;
    for (rule, world, expected) in [
        (
            "the first entry that is offered",
            World::new(&["2.0.0", "^1"]).offer("1.4.0", 4).offer("1.5.0", 5).offer("2.1.0", 21),
            "1.5.0#5 new (not here); not 2.0.0: no registry has it",
        ),
        (
            "the order of the document counts, not the number",
            World::new(&["1.4.0", "2.0.0"]).offer("2.0.0", 2).offer("1.4.0", 4),
            "1.4.0#4 new (not here)",
        ),
        (
            "an image that is here counts as offered",
            World::new(&["^1"]).image(4, &["acme/web:1.4.0", "acme/other:1.9.0"]),
            "1.4.0#4 new",
        ),
        (
            "the engine's full names are the same",
            World::new(&["^1"]).image(4, &["docker.io/acme/web:1.4.0"]),
            "1.4.0#4 new",
        ),
        (
            "a digest is found by itself",
            World::new(&[&digest(7).to_string()]).image(7, &[]),
            &format!("{}#7 new", digest(7)),
        ),
        (
            "a fallback comes last",
            World::new(&["2.0.0"])
                .with(|world| world.container.fallback = Some("latest".into()))
                .offer("latest", 9),
            "latest#9 new (not here); not 2.0.0: no registry has it",
        ),
        (
            "a tag that somebody set comes first",
            World::new(&["^1"]).offer("1.4.0", 4).offer("beta", 9).with(tag("beta")),
            "beta#9 new (not here)",
        ),
        (
            "and falls back to the document",
            World::new(&["^1"]).offer("1.4.0", 4).with(tag("beta")),
            "1.4.0#4 new (not here); not the tag beta that somebody set: no registry has it",
        ),
        (
            "nobody was asked yet",
            World::new(&["^1"]).with(|world| world.was_asked = false),
            "none; not ^1: no registry has been asked yet",
        ),
        (
            "nobody answers",
            World::new(&["^1"]).with(|world| world.problems.push(("r".into(), "timed out".into()))),
            "none; not ^1: r: timed out",
        ),
        // Verdicts.
        (
            "a judged version is passed over for ever",
            World::new(&["^1"]).offer("1.5.0", 5).offer("1.4.0", 4).judged(5, "new", app, 1, 1_000_000),
            "1.4.0#4 new (not here); not 1.5.0#5: it failed with these options: no",
        ),
        (
            "with other options it is another matter",
            World::new(&["^1"]).offer("1.5.0", 5).judged(5, "old", app, 1, 10),
            "1.5.0#5 new (not here)",
        ),
        (
            "the next digest of a tag is tried",
            World::new(&["latest"]).offer("latest", 6).judged(5, "new", app, 1, 10),
            "latest#6 new (not here)",
        ),
        (
            "a bad tag that somebody set",
            World::new(&["^1"])
                .offer("1.4.0", 4)
                .offer("beta", 9)
                .with(tag("beta"))
                .judged(9, "new", app, 1, 10),
            "1.4.0#4 new (not here); not beta#9: it failed with these options: no",
        ),
        (
            "what somebody rolled back from",
            World::new(&["^1"]).offer("1.5.0", 5).offer("1.4.0", 4).judged(5, "new", Reason::Operator, 1, 10),
            "1.4.0#4 new (not here); not 1.5.0#5: no",
        ),
        (
            "an environment that failed is waited for",
            World::new(&["^1"]).offer("1.5.0", 5).offer("1.4.0", 4).judged(
                5,
                "new",
                Reason::Environment,
                1,
                59,
            ),
            "1.4.0#4 new (not here); not 1.5.0#5: no; it is tried again in 1s (attempt 2)",
        ),
        (
            "and then it is tried again",
            World::new(&["^1"]).offer("1.5.0", 5).judged(5, "new", Reason::Environment, 1, 60),
            "1.5.0#5 new (not here)",
        ),
        (
            "pauses grow",
            World::new(&["^1"]).offer("1.5.0", 5).judged(5, "new", Reason::Interrupted, 3, 60),
            "none; not 1.5.0#5: no; it is tried again in 3m (attempt 4)",
        ),
        (
            "and have an end",
            World::new(&["^1"]).offer("1.5.0", 5).judged(5, "new", Reason::Environment, 40, 3600),
            "1.5.0#5 new (not here)",
        ),
        (
            "a clock that was set back",
            World::new(&["^1"]).offer("1.5.0", 5).judged(5, "new", Reason::Environment, 9, -1_000_000),
            "1.5.0#5 new (not here)",
        ),
        // What runs.
        (
            "what runs is not taken back by a silent registry",
            World::new(&["^1"]).runs("1.4.0", 4, "new"),
            "1.4.0#4 new",
        ),
        ("nor by an older one", World::new(&["^1"]).runs("1.4.0", 4, "new").offer("1.3.0", 3), "1.4.0#4 new"),
        (
            "a tag that moved is followed",
            World::new(&["latest"]).runs("latest", 4, "new").offer("latest", 5),
            "latest#5 new (not here)",
        ),
        (
            "back as well, if everybody says so",
            World::new(&["latest"]).runs("latest", 5, "new").ran("latest", 4, "new").offer("latest", 4),
            "latest#4 new",
        ),
        (
            "but not by an old mirror alone",
            World::new(&["latest"])
                .runs("latest", 5, "new")
                .ran("latest", 4, "new")
                .offer("latest", 4)
                .with(|world| world.problems.push(("r".into(), "timed out".into()))),
            "latest#5 new",
        ),
        (
            "of two registries the one that knows something newer",
            World::new(&["latest"])
                .runs("latest", 4, "new")
                .offer("latest", 4)
                .known_for(90)
                .offer("latest", 5)
                .known_for(1),
            "latest#5 new (not here)",
        ),
        (
            "and stays so",
            World::new(&["latest"])
                .runs("latest", 5, "new")
                .ran("latest", 4, "new")
                .offer("latest", 4)
                .known_for(90)
                .offer("latest", 5)
                .known_for(1),
            "latest#5 new",
        ),
        (
            "an image that was built here later",
            World::new(&["dev"]).runs("dev", 4, "new").image(5, &["acme/web:dev"]),
            "dev#5 new",
        ),
        (
            "not one that was built before",
            World::new(&["dev"]).runs("dev", 4, "new").image(3, &["acme/web:dev"]),
            "dev#4 new",
        ),
        (
            "an environment pause is no reason to leave what runs",
            World::new(&["^1"])
                .runs("1.4.0", 4, "new")
                .judged(4, "new", Reason::Environment, 1, 5)
                .ran("1.3.0", 3, "new"),
            "1.4.0#4 new",
        ),
        (
            "a verdict is",
            World::new(&["^1"]).runs("1.4.0", 4, "new").judged(4, "new", app, 1, 5).ran("1.3.0", 3, "new"),
            "1.3.0#3 new; not 1.4.0#4: it failed with these options: no",
        ),
        // Nothing acceptable: hold.
        (
            "what is not acceptable any more goes on",
            World::new(&["2.0.0"]).runs("1.4.0", 4, "old"),
            "1.4.0#4 new; not 2.0.0: no registry has it",
        ),
        (
            "with its own options if the new ones were judged",
            World::new(&["^1"]).runs("1.4.0", 4, "old").judged(4, "new", app, 1, 5),
            "1.4.0#4 old; not 1.4.0#4: it failed with these options: no",
        ),
        (
            "the one before it if it was judged itself",
            World::new(&["1.5.0"]).runs("1.5.0", 5, "new").ran("1.4.0", 4, "old").judged(5, "new", app, 1, 5),
            "1.4.0#4 old; not 1.5.0#5: it failed with these options: no",
        ),
        (
            "and the one before that",
            World::new(&["1.5.0"])
                .runs("1.5.0", 5, "new")
                .ran("1.4.0", 4, "new")
                .ran("1.3.0", 3, "old")
                .judged(5, "new", app, 1, 5)
                .judged(4, "new", app, 1, 5),
            "1.3.0#3 old; not 1.5.0#5: it failed with these options: no, 1.4.0#4: it failed with these options: no",
        ),
        (
            "nothing is left",
            World::new(&["1.5.0"]).runs("1.5.0", 5, "new").judged(5, "new", app, 1, 5),
            "none; not 1.5.0#5: it failed with these options: no",
        ),
        (
            "the history is lost",
            World::new(&["2.0.0"]).runs("1.4.0", 4, "old").with(|world| world.versions.clear()),
            "1.4.0#4 new; not 2.0.0: no registry has it",
        ),
        // Pinned.
        (
            "what somebody rolled back to stays, as it ran",
            World::new(&["^1"])
                .runs("1.5.0", 5, "new")
                .ran("1.3.0", 3, "old")
                .offer("1.6.0", 6)
                .with(|world| world.said.pinned = Some(99)),
            "1.3.0#3 old",
        ),
        (
            "unless it fails",
            World::new(&["^1"])
                .runs("1.5.0", 5, "new")
                .ran("1.3.0", 3, "old")
                .judged(3, "old", app, 1, 5)
                .with(|world| world.said.pinned = Some(99)),
            "1.5.0#5 new; not 1.3.0#3: it failed with these options: no",
        ),
        (
            "or is gone",
            World::new(&["^1"]).runs("1.5.0", 5, "new").with(|world| world.said.pinned = Some(7)),
            "1.5.0#5 new; not version 7: the history does not have it any more",
        ),
    ] {
        assert_eq!(said(&world.choose()), expected, "{rule}");
    }
}

#[test]
fn a_version_has_to_be_old_enough() {
    let aged = |hours: u64| {
        World::new(&["^1"])
            .with(|world| {
                world.container.update.minimum_age = crate::document::quantity::Span::seconds(24 * 3600)
            })
            .runs("1.4.0", 4, "new")
            .offer("1.5.0", 5)
            .known_for(hours)
    };
    let choice = aged(23).choose();
    assert_eq!(said(&choice), "1.4.0#4 new; not 1.5.0#5: it has been known for 23h, and `minimumAge` is 1d");
    assert_eq!(choice.again, Some(Duration::from_secs(3600)));
    assert_eq!(said(&aged(24).choose()), "1.5.0#5 new (not here)");
    assert_eq!(said(&aged(1).with(|world| world.hurried = true).choose()), "1.5.0#5 new (not here)");
    let tag = aged(1).with(|world| world.said.tag = Some("1.5.0".to_owned()));
    assert_eq!(said(&tag.choose()), "1.5.0#5 new (not here)");
    // It ran here before: it is not new.
    assert_eq!(said(&aged(1).ran("1.5.0", 5, "new").choose()), "1.5.0#5 new");
}

#[test]
fn what_can_be_started_while_the_best_is_far_away() {
    let meanwhile = |world: &World| {
        let choice = world.choose();
        let meanwhile = choice.meanwhile.clone().ok_or_else(String::new);
        (said(&choice), said(&Choice { target: meanwhile, passed_over: Vec::new(), ..choice }))
    };
    let far = World::new(&["^2", "^1"])
        .offer("2.0.0", 20)
        .offer("1.9.0", 19)
        .image(18, &["acme/web:1.8.0"])
        .ran("1.4.0", 4, "old");
    assert_eq!(meanwhile(&far), ("2.0.0#20 new (not here)".into(), "1.8.0#18 new".into()));
    let held =
        World::new(&["^2"]).offer("2.0.0", 20).ran("1.4.0", 4, "old").judged(4, "new", Reason::App, 1, 0);
    assert_eq!(meanwhile(&held), ("2.0.0#20 new (not here)".into(), "1.4.0#4 old".into()));
    let here = World::new(&["^2"]).image(20, &["acme/web:2.0.0"]);
    assert_eq!(meanwhile(&here), ("2.0.0#20 new".into(), "none".into()));
}

#[test]
fn what_failed_for_the_device_is_not_made_anew_at_once() {
    let world = World::new(&["^1"]).runs("1.4.0", 4, "new").judged(4, "new", Reason::Environment, 2, 30);
    assert_eq!(world.choose().rest, Some(Duration::from_secs(90)));
    assert_eq!(World::new(&["^1"]).runs("1.4.0", 4, "new").choose().rest, None);
}
