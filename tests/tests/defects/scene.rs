//! An application that runs, a registry with something newer, and a puller in between.

use std::process::Output;

use fixtures::image::{BuiltImage, Image, Layer, noise};
use fixtures::registry::{Gate, Kind, Registry, Rule};
use serde_json::Value;
use tests::process::{children, is_alive};
use tests::supervised::{Running, Stage};
use tests::wait::eventually;

/// What is done to see whether the application is still the same, and still there.
pub(crate) const APP: &str =
    "trap 'exit 4' TERM\necho $$ > @notes/app\nwhile :; do sleep 600 & wait $!; done";

pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) registry: Registry,
    pub(crate) image: BuiltImage,
    target: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Layer::new())
    }

    /// With a layer that has more besides what each has.
    pub(crate) fn with(layer: Layer) -> Self {
        let registry = Registry::start();
        let layer = layer.file("entrypoint", 0o755, b"#!/bin/sh\nexec sleep 600\n").file(
            "data",
            0o644,
            &noise(7, 3 << 20),
        );
        let image = Image::new().layer(layer).build();
        registry.put("app", "v", &image);
        let target = registry.reference("app", "v");
        Self { stage: Stage::with_current(APP), registry, image, target }
    }

    /// What a supervisor of this registry needs in its environment.
    pub(crate) fn environment<'a>(&'a self, more: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
        let own = [("DOCKERLOADER_TARGET", self.target.as_str()), ("DOCKERLOADER_POLL", "never")];
        own.into_iter().chain(more.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect()
    }

    /// `check --json`, to its end.
    pub(crate) fn check(&self) -> (Option<i32>, Value) {
        let output = self.begin_check().wait_with_output().expect("the check");
        Self::answer(&output)
    }

    /// `check --json`, under way.
    pub(crate) fn begin_check(&self) -> std::process::Child {
        let mut command = self.stage.command(&["check", "--json"]);
        command.env("DOCKERLOADER_TARGET", &self.target);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().expect("the program under test")
    }

    /// The code and the answer of a check.
    pub(crate) fn answer(output: &Output) -> (Option<i32>, Value) {
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }

    /// The application runs as before, and a look that is not disturbed finds the update.
    pub(crate) fn assert_survived(&self, running: &mut Running<'_>, app: i32, why: &str) {
        let said = running.event("check_failed", 1)["message"].to_string();
        assert!(said.contains(why), "{said}");
        let status = self.stage.status();
        assert_eq!(status["last_check"]["outcome"], "failed", "{status}");
        assert!(status["last_check"]["detail"].to_string().contains(why), "{status}");
        assert_eq!((&status["supervisor"]["app_pid"], is_alive(app)), (&app.into(), true), "{status}");
        assert_eq!(status["supervisor"]["pulling"], false, "{status}");
        let (code, answer) = self.check();
        assert_eq!(code, Some(42), "{answer}");
        assert_eq!(self.stage.ground.read_slot("entrypoint-attempt").as_ref(), Some(&self.image.digest));
    }

    /// Holds the layer after its first bytes.
    pub(crate) fn gate(&self) -> Gate {
        self.registry.gate(Rule::on(Kind::Blob).path(&self.image.layers[0].digest), 1000)
    }

    /// The puller, as soon as it is there.
    pub(crate) fn puller(&self, running: &Running<'_>, app: i32) -> i32 {
        eventually("the puller", || children(running.pid).into_iter().find(|pid| *pid != app))
    }
}
