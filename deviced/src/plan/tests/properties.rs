//! From any state that a device can get into, plans lead to rest in finitely many steps, and nothing is lost on the way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::engine::Behaviour;
use super::model::{Model, entry, of};
use crate::engine::{ImageId, State};
use crate::history::Override;
use crate::labels;
use crate::spec::Spec;

const IDS: [&str; 4] = ["app", "job", "vpn", "web"];

/// Something that happens to a device.
#[derive(Debug, Clone)]
enum Happening {
    /// The loop goes on, undisturbed.
    Passes(u8),
    /// deviced is killed after so many steps of a pass.
    Killed(u8),
    /// Its history is lost.
    HistoryLost,
    /// A version comes to be: of which container, which number.
    Published(usize, u8),
    /// The registry is reached or not.
    Registry(bool),
    /// The document wants other versions.
    Versions(usize, u8),
    /// The document wants other options.
    Level(usize, u8),
    /// The document does not name a container any more, or names it again.
    Named(usize, bool),
    /// Somebody says something over the document.
    Said(usize, Override),
    /// A container of ours comes into this state by somebody's hand.
    State(usize, State),
    /// Somebody removes a container of ours.
    Removed(usize),
    /// Somebody renames a container of ours.
    Renamed(usize),
    /// Somebody detaches a container of ours from its networks.
    Detached(usize),
    /// Somebody changes the restart policy.
    Updated(usize),
    /// Somebody who is not deviced makes a container with our name.
    Foreign(usize),
    /// The window of a container closes or opens.
    Window(usize, bool),
    /// Calls of the engine fail.
    Fault(&'static str, u8),
    /// The machine is restarted, and deviced with it.
    Reboot,
}

fn happening() -> impl Strategy<Value = Happening> {
    let which = || 0..IDS.len();
    let said = (prop::option::of(1_u8..6), any::<bool>(), any::<bool>(), 0_u8..4).prop_map(
        |(tag, stopped, paused, pinned)| Override {
            tag: tag.map(|tag| format!("1.{tag}.0")),
            stopped,
            paused,
            pinned: (pinned == 1).then_some(1),
            ..Override::default()
        },
    );
    let state = prop::sample::select(vec![
        State::Created,
        State::Exited,
        State::Dead,
        State::Removing,
        State::Paused,
    ]);
    let call = prop::sample::select(vec!["create", "start", "stop", "rename", "remove"]);
    prop_oneof![
        6 => (1_u8..6).prop_map(Happening::Passes),
        4 => (0_u8..12).prop_map(Happening::Killed),
        1 => Just(Happening::HistoryLost),
        3 => (which(), 1_u8..6).prop_map(|(id, number)| Happening::Published(id, number)),
        1 => any::<bool>().prop_map(Happening::Registry),
        1 => (which(), 0_u8..4).prop_map(|(id, versions)| Happening::Versions(id, versions)),
        2 => (which(), 0_u8..3).prop_map(|(id, level)| Happening::Level(id, level)),
        1 => (which(), any::<bool>()).prop_map(|(id, named)| Happening::Named(id, named)),
        1 => (which(), said).prop_map(|(id, said)| Happening::Said(id, said)),
        3 => (which(), state).prop_map(|(id, state)| Happening::State(id, state)),
        1 => which().prop_map(Happening::Removed),
        1 => which().prop_map(Happening::Renamed),
        1 => which().prop_map(Happening::Detached),
        1 => which().prop_map(Happening::Updated),
        1 => which().prop_map(Happening::Foreign),
        1 => (which(), any::<bool>()).prop_map(|(id, closed)| Happening::Window(id, closed)),
        2 => (call, 1_u8..3).prop_map(|(call, times)| Happening::Fault(call, times)),
        1 => Just(Happening::Reboot),
    ]
}

/// Behaviour of each version by its number; versions of one container follow each other.
fn behaviours() -> impl Strategy<Value = Vec<Behaviour>> {
    let one = prop_oneof![4 => Just(Behaviour::Good), 2 => Just(Behaviour::Bad), 1 => Just(Behaviour::Late)];
    prop::collection::vec(one, 24..=24)
}

/// What the documents of these tests say about a container.
#[derive(Debug, Clone, Copy)]
struct Wish {
    named: bool,
    versions: u8,
    level: u8,
}

fn document(wishes: &BTreeMap<&str, Wish>, unknown: &str) -> Value {
    let named = wishes.iter().filter(|(_, wish)| wish.named).map(|(id, wish)| {
        let versions: &[&str] = match wish.versions {
            0 => &["^1"],
            1 => &["1.5.0", "^1"],
            2 => &["1.2.0"],
            _ => &["latest"],
        };
        let restart = if *id == "job" {
            "no"
        } else if *id == "vpn" {
            "always"
        } else {
            "unless-stopped"
        };
        let mut run = json!({"environment": {"LEVEL": wish.level.to_string()}, "restart": restart});
        match *id {
            "web" => {
                run["ports"] = json!(["8080:80"]);
                run["networks"] = json!(["front"]);
                run["volumes"] = json!(["data:/data"]);
            }
            // It lives in the network of another one, if that is there.
            "app" if wishes["vpn"].named => {
                run["network_mode"] = "service:vpn".into();
                run["depends_on"] = json!({"vpn": {"condition": "service_started", "restart": true}});
            }
            _ => {}
        }
        entry(id, versions, run)
    });
    let mut document = of(&named.collect::<Vec<_>>());
    document["removeUnknown"] = unknown.into();
    document
}

struct World {
    model: Model,
    wishes: BTreeMap<&'static str, Wish>,
    unknown: String,
    behaviours: Vec<Behaviour>,
    foreign: Vec<(String, State)>,
}

impl World {
    fn new(behaviours: Vec<Behaviour>, unknown: &str) -> Self {
        let wishes: BTreeMap<_, _> =
            IDS.into_iter().map(|id| (id, Wish { named: true, versions: 0, level: 0 })).collect();
        let model = Model::new(document(&wishes, unknown));
        let mut world = Self { model, wishes, unknown: unknown.to_owned(), behaviours, foreign: Vec::new() };
        for (index, _) in IDS.iter().enumerate() {
            world.publish(index, 1);
        }
        let none = Spec::default();
        let other =
            world.model.engine.create("other", &ImageId("theirs".into()), none, BTreeMap::new()).unwrap();
        world.model.engine.start(&other).unwrap();
        world.foreign.push(("other".to_owned(), State::Running));
        world
    }

    fn publish(&mut self, index: usize, number: u8) {
        let version = u8::try_from(index).unwrap() * 6 + number;
        let behaviour = match self.behaviours[usize::from(version)] {
            // Who lives in the network of one that ends again and again is never at rest.
            Behaviour::Late if IDS[index] == "vpn" => Behaviour::Bad,
            behaviour => behaviour,
        };
        let image = format!("acme/{}", IDS[index]);
        self.model.publish(&image, &format!("1.{number}.0"), version, behaviour);
        self.model.publish(&image, "latest", version, behaviour);
    }

    /// A container that somebody does something with; what was done by hand is nobody's fault.
    fn by_hand(&mut self, index: usize, change: impl FnOnce(&mut super::engine::Real)) {
        let Some(id) = self.model.container(IDS[index]).map(|container| container.id.clone()) else { return };
        let container = self.model.engine.containers.iter_mut().find(|container| container.id == id);
        change(container.unwrap());
    }

    fn happen(&mut self, happening: &Happening) {
        let model = &mut self.model;
        match happening {
            Happening::Passes(count) => {
                for _ in 0..*count {
                    model.pass(None);
                }
            }
            Happening::Killed(steps) => {
                model.pass(Some(usize::from(*steps)));
            }
            Happening::HistoryLost => model.lose_history(),
            Happening::Published(index, number) => self.publish(*index, *number),
            Happening::Registry(is_up) => model.is_up = *is_up,
            Happening::Versions(index, versions) => self.wish(*index, |wish| wish.versions = *versions),
            Happening::Level(index, level) => self.wish(*index, |wish| wish.level = *level),
            Happening::Named(index, named) => self.wish(*index, |wish| wish.named = *named),
            Happening::Said(index, said) => {
                model.overrides.insert(IDS[*index].to_owned(), said.clone());
            }
            Happening::State(index, state) => self.by_hand(*index, |container| {
                container.state = *state;
                container.exit_code = 143;
            }),
            Happening::Removed(index) => {
                if let Some(id) = model.container(IDS[*index]).map(|container| container.id.clone()) {
                    model.engine.containers.retain(|container| container.id != id);
                }
            }
            Happening::Renamed(index) => {
                let name = format!("renamed-{}-{}", index, self.foreign.len());
                if !model.engine.containers.iter().any(|container| container.name == name) {
                    self.by_hand(*index, |container| container.name = name);
                }
            }
            Happening::Detached(index) => self.by_hand(*index, |container| container.networks.clear()),
            Happening::Updated(index) => self.by_hand(*index, |container| {
                container.spec.0["HostConfig"]["RestartPolicy"] =
                    json!({"Name": "on-failure", "MaximumRetryCount": 2});
            }),
            Happening::Foreign(index) => {
                let (image, name) = (ImageId("theirs".into()), IDS[*index]);
                if model.engine.create(name, &image, Spec::default(), BTreeMap::new()).is_ok() {
                    self.foreign.push((name.to_owned(), State::Created));
                }
            }
            Happening::Window(index, closed) => {
                if *closed {
                    model.closed.insert(IDS[*index].to_owned());
                } else {
                    model.closed.remove(IDS[*index]);
                }
            }
            Happening::Fault(call, times) => {
                model.engine.faults.insert(call, u32::from(*times));
            }
            Happening::Reboot => {
                let mut interrupted = model.clone();
                interrupted.pass(Some(0));
                *model = interrupted;
                model.engine.reboot();
            }
        }
    }

    fn wish(&mut self, index: usize, change: impl FnOnce(&mut Wish)) {
        change(self.wishes.get_mut(IDS[index]).unwrap());
        self.model.document = document(&self.wishes, &self.unknown);
        self.model.revision += 1;
    }

    /// What has to be so at rest.
    fn check(&self) {
        let model = &self.model;
        let theirs: Vec<_> = model
            .engine
            .containers
            .iter()
            .filter(|container| !container.is_ours())
            .map(|container| (container.name.clone(), container.state))
            .collect();
        assert_eq!(theirs, self.foreign, "what is not ours was touched");
        assert!(model.swaps.is_empty(), "{:#?}", model.swaps);
        for id in IDS {
            let said = model.overrides.get(id).cloned().unwrap_or_default();
            let ours: Vec<_> =
                model.engine.containers.iter().filter(|container| container.is_of(id)).collect();
            let up: Vec<_> = ours.iter().filter(|container| container.is_up()).collect();
            assert!(up.len() <= 1 || said.paused, "{id} runs twice: {up:#?}");
            if !self.wishes[id].named {
                let is_gone = if self.unknown == "remove" { ours.is_empty() } else { up.is_empty() };
                assert!(is_gone || self.unknown == "keep", "{id}: {ours:#?}");
                continue;
            }
            if said.paused {
                continue;
            }
            if said.stopped {
                assert!(up.is_empty(), "{id} is stopped: {up:#?}");
                continue;
            }
            self.check_running(id);
        }
    }

    /// If a version that works can be had, it runs.
    fn check_running(&self, id: &str) {
        let model = &self.model;
        let (desired, observed, known) = model.view();
        let Ok(target) = &desired.containers[id].target else { return };
        // One that waits for its owner, which has no version that works.
        if id == "app"
            && self.wishes["vpn"].named
            && model.container("vpn").is_none_or(|vpn| vpn.state != State::Running)
        {
            return;
        }
        let behaviour = model.engine.behaviours.get(&target.digest).copied();
        if target.image.is_none() && !model.is_up {
            return;
        }
        let container = model.container(id);
        // What was put there by a history that is lost may never have worked; a job that fails has no probation.
        let is_known = model.versions.contains_key(id) && id != "job";
        let versions = known.versions.get(id).map_or(&[][..], Vec::as_slice);
        let current = observed.current(id, None, versions, &known.verdicts);
        let current = current.and_then(|current| model.engine.get(&current.id).ok());
        if !is_known && current.is_some_and(|current| current.exit_code == 1) {
            return;
        }
        let container =
            container.unwrap_or_else(|| panic!("{id} is not there: {target:?}\n{}", model.shown()));
        let waits = model.closed.contains(id);
        assert!(
            waits || behaviour != Some(Behaviour::Bad),
            "{id}: what fails would have to run: {target:?}\n{}",
            model.shown()
        );
        let has_done = id == "job" && container.state == State::Exited && container.exit_code == 0;
        assert!(
            container.state == State::Running || has_done,
            "{id} does not run: {container:#?}\n{}",
            model.shown()
        );
        if !model.closed.contains(id) && target.image.is_some() {
            assert_eq!(container.digest(), Some(target.digest), "{id}: {container:#?}\n{target:?}");
            assert_eq!(
                container.labels.get(labels::SPEC),
                Some(&target.spec.hash().0),
                "{id}: {container:#?}"
            );
            let name = if self.foreign.iter().any(|(name, _)| name == id) {
                format!("{id}-")
            } else {
                id.to_owned()
            };
            assert!(container.name.starts_with(&name), "{id}: {}", container.name);
            let policy = container.spec.get("/HostConfig/RestartPolicy/Name");
            assert_ne!(policy, Some(&json!("on-failure")), "{id}: what somebody changed is not changed back");
        }
    }
}

/// The same cases at each run, so that a change is judged by itself; others with `PROPTEST_RNG_SEED`, and more of them with `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let rng_seed = match default.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        given @ RngSeed::Fixed(_) => given,
    };
    ProptestConfig { max_shrink_iters: 3000, failure_persistence: None, rng_seed, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_it_comes_to_rest(
        behaviours in behaviours(),
        unknown in prop::sample::select(vec!["stop", "keep", "remove"]),
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::new(behaviours, unknown);
        for happening in &happenings {
            world.happen(happening);
        }
        world.model.engine.faults.clear();
        world.model.settle();
        world.check();
    }
}
