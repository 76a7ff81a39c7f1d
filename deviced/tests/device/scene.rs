//! A device for a test: the real Docker, a registry of the test's own, and the real deviced with its own instance, directory and socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fixtures::engine_proxy::engine_socket;
use fixtures::image::{BuiltImage, Image, Layer};
use fixtures::registry::Registry;
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes longer, on a machine that is busy too.
const PATIENCE: Duration = Duration::from_secs(90);

/// A device. Everything of it is gone when it is dropped.
pub(crate) struct Scene {
    directory: TempDir,
    pub(crate) registry: Registry,
    /// Before each id, so that tests beside each other don't meet.
    pub(crate) prefix: String,
    process: Option<Child>,
    /// The engine's socket.
    engine: PathBuf,
    /// The one that deviced is given.
    reached_by: PathBuf,
}

/// What an application of a test does as process 1: it serves until it is told to end.
pub(crate) const SERVE: &str = "trap 'exit 0' TERM; echo serving; while :; do sleep 60 & wait $!; done";

impl Scene {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = TempDir::with_prefix("deviced-").unwrap();
        let prefix = format!("t{}x{number}-", std::process::id());
        let engine = engine_socket();
        let registry = Registry::start();
        Self { directory, registry, prefix, process: None, reached_by: engine.clone(), engine }
    }

    /// On another engine than that of all tests.
    pub(crate) fn on(mut self, engine: &Path) -> Self {
        self.engine = engine.to_owned();
        self.reached_by = engine.to_owned();
        self
    }

    /// deviced reaches the engine through another socket.
    pub(crate) fn through(mut self, socket: &Path) -> Self {
        self.reached_by = socket.to_owned();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts an image into the registry, whose process 1 is this script for busybox.
    pub(crate) fn push(&self, repository: &str, tag: &str, script: &str) -> String {
        self.registry.put(repository, tag, &self.image(tag, script));
        self.registry.tag(repository, tag).unwrap()
    }

    /// An image with busybox, whose process 1 is a script. That of another scene is another one: what one device does with its images is not the business of those on the same engine.
    pub(crate) fn image(&self, tag: &str, script: &str) -> BuiltImage {
        self.image_builder(tag, script).build()
    }

    /// The same, for those who have more to put into it.
    pub(crate) fn image_builder(&self, tag: &str, script: &str) -> Image {
        let busybox = fs::read("/bin/busybox").expect("busybox-static is installed");
        Image::new()
            .layer(
                Layer::new()
                    .dir("bin", 0o755)
                    .file("bin/busybox", 0o755, &busybox)
                    .symlink("bin/sh", "busybox")
                    .symlink("bin/sleep", "busybox"),
            )
            .layer(Layer::new().dir("tmp", 0o777).file("main.sh", 0o644, script.as_bytes()))
            .entrypoint(&["/bin/sh", "/main.sh"])
            .environment(&["PATH=/bin"])
            .set("Labels", serde_json::json!({"version": tag, "scene": self.prefix}))
    }

    /// A text with `$P` for the prefix of ids, `$R` for the registry's host.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("$P", &self.prefix).replace("$R", &self.registry.host())
    }

    /// Writes the document's file.
    pub(crate) fn write(&self, document: &str) {
        let (path, new) = (self.path("device.yaml"), self.path("device.yaml.new"));
        fs::write(&new, self.fill(document)).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Starts deviced, and waits until its API answers.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_deviced"))
            .arg("run")
            .env("DEVICED_DATA_DIR", self.directory.path())
            .env("DEVICED_SOCKET", self.path("socket"))
            .env("DEVICED_INSTANCE", &self.prefix)
            .env("DOCKER_HOST", format!("unix://{}", self.reached_by.display()))
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        self.until("the API answers", |scene| scene.cli(&["status", "--json"]).status.success());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut child = self.process.take()?;
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        child.wait().unwrap().code()
    }

    /// What deviced wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A command of deviced's own, for this device.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let arguments = arguments.iter().map(|argument| self.fill(argument));
        Command::new(env!("CARGO_BIN_EXE_deviced"))
            .args(arguments)
            .env("DEVICED_SOCKET", self.path("socket"))
            .output()
            .unwrap()
    }

    /// One that has to end with 0; its standard output.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {:?}\n{out}{error}\n{}", output.status, self.log());
        out.into_owned()
    }

    /// `status --json`.
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.done(&["status", "--json"])).unwrap()
    }

    /// What it says of one container, without the prefix.
    pub(crate) fn container(&self, id: &str) -> Value {
        let id = format!("{}{id}", self.prefix);
        let report = self.report();
        let all = ["containers", "strays"].map(|kind| report[kind].as_array().unwrap().clone()).concat();
        all.into_iter().find(|container| container["id"] == id.as_str()).unwrap_or_default()
    }

    /// Whether Docker says that this version runs.
    pub(crate) fn runs(&self, id: &str, digest: &str) -> bool {
        let inspected = self.inspect(id);
        inspected["State"]["Running"] == true && inspected["Config"]["Labels"]["deviced.digest"] == digest
    }

    /// Whether deviced says that this version is the current one.
    pub(crate) fn is_current(&self, id: &str, digest: &str) -> bool {
        self.container(id)["current"]["digest"] == digest
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            let containers =
                self.docker(&["ps", "--all", "--filter", &format!("label=deviced.instance={}", self.prefix)]);
            assert!(
                begin.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}\n{containers}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a container runs this version, and nothing is done about it any more.
    pub(crate) fn settles(&self, id: &str, version: &str) {
        self.until(&format!("{id} settles on {version}"), |scene| {
            let container = scene.container(id);
            let inspected = scene.inspect(id);
            container["status"] == "settled"
                && container["current"]["version"] == version
                && inspected["State"]["Running"] == true
                && inspected["Config"]["Labels"]["deviced.version"] == version
        });
        let count = self.ids(id).len();
        assert_eq!(count, 1, "one container of {id}");
    }

    /// The engine's ids of all containers for one of the document.
    pub(crate) fn ids(&self, id: &str) -> Vec<String> {
        let filters = [
            format!("label=deviced.instance={}", self.prefix),
            format!("label=deviced.id={}{id}", self.prefix),
        ];
        let list = self.docker(&[
            "ps",
            "--all",
            "--quiet",
            "--no-trunc",
            "--filter",
            &filters[0],
            "--filter",
            &filters[1],
        ]);
        list.split_whitespace().map(str::to_owned).collect()
    }

    /// `docker inspect` of the one that has the container's own name.
    pub(crate) fn inspect(&self, id: &str) -> Value {
        self.inspect_named(&format!("{}{id}", self.prefix))
    }

    pub(crate) fn inspect_named(&self, name: &str) -> Value {
        let text = self.docker(&["inspect", "--type", "container", name]);
        serde_json::from_str::<Value>(&text).map(|list| list[0].clone()).unwrap_or_default()
    }

    /// Docker's own command line: what it prints.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let output = self.call_docker(arguments);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn call_docker(&self, arguments: &[&str]) -> Output {
        let host = format!("unix://{}", self.engine.display());
        Command::new("docker").args(["--host", &host]).args(arguments).output().expect("docker is installed")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.kill();
        let filter = format!("label=deviced.instance={}", self.prefix);
        for (list, remove) in [
            (vec!["ps", "--all", "--quiet"], vec!["rm", "--force", "--volumes"]),
            (vec!["network", "ls", "--quiet"], vec!["network", "rm"]),
            (vec!["volume", "ls", "--quiet"], vec!["volume", "rm"]),
        ] {
            let found = self.call_docker(&[list, vec!["--filter", &filter]].concat());
            let found = String::from_utf8_lossy(&found.stdout).into_owned();
            let found: Vec<_> = found.split_whitespace().collect();
            if !found.is_empty() {
                self.call_docker(&[remove, found].concat());
            }
        }
        let images =
            self.call_docker(&["images", "--all", "--digests", "--format", "{{.Repository}}@{{.Digest}}"]);
        let images = String::from_utf8_lossy(&images.stdout).into_owned();
        let host = format!("{}/", self.registry.host());
        for image in images.lines().filter(|image| image.starts_with(&host)) {
            self.call_docker(&["rmi", "--force", image]);
        }
    }
}
