//! Images, and what a test leaves to be removed.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::container::Container;
use super::services::{Services, services};

/// Which registry a test uses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Registry {
    /// No TLS, no credentials.
    Plain,
    /// TLS by a private authority, basic authentication.
    Tls,
    /// Bearer tokens.
    Bearer,
}

/// One after the other: some tests measure how long Docker takes, and a person may read along.
static TURN: Mutex<()> = Mutex::new(());

/// One test: its repository, and the label of all that it makes. Dropped, it removes that, after a panic too.
pub(crate) struct Case {
    name: &'static str,
    registry: Registry,
    _turn: MutexGuard<'static, ()>,
}

impl Case {
    pub(crate) fn new(name: &'static str, registry: Registry) -> Self {
        let case = Self { name, registry, _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner) };
        // Left by a run that was killed.
        case.remove();
        case
    }

    /// Builds the example application with these build arguments, moves the tag `latest` to it, and gives the digest of
    /// its manifest.
    pub(crate) fn push(&self, version: &str, arguments: &[&str]) -> String {
        let services = services();
        let image = format!("{}/{}:latest", self.push_address(services), self.repository());
        let version = format!("VERSION={version}");
        let mut build = docker();
        build.args(["build", "--quiet", "--tag", &image, "--build-arg", &version]);
        build.args(arguments.iter().flat_map(|argument| ["--build-arg", argument]));
        build.args(["--label", &services.label, "--label", &self.label()]);
        if !succeeds(docker().args(["buildx", "version"])) {
            build.env("DOCKER_BUILDKIT", "0");
        }
        read(build.arg(&services.app_context));
        let pushed = read(docker().arg("--config").arg(&services.docker_config).args(["push", &image]));
        let digest = pushed.lines().find_map(|line| line.split_once("digest: ")?.1.split(' ').next());
        digest.unwrap_or_else(|| panic!("docker push names no digest:\n{pushed}")).to_owned()
    }

    /// The reference that a container follows.
    pub(crate) fn target(&self) -> String {
        let services = services();
        let address = match self.registry {
            Registry::Plain => &services.plain,
            Registry::Tls => &services.tls,
            Registry::Bearer => &services.bearer,
        };
        format!("{address}/{}:latest", self.repository())
    }

    /// Starts the supervisor's image on the volume of this case, on the machine's own network.
    pub(crate) fn run(&self, variables: &[(&str, &str)]) -> Container {
        self.start(variables, &[])
    }

    /// As [`run`](Self::run), with the credentials and the certificate authority of the registries.
    pub(crate) fn run_with_credentials(&self, variables: &[(&str, &str)]) -> Container {
        let services = services();
        let mount = |from: &std::path::Path, to: &str| {
            format!("type=bind,readonly,source={},target={to}", from.display())
        };
        let (config, authority) =
            (mount(&services.docker_config, "/credentials"), mount(&services.ca_file, "/ca.pem"));
        let variables =
            [variables, &[("DOCKER_CONFIG", "/credentials"), ("DOCKERLOADER_CA_FILE", "/ca.pem")]].concat();
        self.start(&variables, &["--mount", &config, "--mount", &authority])
    }

    fn start(&self, variables: &[(&str, &str)], options: &[&str]) -> Container {
        let services = services();
        let volume = format!("dockerloader-{}-{}", self.repository().replace('/', "-"), std::process::id());
        read(docker().args([
            "volume",
            "create",
            "--label",
            &services.label,
            "--label",
            &self.label(),
            &volume,
        ]));
        let mut run = docker();
        run.args(["run", "--detach", "--network", "host", "--add-host", "registry.test:127.0.0.1"]);
        run.args(["--label", &services.label, "--label", &self.label()]);
        run.args(["--mount", &format!("type=volume,source={volume},target=/data")]);
        let target = self.target();
        let settings = [("DOCKERLOADER_TARGET", target.as_str()), ("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1")];
        for (name, value) in settings.iter().chain(variables) {
            run.args(["--env", &format!("{name}={value}")]);
        }
        Container::new(read(run.args(options).arg(&services.loader_image)))
    }

    fn repository(&self) -> String {
        format!("test/{}", self.name)
    }

    fn label(&self) -> String {
        format!("dockerloader.test.case={}", self.name)
    }

    fn push_address<'a>(&self, services: &'a Services) -> &'a str {
        match self.registry {
            Registry::Plain => &services.plain,
            Registry::Tls => &services.tls_push,
            Registry::Bearer => &services.bearer,
        }
    }

    fn remove(&self) {
        let filter = format!("label={}", self.label());
        for (list, remove) in [
            (["ps", "--all", "--quiet"].as_slice(), ["rm", "--force", "--volumes"].as_slice()),
            (["volume", "ls", "--quiet"].as_slice(), ["volume", "rm", "--force"].as_slice()),
            (["image", "ls", "--quiet"].as_slice(), ["image", "rm", "--force"].as_slice()),
        ] {
            let listed = docker().args(list).args(["--filter", &filter]).output().expect("docker starts");
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            if !listed.trim().is_empty() {
                // Dropping must not panic; what stays is removed with the run's label.
                let _ = docker().args(remove).args(listed.split_whitespace()).stdout(Stdio::null()).status();
            }
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        self.remove();
    }
}

/// `docker`, with the daemon of the services.
pub(super) fn docker() -> Command {
    let mut command = Command::new("docker");
    command.stdin(Stdio::null());
    if let Some(host) = &services().docker_host {
        command.env("DOCKER_HOST", host);
    }
    command
}

/// What it wrote to standard output, trimmed; the test fails when it does.
pub(super) fn read(command: &mut Command) -> String {
    let output = command.output().expect("docker starts");
    let shown = || command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    assert!(
        output.status.success(),
        "docker {}: {}{}",
        shown(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
