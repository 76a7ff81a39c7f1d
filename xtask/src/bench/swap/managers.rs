//! Who replaces a container by the next version of its image: each holds one, in the machine's own network.

use std::fs::File;
use std::path::{Path, PathBuf};

use fixtures::mounts::unmount_below;

use crate::call::Call;
use crate::deviced::Deviced;
use crate::docker::Docker;
use crate::failure::{Context as _, Result};

/// What is kept up to date.
pub(super) struct Target {
    /// With the tag that moves.
    pub(super) reference: String,
    pub(super) repository: String,
    /// Where it answers.
    pub(super) port: u16,
}

impl Target {
    /// Of the one container.
    fn name(&self) -> String {
        self.repository.replace('/', "-")
    }

    /// What `run` of docker and podman is told.
    fn run_arguments(&self) -> Vec<String> {
        let port = format!("PORT={}", self.port);
        let words =
            ["--detach", "--name", &self.name(), "--network", "host", "--env", &port, &self.reference];
        words.map(str::to_owned).into()
    }
}

pub(super) trait ContainerManager: Send {
    /// Has the registry's version of the target run, for the first time too.
    fn replace(&mut self, target: &Target) -> Result;
}

/// `deviced update`, which also waits until the version has proven itself.
pub(super) struct Ours {
    manager: Deviced,
    document: PathBuf,
    is_installed: bool,
}

impl Ours {
    pub(super) fn new(binary: PathBuf, docker: &Docker, place: &Path, target: &Target) -> Result<Self> {
        let repository =
            target.reference.rsplit_once(':').map_or(target.reference.as_str(), |(name, _)| name);
        let text = format!(
            "apiVersion: deviced/v1\ncontainers:\n  - id: {}\n    image: {repository}\n    versions: [latest]\n    \
             run: {{network_mode: host, environment: {{PORT: \"{}\"}}}}\n    \
             update: {{interval: 1h, health: {{running: 1s}}}}\n",
            target.name(),
            target.port,
        );
        let document = place.join("document.yaml");
        std::fs::write(&document, text).context("write the document")?;
        let log = File::create(place.join("log")).context("make the log")?;
        let errors = log.try_clone().context("open the log")?;
        let mut manager = Deviced::new(binary, place, format!("swap-{}", std::process::id()));
        manager.start(&docker.environment(), (log.into(), errors.into()))?;
        Ok(Self { manager, document, is_installed: false })
    }
}

impl ContainerManager for Ours {
    fn replace(&mut self, target: &Target) -> Result {
        let call = if self.is_installed {
            self.manager.call(&["update", &target.name()])
        } else {
            self.manager.call(&["apply"]).args([&self.document])
        };
        call.read()?;
        self.is_installed = true;
        Ok(())
    }
}

/// `docker-compose pull` and `docker-compose up --detach`.
pub(super) struct Compose<'d> {
    docker: &'d Docker,
    file: PathBuf,
}

impl<'d> Compose<'d> {
    pub(super) fn new(docker: &'d Docker, place: &Path, target: &Target) -> Result<Self> {
        let file = place.join("docker-compose.yml");
        let text = format!(
            "version: \"3\"\nservices:\n  {}:\n    image: {}\n    network_mode: host\n    environment: {{PORT: \"{}\"}}\n",
            target.name(),
            target.reference,
            target.port,
        );
        std::fs::write(&file, text).context("write the compose file")?;
        Ok(Self { docker, file })
    }

    fn call(&self, arguments: &[&str]) -> Call {
        self.docker.with_environment(Call::new("docker-compose")).arg("--file", &self.file).args(arguments)
    }
}

impl ContainerManager for Compose<'_> {
    fn replace(&mut self, _: &Target) -> Result {
        self.call(&["pull", "--quiet"]).read()?;
        self.call(&["up", "--detach"]).read().map(|_| ())
    }
}

/// The commands that a script or Watchtower gives: pull, stop, remove, run.
pub(super) struct DockerByHand<'d> {
    docker: &'d Docker,
    is_installed: bool,
}

impl<'d> DockerByHand<'d> {
    pub(super) fn new(docker: &'d Docker) -> Self {
        Self { docker, is_installed: false }
    }
}

impl ContainerManager for DockerByHand<'_> {
    fn replace(&mut self, target: &Target) -> Result {
        self.docker.call(["pull", "--quiet", &target.reference]).read()?;
        let name = target.name();
        if self.is_installed {
            self.docker.call(["stop", &name]).read()?;
            self.docker.call(["rm", &name]).read()?;
        }
        self.docker.call(["run"]).args(target.run_arguments()).read()?;
        self.is_installed = true;
        Ok(())
    }
}

/// What `podman auto-update` does with a unit of `podman generate systemd --new`, without systemd: it pulls, and restarts the unit,
/// which is `podman stop`, `podman rm` and `podman run --replace`.
pub(super) struct PodmanUnit {
    place: PathBuf,
}

impl PodmanUnit {
    pub(super) fn new(place: &Path, target: &Target) -> Result<Self> {
        let (host, _) = target.reference.split_once('/').unwrap_or_default();
        let registries = format!("[[registry]]\nlocation = {host:?}\ninsecure = true\n");
        std::fs::write(place.join("registries.conf"), registries).context("write registries.conf")?;
        // Its default is more than a container may be allowed.
        let containers = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        std::fs::write(place.join("containers.conf"), containers).context("write containers.conf")?;
        Ok(Self { place: place.to_owned() })
    }

    /// With a store of its own.
    fn call(&self, arguments: &[&str]) -> Call {
        Call::new("podman")
            .env("CONTAINERS_REGISTRIES_CONF", self.place.join("registries.conf"))
            .env("CONTAINERS_CONF", self.place.join("containers.conf"))
            .arg("--root", self.place.join("root"))
            .arg("--runroot", self.place.join("run"))
            .arg("--cgroup-manager", "cgroupfs")
            .arg("--events-backend", "file")
            .args(arguments)
    }
}

impl ContainerManager for PodmanUnit {
    fn replace(&mut self, target: &Target) -> Result {
        let name = target.name();
        self.call(&["pull", "--quiet", &target.reference]).read()?;
        self.call(&["stop", "--ignore", "--time", "10", &name]).read()?;
        self.call(&["rm", "--force", "--ignore", &name]).read()?;
        let run = ["run", "--replace", "--cgroups", "no-conmon"];
        self.call(&run).args(target.run_arguments()).read().map(|_| ())
    }
}

impl Drop for PodmanUnit {
    fn drop(&mut self) {
        if let Err(failure) =
            self.call(&["rm", "--all", "--force", "--time", "1"]).even_when_interrupted().read()
        {
            eprintln!("{failure}");
        }
        // Its store is mounted on itself.
        unmount_below(&self.place);
    }
}
