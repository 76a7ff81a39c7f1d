//! One situation after another, and what is said and done about it.

mod updates;

mod repairs;

mod wishes;

use serde_json::{Value, json};

use crate::plan::tests::engine::Behaviour;
use crate::plan::tests::engine::Behaviour::Good;
use crate::plan::tests::model::{Model, entry, of};

/// A device that runs version 1.0.0 of each container.
fn settled(containers: &[Value]) -> Model {
    let mut model = Model::new(of(containers));
    for (index, container) in containers.iter().enumerate() {
        let number = u8::try_from(10 * (index + 1)).unwrap();
        model.publish(container["image"].as_str().unwrap(), "1.0.0", number, Good);
    }
    model.settle();
    model
}

fn web(run: Value) -> Value {
    entry("web", &["^1"], run)
}

fn one() -> Model {
    settled(&[web(json!({}))])
}

/// Version 1.1.0 comes, and its image is pulled.
fn updated(model: &mut Model, behaviour: Behaviour) {
    model.publish("acme/web", "1.1.0", 11, behaviour);
    model.pass(None);
}

/// Passes until the replacement of `web` is in this stage.
fn until(model: &mut Model, stage: &str) {
    for _ in 0..20 {
        if model.swaps.get("web").is_some_and(|swap| swap.stage.name() == stage) {
            return;
        }
        model.pass(None);
    }
    panic!("no stage {stage}:\n{}", model.shown());
}

#[track_caller]
fn says(model: &Model, expected: &str) {
    let said = model.said().join("\n");
    let expected: Vec<_> =
        expected.lines().map(|line| line.strip_prefix("        ").unwrap_or(line)).collect();
    assert_eq!(said, expected.join("\n").trim(), "\n{said}\n");
}
