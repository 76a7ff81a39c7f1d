//! A device whose manager keeps documents and notes actions, and does nothing more.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deviced::api::{self, Listeners, Token};
use deviced::choose::Offer;
use deviced::desired::Target;
use deviced::document::Document;
use deviced::engine::{ContainerId, Error as EngineError, LogLine, LogRequest, Progress};
use deviced::history::{History, Operation, OperationState, Override, Verdict, Version};
use deviced::manager::{Accepted, Action, Handle, Refusal, Request};
use deviced::metrics::Metrics;
use deviced::report::{
    ContainerReport, DocumentReport, DriftReport, EngineReport, ImageReport, PassReport, PassedOverReport,
    PlanReport, PlannedReport, RegistryReport, Report, VersionReport,
};
use deviced::spec::Spec;
use deviced::swap::{Cause, Failure, Reason};
use dockerloader::digest::Digest;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use serde_json::json;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::client::{Answer, Client};

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A document that is taken.
pub(crate) const DOCUMENT: &str =
    "apiVersion: deviced/v1\ncontainers:\n- id: web\n  image: acme/web\n  versions: ['1.4']\n";

/// A device with an API.
pub(crate) struct Device {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) history: History,
    pub(crate) metrics: Metrics,
    pub(crate) address: SocketAddr,
    pub(crate) world: Arc<World>,
    report: watch::Sender<Arc<Report>>,
    shutdown: Option<oneshot::Sender<()>>,
    pub(crate) serving: Option<JoinHandle<()>>,
}

/// What happens outside of the API.
pub(crate) struct World {
    /// Actions that were accepted.
    pub(crate) acted: Mutex<Vec<(String, Action)>>,
    /// What the container has written.
    pub(crate) written: Mutex<Vec<LogLine>>,
    /// What it writes.
    pub(crate) writing: broadcast::Sender<LogLine>,
    /// How long an action takes.
    pub(crate) slowness: Mutex<Duration>,
    /// What the engine says to whoever wants output.
    pub(crate) engine: Mutex<Option<EngineError>>,
}

pub(crate) fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

impl Device {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (history, said) = History::open(&directory.path().join("history")).unwrap();
        assert_eq!(said, None);
        Self::with(directory, history).await
    }

    /// One that remembers in memory, where much is to be remembered.
    pub(crate) async fn in_memory() -> Self {
        Self::with(tempfile::tempdir().unwrap(), History::in_memory().unwrap()).await
    }

    async fn with(directory: tempfile::TempDir, history: History) -> Self {
        let listeners = Listeners::none()
            .with_socket(&directory.path().join("deviced.sock"))
            .await
            .unwrap()
            .with_address("127.0.0.1:0".parse().unwrap(), Token::new(TOKEN))
            .await
            .unwrap();
        let address = listeners.address().unwrap();
        let world = Arc::new(World {
            acted: Mutex::default(),
            written: Mutex::default(),
            writing: broadcast::Sender::new(1000),
            slowness: Mutex::default(),
            engine: Mutex::default(),
        });
        let (requests, received) = mpsc::channel(16);
        let (report, reports) = watch::channel(Arc::new(report()));
        let handle = Handle::new(requests, reports, {
            let world = Arc::clone(&world);
            Arc::new(move |id: &ContainerId, what: &LogRequest| world.logs(id, what))
        });
        tokio::spawn(manage(received, history.clone(), Arc::clone(&world)));
        let (shutdown, stop) = oneshot::channel::<()>();
        let metrics = Metrics::default();
        let served = api::serve(listeners, handle, history.clone(), metrics.clone(), async {
            let _ = stop.await;
        });
        let serving = Some(tokio::spawn(served));
        Self { directory, history, metrics, address, world, report, shutdown: Some(shutdown), serving }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("deviced.sock")
    }

    /// A connection to the socket.
    pub(crate) async fn client(&self) -> Client {
        Client::over(UnixStream::connect(self.socket()).await.unwrap())
    }

    /// A connection over TCP.
    pub(crate) async fn over_tcp(&self) -> Client {
        Client::over(TcpStream::connect(self.address).await.unwrap())
    }

    /// One request over the socket.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.client().await.ask(method, path, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"").await
    }

    /// Changes what is told.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut Report)) {
        self.report.send_modify(|report| change(Arc::make_mut(report)));
    }

    /// All that requests could change.
    pub(crate) fn state(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            self.history.revisions(100).unwrap(),
            self.history.overrides().unwrap(),
            self.history.verdicts().unwrap(),
            self.history.audits(0, 1000).unwrap(),
            self.world.acted.lock().unwrap(),
        )
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.shutdown.take().unwrap().send(());
    }

    /// Something in each table of the history.
    pub(crate) fn fill(&self) {
        let history = &self.history;
        history.add_revision(DOCUMENT, "file").unwrap();
        let target = Target {
            digest: digest(1),
            version: "1.4".to_owned(),
            repository: "registry.example/acme/web".to_owned(),
            image: None,
            spec: serde_json::from_value::<Spec>(json!({"Env": ["SECRET=hidden"]})).unwrap(),
        };
        let version = Version {
            id: 0,
            container: "web".to_owned(),
            target,
            revision: 1,
            operation: "ended".to_owned(),
            cause: Cause::Version,
            who: "deviced".to_owned(),
            began: 1,
            ended: None,
            failure: None,
            took: Duration::from_secs(3),
            probation: Duration::from_secs(600),
            crashes: 0,
        };
        history.commit_version(&version).unwrap();
        let failure = Failure { reason: Reason::App, text: "it ended with 1".to_owned() };
        let pinned =
            history.commit_version(&Version { failure: Some(failure.clone()), ..version.clone() }).unwrap();
        history
            .set_override(
                "web",
                &Override { pinned: Some(pinned), tag: Some("1.5".to_owned()), ..Override::default() },
            )
            .unwrap();
        history
            .judge(&Verdict {
                container: "web".to_owned(),
                digest: digest(2),
                version: "1.5".to_owned(),
                spec: version.target.spec.hash(),
                failure,
                at: 1,
                attempts: 1,
                log: vec!["panic".to_owned()],
            })
            .unwrap();
        history.set_offers("web", &[] as &[Offer]).unwrap();
        for id in ["running", "ended"] {
            history.begin(&operation(id)).unwrap();
        }
        let bytes = Progress { done: 1, total: 2, layers_done: 0, layers_total: 1 };
        history.progress("running", "pull", "1 of 2 bytes", Some(bytes)).unwrap();
        history.end("ended", OperationState::Failed, "it was rolled back").unwrap();
        history.keep_log("ended", &["panic".to_owned()]).unwrap();
        history.happen("commit", Some("web"), "1.4 has proven itself").unwrap();
        history.happen("engine", None, "the engine is away").unwrap();
    }
}

pub(crate) fn operation(id: &str) -> Operation {
    Operation {
        id: id.to_owned(),
        container: Some("web".to_owned()),
        kind: "swap".to_owned(),
        who: "deviced".to_owned(),
        state: OperationState::Running,
        stage: "create".to_owned(),
        text: "the new container is created".to_owned(),
        progress: None,
        began: 1,
        ended: None,
    }
}

impl World {
    fn logs(&self, id: &ContainerId, what: &LogRequest) -> BoxStream<'static, Result<LogLine, EngineError>> {
        assert_eq!(id.0, "c".repeat(64));
        if let Some(error) = self.engine.lock().unwrap().clone() {
            return stream::iter([Err(error)]).boxed();
        }
        let receiver = self.writing.subscribe();
        let written = self.written.lock().unwrap();
        let since = what.since.unwrap_or(0);
        let mut lines: Vec<LogLine> = written
            .iter()
            .filter(|line| line.at.parse::<jiff::Timestamp>().unwrap().as_second() >= since)
            .cloned()
            .collect();
        if let Some(tail) = what.tail {
            lines.drain(..lines.len().saturating_sub(tail as usize));
        }
        let lines = stream::iter(lines.into_iter().map(Ok));
        if !what.follow {
            return lines.boxed();
        }
        let later = stream::unfold(receiver, |mut receiver| async {
            Some((Ok(receiver.recv().await.ok()?), receiver))
        });
        lines.chain(later).boxed()
    }

    /// The container writes a line.
    pub(crate) fn write(&self, at: &str, text: &str) {
        let line = LogLine { at: at.to_owned(), error: false, text: text.to_owned() };
        let mut written = self.written.lock().unwrap();
        written.push(line.clone());
        let _ = self.writing.send(line);
    }
}

/// The manager: one request after the other.
async fn manage(mut received: mpsc::Receiver<Request>, history: History, world: Arc<World>) {
    while let Some(request) = received.recv().await {
        match request {
            Request::Put { text, based_on, may_remove_all, who, answer } => {
                let _ = answer.send(put(&history, &text, based_on, may_remove_all, &who));
            }
            Request::Plan { text, answer } => {
                let read = text.map(|text| Document::read(&text).map_err(Refusal::Document)).transpose();
                let _ = answer.send(read.map(|_| plan()));
            }
            Request::Try { container, action, answer } => {
                let _ = answer.send(judge(&container, &action).map(|_| plan()));
            }
            Request::Act { container, action, who: _, answer } => {
                let slowness = *world.slowness.lock().unwrap();
                tokio::time::sleep(slowness).await;
                let accepted = judge(&container, &action);
                if accepted.is_ok() {
                    if let Action::Forget(digest) = &action {
                        history.forget(&container, Some(&digest.parse().unwrap())).unwrap();
                    }
                    world.acted.lock().unwrap().push((container, action));
                }
                let _ = answer.send(accepted);
            }
        }
    }
}

fn put(
    history: &History,
    text: &str,
    based_on: Option<u64>,
    may_remove_all: bool,
    who: &str,
) -> Result<u64, Refusal> {
    let document = Document::read(text).map_err(Refusal::Document)?;
    let found = history.revision_in_force().unwrap();
    if let Some(expected) = based_on.filter(|expected| *expected != found) {
        return Err(Refusal::Stale { expected, found });
    }
    if document.containers.is_empty() && !may_remove_all {
        return Err(Refusal::RemovesAll { count: 2 });
    }
    Ok(history.add_revision(text, who).unwrap())
}

fn judge(container: &str, action: &Action) -> Result<Accepted, Refusal> {
    match (container, action) {
        ("web", Action::Update | Action::Rollback(None | Some(1))) => {
            Ok(Accepted { operation: Some("running".to_owned()) })
        }
        ("web", Action::Rollback(_)) => {
            Err(Refusal::NoVersion("web has no version 9 in its history".to_owned()))
        }
        ("web", Action::Arguments(Some(patch))) if patch.get("portz").is_some() => {
            Err(Refusal::Wrong("run has no portz; did you mean ports?".to_owned()))
        }
        ("web" | "stray", _) => Ok(Accepted { operation: None }),
        ("safe", Action::Stop | Action::Restart | Action::Remove) => {
            Err(Refusal::Protected { container: "safe".to_owned(), action: "stopped" })
        }
        ("safe", Action::Update) => {
            Err(Refusal::Busy { container: "safe".to_owned(), operation: "running".to_owned() })
        }
        ("safe", Action::Start) => Err(Refusal::Engine(EngineError::Silent {
            call: "start".to_owned(),
            after: Duration::from_secs(10),
        })),
        ("safe", Action::Resume) => {
            Err(Refusal::Engine(EngineError::Failed { call: "start".to_owned(), message: "no".to_owned() }))
        }
        ("safe", Action::Pause) => Err(Refusal::Storage("the disk is full".to_owned())),
        ("safe", _) => Ok(Accepted { operation: None }),
        _ => Err(Refusal::Unknown { container: container.to_owned(), near: None }),
    }
}

fn plan() -> PlanReport {
    PlanReport {
        revision: 0,
        changes: true,
        resources: vec!["create network front".to_owned()],
        containers: vec![PlannedReport {
            id: "web".to_owned(),
            action: "replace".to_owned(),
            why: "another version".to_owned(),
            from: Some("1.4".to_owned()),
            to: Some("1.5".to_owned()),
            drift: vec![DriftReport {
                field: "version".to_owned(),
                wanted: Some("1.5".to_owned()),
                found: None,
            }],
        }],
    }
}

fn report() -> Report {
    let version = |tag: &str| VersionReport {
        version: tag.to_owned(),
        digest: digest(1).to_string(),
        repository: "registry.example/acme/web".to_owned(),
        id: Some(1),
    };
    let web = ContainerReport {
        id: "web".to_owned(),
        image: "acme/web".to_owned(),
        status: "acting".to_owned(),
        why: "1.5 comes".to_owned(),
        wanted: Some(version("1.5")),
        current: Some(version("1.4")),
        container: Some("c".repeat(64)),
        state: "running".to_owned(),
        health: Some("healthy".to_owned()),
        started: Some("2026-11-26T07:00:00Z".to_owned()),
        drift: vec![DriftReport { field: "ports".to_owned(), wanted: None, found: Some("80".to_owned()) }],
        ports: vec!["127.0.0.1:8080->80/tcp".to_owned()],
        mounts: vec!["data:/data".to_owned()],
        devices: vec!["/dev/ttyUSB0".to_owned()],
        overrides: vec!["tag 1.5".to_owned()],
        next_look: Some(60),
        operation: Some("running".to_owned()),
        progress: Some((1, 2)),
        passed_over: vec![PassedOverReport {
            version: "1.6".to_owned(),
            digest: None,
            why: "too young".to_owned(),
        }],
        kept: vec![version("1.3")],
        labels: [("place".to_owned(), "roof".to_owned())].into(),
        ..ContainerReport::default()
    };
    let safe = ContainerReport {
        id: "safe".to_owned(),
        protected: true,
        exit_code: Some(1),
        ..ContainerReport::default()
    };
    let stray = ContainerReport { id: "stray".to_owned(), ..ContainerReport::default() };
    Report {
        version: "0.1.0".to_owned(),
        device: Some("roof".to_owned()),
        at: 1,
        engine: EngineReport { up: true, problem: Some("slow".to_owned()), ..EngineReport::default() },
        document: DocumentReport {
            revision: 1,
            problem: Some("line 3".to_owned()),
            ..DocumentReport::default()
        },
        containers: vec![web, safe],
        strays: vec![stray],
        registries: vec![RegistryReport {
            url: "https://registry.example".to_owned(),
            up: true,
            latency_ms: Some(1.5),
            problem: Some("429".to_owned()),
            pause: Some(60),
            ..RegistryReport::default()
        }],
        images: vec![ImageReport {
            reference: "acme/web:1.4".to_owned(),
            digest: Some(digest(1).to_string()),
            kept: Some("runs".to_owned()),
            ..ImageReport::default()
        }],
        pass: PassReport { count: 1, ..PassReport::default() },
    }
}
