//! A real engine with an image, and things that are removed again whatever happens.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use deviced::document::run::Run;
use deviced::engine::{ContainerId, Created, Deadlines, Docker, Engine as _, ImageId, NewContainer};
use deviced::labels;
use deviced::spec::{self, Environment, Names, Spec};
use fixtures::engine_proxy::engine_socket;
use fixtures::image::Layer;
use serde_json::Value;

/// An engine, and what one test has made in it.
pub(crate) struct Ground {
    pub(crate) engine: Docker,
    pub(crate) socket: PathBuf,
    /// All names of this test begin with it.
    pub(crate) prefix: String,
    pub(crate) image: ImageId,
}

impl Ground {
    /// Docker.
    pub(crate) fn docker(test: &str) -> Self {
        Self::new(engine_socket(), test)
    }

    /// The engine at this socket.
    pub(crate) fn new(socket: PathBuf, test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("dt{}-{count}-{test}", std::process::id());
        let engine = Docker::new(socket.clone(), Deadlines::default());
        let mut ground = Self { engine, socket, prefix, image: ImageId(String::new()) };
        ground.image = ground.import(&ground.name("image"), &[]);
        ground
    }

    /// A name of this test's own.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// An image with a static shell, and changes to its config as a Dockerfile has them.
    pub(crate) fn import(&self, name: &str, changes: &[&str]) -> ImageId {
        let busybox =
            std::fs::read("/bin/busybox").expect("a static busybox: apt-get install busybox-static");
        let layer = ["sh", "sleep", "true", "echo", "cat", "wget", "nc", "printf", "seq", "env"]
            .into_iter()
            .fold(Layer::new().file("bin/busybox", 0o755, &busybox).dir("tmp", 0o1777), |layer, program| {
                layer.symlink(&format!("bin/{program}"), "busybox")
            });
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        let arguments: Vec<_> = ["import"].into_iter().chain(changes).chain(["-", name]).collect();
        let id = self.run_with(&arguments, &layer.into_tar());
        // Podman says it twice.
        let id = id.split_whitespace().last().expect("an id");
        ImageId(if id.contains(':') { id.to_owned() } else { format!("sha256:{id}") })
    }

    /// Docker's own client, on this engine: what it sees is what is there.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> String {
        run(&self.socket, arguments, input)
            .unwrap_or_else(|problem| panic!("docker {arguments:?}: {problem}"))
    }

    /// What the engine's own client says about a container.
    pub(crate) fn seen(&self, id: &ContainerId) -> Value {
        let text = self.cli(&["inspect", "--type", "container", &id.0]);
        serde_json::from_str::<Value>(&text).expect("JSON")[0].take()
    }

    /// The spec of a `run` in the document's words. Networks and volumes get names of this test's own.
    pub(crate) fn spec(&self, run: Value) -> Spec {
        let run: Run = serde_json::from_value(run).expect("a run");
        let own = |name: &String| (name.clone(), self.name(name));
        let names = Names {
            id: "web".to_owned(),
            networks: run.networks.0.keys().filter(|name| *name != "default").map(own).collect(),
            volumes: run.volumes.iter().filter_map(|volume| volume.source.as_ref()).map(own).collect(),
        };
        spec::build(&run, &names, &Environment::default()).expect("a spec")
    }

    /// Creates a container, with labels as deviced sets them.
    pub(crate) async fn create(&self, name: &str, spec: &Spec) -> Created {
        self.engine
            .create(&self.new_container(name, spec))
            .await
            .unwrap_or_else(|problem| panic!("{name}: {problem}"))
    }

    pub(crate) fn new_container(&self, name: &str, spec: &Spec) -> NewContainer {
        let labels = [
            (labels::ID, "web".to_owned()),
            (labels::SPEC, spec.hash().0),
            ("deviced.test", self.prefix.clone()),
        ];
        NewContainer {
            name: self.name(name),
            image: self.image.clone(),
            spec: spec.clone(),
            labels: labels
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    /// A container that runs for ever.
    pub(crate) async fn running(&self, name: &str, run: Value) -> ContainerId {
        let mut run = run;
        run["command"] = "sleep 1000".into();
        run["init"] = true.into();
        let id = self.create(name, &self.spec(run)).await.id;
        self.engine.start(&id).await.expect("it starts");
        id
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let lines = |arguments: &[&str]| run(&self.socket, arguments, b"").unwrap_or_default();
        let remove = |what: &str, listed: String| {
            let mut names: Vec<_> = listed.lines().filter(|name| name.starts_with(&self.prefix)).collect();
            // Containers that share what others have come first.
            names.reverse();
            for name in names {
                let arguments: &[&str] = match what {
                    "container" => &["container", "rm", "-f", "-v", name],
                    "image" => &["image", "rm", "-f", name],
                    what => &[what, "rm", name],
                };
                if let Err(problem) = run(&self.socket, arguments, b"") {
                    eprintln!("{what} {name} is left behind: {problem}");
                }
            }
        };
        remove("container", lines(&["ps", "-a", "--format", "{{.Names}}"]));
        remove("network", lines(&["network", "ls", "--format", "{{.Name}}"]));
        remove("volume", lines(&["volume", "ls", "--format", "{{.Name}}"]));
        let images = lines(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        // Podman calls an image without a registry so.
        let own = images
            .lines()
            .map(|name| name.trim_start_matches("localhost/").trim_start_matches("docker.io/library/"));
        remove("image", own.collect::<Vec<_>>().join("\n"));
    }
}

#[expect(clippy::disallowed_methods, reason = "tests look at an engine with its own client")]
fn run(socket: &Path, arguments: &[&str], input: &[u8]) -> Result<String, String> {
    let mut child = Command::new("docker")
        .arg("-H")
        .arg(format!("unix://{}", socket.display()))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|problem| problem.to_string())?;
    // Who refuses a request does not read all of it, and says why.
    let _ = child.stdin.take().expect("standard input").write_all(input);
    let output = child.wait_with_output().map_err(|problem| problem.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
