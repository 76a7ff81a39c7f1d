//! The container engine: all that is ever done to it, and what it says. The only place that speaks to Docker.
//!
//! The flow: what is asked -> `version` (which API) and `link` (one connection for each request) -> the engine; its answer -> `list`, `inspect`, `pull`,
//! `lines`, `logs`, `events` (pure). `docker` puts them together.

mod version;

mod failure;

mod link;

mod list;

mod inspect;

mod create;

mod pull;

mod lines;

mod logs;

mod events;

mod streams;

mod docker;

pub use docker::{Deadlines, Docker};

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec::Spec;

/// The engine's name of a container: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

/// The engine's name of an image. What it is the digest of depends on the engine's store; it means nothing elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub String);

impl ContainerId {
    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that deviced does with an engine. Each call has a deadline, after which it is [`Error::Silent`].
pub trait Engine: Send + Sync + 'static {
    /// Requests that have been sent to it.
    fn calls(&self) -> u64;
    /// What it is. Asked at each connection, which also agrees on a version of the API.
    fn facts(&self) -> impl Future<Output = Result<Facts, Error>> + Send;
    /// All containers, running or not, ours or not: one call.
    fn containers(&self) -> impl Future<Output = Result<Vec<Container>, Error>> + Send;
    /// All images: one call.
    fn images(&self) -> impl Future<Output = Result<Vec<Image>, Error>> + Send;
    /// All networks: one call.
    fn networks(&self) -> impl Future<Output = Result<Vec<Network>, Error>> + Send;
    /// All volumes: one call.
    fn volumes(&self) -> impl Future<Output = Result<Vec<Volume>, Error>> + Send;
    /// One container in full.
    fn inspect(&self, id: &ContainerId) -> impl Future<Output = Result<Inspection, Error>> + Send;

    /// Creates a container, attached to all networks that the spec names, and does not start it. One that can't be attached to them is removed again.
    fn create(&self, new: &NewContainer) -> impl Future<Output = Result<Created, Error>> + Send;
    /// Starts it; a running one is left alone.
    fn start(&self, id: &ContainerId) -> impl Future<Output = Result<(), Error>> + Send;
    /// Stops it, with SIGKILL after `grace` (the container's own or the engine's without it); a stopped or missing one is left alone.
    fn stop(
        &self,
        id: &ContainerId,
        grace: Option<Duration>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    /// Renames it; one that has the name already is left alone.
    fn rename(&self, id: &ContainerId, name: &str) -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes it with its anonymous volumes; a missing one is left alone.
    fn remove(&self, id: &ContainerId) -> impl Future<Output = Result<(), Error>> + Send;
    /// Changes the restart policy and resources of a container in place, as `docker update` does. `host_config` holds only what changes.
    fn update(&self, id: &ContainerId, host_config: &Value)
    -> impl Future<Output = Result<(), Error>> + Send;
    /// Executes a command in a running container and waits for its end.
    fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> impl Future<Output = Result<Executed, Error>> + Send;

    /// Pulls what `from` names into the engine, reporting each change. The image's id afterwards.
    fn pull(
        &self,
        from: &Pull,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> impl Future<Output = Result<ImageId, Error>> + Send;
    /// Gives an image one more name.
    fn tag(
        &self,
        image: &ImageId,
        repository: &str,
        tag: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    /// Takes one name of an image away, and its layers if it was the last; a missing one is left alone. Never forced.
    fn remove_image(&self, name: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// Creates a network from the body of `POST /networks/create`.
    fn create_network(&self, name: &str, body: &Value) -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes a network; a missing one is left alone.
    fn remove_network(&self, name: &str) -> impl Future<Output = Result<(), Error>> + Send;
    /// Attaches a container to a network, with the `EndpointConfig` that its spec has for it.
    fn connect(
        &self,
        id: &ContainerId,
        network: &str,
        endpoint: &Value,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    /// Detaches it.
    fn disconnect(&self, id: &ContainerId, network: &str) -> impl Future<Output = Result<(), Error>> + Send;
    /// Creates a volume from the body of `POST /volumes/create`.
    fn create_volume(&self, name: &str, body: &Value) -> impl Future<Output = Result<(), Error>> + Send;

    /// Output of a container, oldest first. It ends with what there is unless `follow`.
    fn logs(&self, id: &ContainerId, what: &LogRequest) -> BoxStream<'static, Result<LogLine, Error>>;
    /// What happens in the engine from the moment of its answer on. It ends with an error when the connection does.
    fn events(&self) -> impl Future<Output = Result<BoxStream<'static, Result<Event, Error>>, Error>> + Send;
}

/// What an engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `Docker Engine - Community`, `Podman Engine`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the API that is spoken.
    pub api: String,
    /// `linux`.
    pub os: String,
    /// As in image indexes: `amd64`.
    pub architecture: String,
    /// Where it keeps images, on the device.
    pub root: Option<String>,
}

/// A container as a list of them has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without the slash.
    pub name: String,
    /// The reference that it was created from.
    pub image: String,
    /// The image.
    pub image_id: ImageId,
    /// What it does.
    pub state: State,
    /// What its health check says, if it has one.
    pub health: Option<Health>,
    /// When it was created, seconds since 1970 by the engine's clock.
    pub created: i64,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// Ports of the device that lead to it, while it runs.
    pub ports: Vec<PublishedPort>,
    /// `bridge`, `host`, `container:ID`, or a network's name.
    pub network_mode: String,
    /// Networks that it is attached to, by name, with its address there.
    pub networks: BTreeMap<String, Address>,
}

/// Where a container can be reached: empty while it does not run, or has no network of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address(pub Option<std::net::IpAddr>);

/// A port of the device that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The address; `None` for all.
    pub address: Option<std::net::IpAddr>,
    /// On the device.
    pub published: u16,
    /// In the container.
    pub target: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has never been started.
    Created,
    /// It runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It has ended, and the engine is about to start it again.
    Restarting,
    /// It has ended.
    Exited,
    /// It is being removed.
    Removing,
    /// It could not be removed whole.
    Dead,
}

impl State {
    /// The engine's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Nothing yet.
    Starting,
    /// Good.
    Healthy,
    /// Bad.
    Unhealthy,
}

/// One container in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The answer of `GET /containers/{id}/json`.
    pub body: Value,
    /// What it does.
    pub state: State,
    /// What its health check says.
    pub health: Option<Health>,
    /// When it was started last, as the engine writes it.
    pub started_at: String,
    /// How its process ended last.
    pub exit_code: i64,
    /// Whether it was killed because memory was short.
    pub out_of_memory: bool,
    /// What the engine says about a start that failed.
    pub error: String,
    /// How often the engine has started it again.
    pub restarts: i64,
}

/// A container that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewContainer {
    /// Its name.
    pub name: String,
    /// The image, by its id.
    pub image: ImageId,
    /// Everything else, namespaces resolved.
    pub spec: Spec,
    /// Labels of ours, besides those of the spec.
    pub labels: BTreeMap<String, String>,
}

/// A container that has been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: ContainerId,
    /// What the engine had to say about it.
    pub warnings: Vec<String>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub code: i64,
    /// The end of what it wrote.
    pub output: String,
}

/// An image as a list of them has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its names: `acme/web:1.4.2`.
    pub tags: Vec<String>,
    /// Its names with digests of manifests or indexes: `acme/web@sha256:...`.
    pub digests: Vec<String>,
    /// Bytes that it takes.
    pub size: u64,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A network as a list of them has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The list's entry.
    pub body: Value,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume as a list of them has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The list's entry.
    pub body: Value,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// What is pulled.
#[derive(Clone)]
pub struct Pull {
    /// `host[:port]/repository`, without tag or digest.
    pub repository: String,
    /// The manifest's or index's digest. Nothing is ever pulled by a tag.
    pub digest: String,
    /// `os/architecture[/variant]`; the engine's without it.
    pub platform: Option<String>,
    /// User and password for the engine to use.
    pub credentials: Option<(String, String)>,
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("repository", &self.repository)
            .field("digest", &self.digest)
            .field("platform", &self.platform)
            .field("credentials", &self.credentials.as_ref().map(|(user, _)| user))
            .finish()
    }
}

/// How far a pull is. Zero where nothing is known yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes that have come.
    pub done: u64,
    /// Bytes in all, as far as they are known.
    pub total: u64,
    /// Layers that are there.
    pub layers_done: u32,
    /// Layers in all, as far as they are known.
    pub layers_total: u32,
}

/// What of a container's output is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// The last so many lines; all of them without it.
    pub tail: Option<u32>,
    /// Seconds since 1970, from which on.
    pub since: Option<i64>,
    /// Goes on with what is written later.
    pub follow: bool,
}

/// A line of output. Bytes that are no UTF-8 are replaced; a line of more than 16 KiB is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written, RFC 3339.
    pub at: String,
    /// Whether it came from standard error.
    pub error: bool,
    /// Without the line's end.
    pub text: String,
}

/// Something that happened in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `container`, `network`, `image`, `volume`, `daemon`.
    pub kind: String,
    /// `die`, `start`, `update`, `rename`, `disconnect`, `destroy` and so on.
    pub action: String,
    /// What it is about: an id or a name.
    pub subject: String,
    /// Labels of a container, and more.
    pub attributes: BTreeMap<String, String>,
}

/// Why the engine did not do what it was asked for. The texts are fit for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no engine at the socket.
    #[error("the engine can't be reached at {at}: {problem}")]
    Away {
        /// The socket.
        at: String,
        /// Why.
        problem: String,
    },
    /// It did not answer in time.
    #[error("the engine did not answer to {call} within {} s", .after.as_secs())]
    Silent {
        /// What was asked.
        call: String,
        /// How long was waited.
        after: Duration,
    },
    /// What was meant isn't there (404).
    #[error("{call}: {message}")]
    Missing {
        /// What was asked.
        call: String,
        /// What the engine says.
        message: String,
    },
    /// It is in another state, or its name or port is taken (409).
    #[error("{call}: {message}")]
    Conflict {
        /// What was asked.
        call: String,
        /// What the engine says.
        message: String,
    },
    /// The engine finds the request wrong (400).
    #[error("{call}: {message}")]
    Refused {
        /// What was asked.
        call: String,
        /// What the engine says.
        message: String,
    },
    /// The disk is full.
    #[error("{call}: no room is left on the engine's disk: {message}")]
    Full {
        /// What was asked.
        call: String,
        /// What the engine says.
        message: String,
    },
    /// Anything else that it says (5xx), also inside a stream that began well.
    #[error("{call}: {message}")]
    Failed {
        /// What was asked.
        call: String,
        /// What the engine says.
        message: String,
    },
    /// Its answer can't be understood.
    #[error("the engine's answer to {call} can't be understood: {problem}")]
    Answer {
        /// What was asked.
        call: String,
        /// Why.
        problem: String,
    },
}

impl Error {
    /// Whether it says something about the engine rather than about what was asked: nobody's version is to blame.
    pub const fn is_about_engine(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Silent { .. } | Self::Full { .. } | Self::Answer { .. })
    }
}
