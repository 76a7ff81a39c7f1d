//! What the container tests need: a daemon, three registries, the supervisor's image, and the application's build context.

use std::io::Read as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tempfile::TempDir;

use crate::certificates;
use crate::compose::{self, Compose};
use crate::docker::Docker;
use crate::failure::{Context as _, Failure, Result};
use crate::images;
use crate::interrupt;
use crate::token_server::{ISSUER, SERVICE, TokenServer};
use crate::workspace::{root, target};

/// The label of every container, volume and image of a run; its value names the run.
const LABEL: &str = "dockerloader.test.run";

/// Fields are dropped in this order: registries first, the daemon almost last.
#[derive(Debug)]
pub(crate) struct Services {
    compose: Compose,
    _tokens: TokenServer,
    labelled: Labelled,
    directory: TempDir,
}

/// Removes what carries the run's label.
#[derive(Debug)]
struct Labelled {
    docker: Docker,
    label: String,
}

impl Drop for Labelled {
    fn drop(&mut self) {
        self.docker.remove_labelled(&self.label);
    }
}

impl Services {
    /// Builds and starts everything.
    pub(crate) fn start() -> Result<Self> {
        eprintln!("building the static binaries");
        let (loader, app) = (images::build_loader()?, images::build_app()?);
        let directory = tempfile::Builder::new().prefix("services-").tempdir_in(target());
        let directory = directory.context("make a directory for the services")?;
        let path = directory.path();
        let run = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let run = run.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");

        let labelled = Labelled { docker: Docker::find_or_start()?, label: format!("{LABEL}={run}") };
        let docker = &labelled.docker;
        let context = path.join("loader");
        std::fs::create_dir(&context).context("make the build context")?;
        images::fill_loader_context(&context, &loader)?;
        docker.build(&loader_tag(&run), Some(&labelled.label), &root().join("Dockerfile"), &context)?;
        images::fill_app_context(&path.join("app"), &app)?;

        let tokens = TokenServer::start(certificates::write(path)?)?;
        let image = compose::registry_image(docker, &labelled.label, &path.join("registry"))?;
        let variables = [
            ("REGISTRY_IMAGE", image),
            ("SERVICES_DIRECTORY", path.display().to_string()),
            ("TOKEN_REALM", tokens.realm()),
            ("TOKEN_SERVICE", SERVICE.to_owned()),
            ("TOKEN_ISSUER", ISSUER.to_owned()),
            ("RUN", run),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let compose = Compose::up(docker, labelled.run(), variables.into())?;
        let services = Self { compose, _tokens: tokens, labelled, directory };
        let logins = services.registries().map(|(_, address)| address);
        let logins = logins.iter().map(String::as_str).collect::<Vec<_>>();
        certificates::write_docker_config(&services.directory.path().join("docker"), &logins)?;
        Ok(services)
    }

    /// Where the tests find it all. `dockerloader/tests/dockerloader_test.rs` reads these names.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let mut variables = self.labelled.docker.environment();
        let registries = self.registries().map(|(name, address)| (name.to_owned(), address));
        variables.extend(registries);
        let others = [
            ("CONTAINER_TESTS_CA_FILE", path("ca.pem")),
            ("CONTAINER_TESTS_DOCKER_CONFIG", path("docker")),
            ("CONTAINER_TESTS_APP_CONTEXT", path("app")),
            ("CONTAINER_TESTS_LOADER_IMAGE", loader_tag(self.labelled.run())),
            ("CONTAINER_TESTS_LABEL", self.labelled.label.clone()),
        ];
        variables.extend(others.map(|(name, value)| (name.to_owned(), value)));
        variables
    }

    /// What the registries wrote, for the person who looks into a failure.
    pub(crate) fn logs(&self) -> String {
        self.compose.logs()
    }

    /// Each address as a reference has it. The TLS registry has two: the daemon pushes to `localhost`, which it believes
    /// without the authority's certificate; containers pull by a name that has to be proven.
    fn registries(&self) -> [(&'static str, String); 4] {
        let addresses = self.compose.addresses;
        [
            ("CONTAINER_TESTS_PLAIN", addresses.plain.to_string()),
            ("CONTAINER_TESTS_BEARER", addresses.bearer.to_string()),
            ("CONTAINER_TESTS_TLS", format!("{}:{}", certificates::HOST, addresses.tls.port())),
            ("CONTAINER_TESTS_TLS_PUSH", format!("localhost:{}", addresses.tls.port())),
        ]
    }
}

impl Labelled {
    fn run(&self) -> &str {
        self.label.split_once('=').map_or(&self.label, |(_, run)| run)
    }
}

fn loader_tag(run: &str) -> String {
    format!("dockerloader:{run}")
}

/// `cargo xtask services`: holds them until standard input ends, so that they never outlive whoever asked for them.
pub(crate) fn hold() -> Result {
    let services = Services::start()?;
    for (name, value) in services.environment() {
        println!("{name}={value}");
    }
    println!("ready");
    let (sender, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        drop(sender);
    });
    while ended.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
        if interrupt::interrupted() {
            return Err(Failure::new("interrupted"));
        }
    }
    Ok(())
}
