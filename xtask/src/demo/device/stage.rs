//! What the demo needs: a Docker daemon, a registry, images, and deviced. Dropped, all of it goes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fixtures::image::BuiltImage;
use fixtures::registry::Registry;
use fixtures::scratch::Scratch;
use nix::sys::signal::Signal;

use super::document::{ALL, WEB};
use super::images::{Images, Nature};
use super::seen::{self, Container, INSTANCE};
use crate::demo::screen::Screen;
use crate::demo::supervisor::{Log, follow};
use crate::deviced::Deviced;
use crate::docker::Docker;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// A command of deviced's, and a wait for what must be seen, take no longer.
const LIMIT: Duration = Duration::from_secs(40);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The stage.
pub(super) struct Stage {
    /// Ended first.
    manager: Deviced,
    pub(super) docker: Docker,
    pub(super) registry: Registry,
    images: Images,
    /// By which its containers are found.
    instance: String,
    /// Of all images of this demo.
    label: String,
    /// Data, document and log.
    pub(super) directory: Scratch,
    pub(super) log: Arc<Log>,
    /// Commands that were given in this step, as a person would.
    pub(super) commands: Vec<String>,
}

impl Stage {
    /// With a screen, what deviced writes is shown as it comes.
    pub(super) fn new(
        binary: PathBuf,
        docker: Docker,
        directory: Scratch,
        shown: Option<Screen>,
    ) -> Result<Self> {
        let names = ALL.map(|id| format!("name=^/{id}$"));
        let filters = names.iter().flat_map(|name| ["--filter", name]);
        let taken = docker.call(["ps", "--all", "--format", "{{.Names}}"]).args(filters).read()?;
        if !taken.is_empty() {
            let taken = taken.lines().collect::<Vec<_>>().join(", ");
            return Err(Failure::new(format!(
                "there are containers of these names already: {taken}; remove them first"
            )));
        }
        let instance = format!("demo-{}", std::process::id());
        let (name, value) = ("dockerloader.demo".to_owned(), instance.clone());
        let label = format!("{name}={value}");
        let images = Images::new((name, value))?;
        let registry = Registry::start();
        let manager = Deviced::new(binary, directory.path(), instance.clone());
        let log = Log::new(&directory.path().join("log"), shown)?;
        let commands = Vec::new();
        let stage = Self { manager, docker, registry, images, instance, label, directory, log, commands };
        for name in ALL {
            let nature = if name == WEB { Nature::Serves } else { Nature::Waits };
            stage.push(name, "1.0.0", nature);
        }
        Ok(stage)
    }

    /// Builds a version and pushes it. Its image's name is that of the container without the shop's.
    pub(super) fn push(&self, name: &str, version: &str, nature: Nature) -> BuiltImage {
        let name = short(name);
        let image = self.images.version(name, version, nature);
        self.registry.put(&format!("shop/{name}"), version, &image);
        image
    }

    /// The digest that the registry has for a version of `web`.
    pub(super) fn digest(&self, version: &str) -> Result<String> {
        let digest = self.registry.tag("shop/web", version);
        digest.ok_or_else(|| Failure::new(format!("the registry has no web:{version}")))
    }

    /// Starts deviced, and waits until it answers.
    pub(super) fn start(&mut self) -> Result {
        let (output, end) = std::io::pipe().context("make a pipe")?;
        let errors = end.try_clone().context("make a pipe")?;
        let _ = follow(output, &self.log);
        self.manager.start(&self.docker.environment(), (end.into(), errors.into()))
    }

    /// Ends deviced with this signal.
    pub(super) fn end(&mut self, signal: Signal) -> Result {
        self.manager.end(signal)
    }

    /// A command of deviced's, which has to end with this code. What it wrote.
    pub(super) fn deviced(&mut self, arguments: &[&str], expected: i32) -> Result<String> {
        let shown: Vec<_> = arguments.iter().map(|word| word.rsplit('/').next().unwrap_or(word)).collect();
        self.commands.push(format!("deviced {}", shown.join(" ")));
        let (code, told) = self.manager.call(arguments).within(LIMIT).code()?;
        if interrupt::interrupted() {
            return Err(Failure::new("interrupted"));
        }
        if code == Some(expected) {
            return Ok(told);
        }
        let code = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
        Err(Failure::new(format!("`deviced {}` ended {code}, not with {expected}:\n{told}", shown.join(" "))))
    }

    /// A document in a file.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).context(format_args!("write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Looks until everything is as it has to be; see [`seen::differences`].
    pub(super) fn settle(&self, version: &str) -> Result<Vec<Container>> {
        let digest = self.digest(version)?;
        let deadline = Instant::now() + LIMIT;
        loop {
            // What is removed while it is looked at is an error that is over with the next look.
            let seen = self.look();
            let differences = match &seen {
                Ok(seen) => seen::differences(seen, version, &digest),
                Err(failure) => vec![failure.to_string()],
            };
            if differences.is_empty() {
                return seen;
            }
            if interrupt::interrupted() {
                return Err(Failure::new("interrupted"));
            }
            if Instant::now() > deadline {
                return Err(Failure::new(differences.join("; ")));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// deviced's containers, running or not.
    pub(super) fn look(&self) -> Result<Vec<Container>> {
        seen::look(&self.docker, &self.instance)
    }

    /// Removes what deviced made. Whether nothing is left of it.
    pub(super) fn clear(&mut self) -> Result {
        self.end(Signal::SIGTERM)?;
        self.docker.remove_labelled(&format!("{INSTANCE}={}", self.instance));
        // Images, and containers of them whose labels say nothing of deviced.
        self.docker.remove_labelled(&self.label);
        let filter = format!("label={}", self.label);
        for list in [["ps", "--all", "--quiet"], ["image", "ls", "--quiet"]] {
            let left = self.docker.call(list).arg("--filter", &filter).even_when_interrupted().read()?;
            if !left.is_empty() {
                return Err(Failure::new(format!("`docker {}` still has: {left}", list.join(" "))));
            }
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(failure) = self.clear() {
            eprintln!("{failure}");
        }
    }
}

/// The name of a container's image.
pub(super) fn short(name: &str) -> &str {
    name.strip_prefix("shop-").unwrap_or(name)
}
