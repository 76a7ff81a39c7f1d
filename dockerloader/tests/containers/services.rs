//! The registries and images that the tests use: those that `cargo xtask test` gives by environment, else those that
//! `cargo xtask services` brings up for this process.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

pub(super) struct Services {
    pub(super) docker_host: Option<String>,
    pub(super) plain: String,
    pub(super) bearer: String,
    /// The name by which a container reaches the TLS registry.
    pub(super) tls: String,
    /// The name by which the daemon does.
    pub(super) tls_push: String,
    pub(super) ca_file: PathBuf,
    pub(super) docker_config: PathBuf,
    pub(super) app_context: PathBuf,
    pub(super) loader_image: String,
    pub(super) label: String,
    /// `cargo xtask services`: it ends when its standard input does, with this process, however that ends.
    _held: Option<Child>,
}

pub(super) fn services() -> &'static Services {
    static SERVICES: OnceLock<Services> = OnceLock::new();
    SERVICES.get_or_init(|| {
        if std::env::var_os("CONTAINER_TESTS_LABEL").is_some() {
            return Services::read(&|name| std::env::var(name).ok(), None);
        }
        let (variables, held) = start();
        Services::read(&|name| variables.get(name).cloned(), Some(held))
    })
}

impl Services {
    fn read(get: &dyn Fn(&str) -> Option<String>, held: Option<Child>) -> Self {
        let need =
            |name: &str| get(name).unwrap_or_else(|| panic!("`cargo xtask services` didn't give {name}"));
        Self {
            docker_host: get("DOCKER_HOST"),
            plain: need("CONTAINER_TESTS_PLAIN"),
            bearer: need("CONTAINER_TESTS_BEARER"),
            tls: need("CONTAINER_TESTS_TLS"),
            tls_push: need("CONTAINER_TESTS_TLS_PUSH"),
            ca_file: need("CONTAINER_TESTS_CA_FILE").into(),
            docker_config: need("CONTAINER_TESTS_DOCKER_CONFIG").into(),
            app_context: need("CONTAINER_TESTS_APP_CONTEXT").into(),
            loader_image: need("CONTAINER_TESTS_LOADER_IMAGE"),
            label: need("CONTAINER_TESTS_LABEL"),
            _held: held,
        }
    }
}

fn start() -> (BTreeMap<String, String>, Child) {
    let mut child = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "xtask", "--", "services"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let lines = lines.map_while(Result::ok).take_while(|line| line != "ready");
    let variables = lines
        .filter_map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<BTreeMap<_, _>>();
    assert!(
        variables.contains_key("CONTAINER_TESTS_LABEL"),
        "`cargo xtask services` failed, see above; `cargo xtask test` installs what is missing"
    );
    (variables, child)
}
