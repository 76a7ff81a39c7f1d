//! An API that answers what a test wants, on a Unix socket, and the binary that asks it.
#![expect(clippy::disallowed_methods, reason = "the test runs the binary")]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Method, path and query: `GET /v1/status`.
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Answers the first request with this line that has not been answered `times` times, and those after it in the order of the list.
#[derive(Debug, Clone)]
struct Rule {
    line: String,
    times: usize,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// The API. Dropped, it ends.
pub(crate) struct Api {
    directory: tempfile::TempDir,
    rules: Arc<Mutex<Vec<Rule>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    _stop: oneshot::Sender<()>,
}

/// How the binary ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Api {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let rules: Arc<Mutex<Vec<Rule>>> = Arc::default();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (stop, stopped) = oneshot::channel();
        let (rules_of, asked_of) = (Arc::clone(&rules), Arc::clone(&asked));
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let router = Router::new().fallback(move |request: Request| {
                    let (rules, asked) = (Arc::clone(&rules_of), Arc::clone(&asked_of));
                    async move { answer(request, &rules, &asked).await }
                });
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { directory, rules, asked, _stop: stop }
    }

    /// Answers this line with a body, always.
    pub(crate) fn on(&self, line: &str, body: &Value) -> &Self {
        self.answer(line, usize::MAX, 200, &[], &body.to_string())
    }

    /// Answers this line with a body once; what is said later about it counts after that.
    pub(crate) fn once(&self, line: &str, body: &Value) -> &Self {
        self.answer(line, 1, 200, &[], &body.to_string())
    }

    /// Answers this line with a problem of this kind.
    pub(crate) fn problem(&self, line: &str, status: u16, kind: &str, detail: &str) -> &Self {
        let body = json!({"type": format!("/problems/{kind}"), "status": status, "detail": detail});
        self.answer(line, usize::MAX, status, &[], &body.to_string())
    }

    pub(crate) fn answer(
        &self,
        line: &str,
        times: usize,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> &Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let rule = Rule { line: line.to_owned(), times, status, headers, body: body.to_owned() };
        self.rules.lock().unwrap().push(rule);
        self
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked with this line.
    pub(crate) fn asked_for(&self, line: &str) -> Asked {
        let asked = self.asked();
        let found = asked.iter().find(|asked| asked.line == line).cloned();
        found.unwrap_or_else(|| panic!("{line} was not asked for, but {asked:?}"))
    }

    /// The binary with these arguments, to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    /// With something on its standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deviced"));
        command.args(arguments).env_clear().env("TZ", "UTC");
        command.env("DEVICED_SOCKET", self.directory.path().join("socket"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A file with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

async fn answer(request: Request, rules: &Mutex<Vec<Rule>>, asked: &Mutex<Vec<Asked>>) -> Response {
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri);
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    asked.lock().unwrap().push(Asked { line: line.clone(), headers, body });
    let mut rules = rules.lock().unwrap();
    let Some(rule) = rules.iter_mut().find(|rule| rule.line == line && rule.times > 0) else {
        let detail = json!({"status": 404, "detail": format!("the test has no answer for {line}")});
        return (StatusCode::NOT_FOUND, detail.to_string()).into_response();
    };
    rule.times -= 1;
    let mut response = (StatusCode::from_u16(rule.status).unwrap(), rule.body.clone()).into_response();
    for (name, value) in &rule.headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

/// A container as the API reports it.
pub(crate) fn container(id: &str, status: &str, version: &str, why: &str) -> Value {
    let version = json!({"version": version, "digest": format!("sha256:{}", "a".repeat(64)), "repository": "r.example/acme"});
    json!({
        "id": id, "image": format!("acme/{id}"), "status": status, "why": why, "wanted": version, "current": version,
        "container": "0123456789ab", "state": "running", "restarts": 0, "drift": [], "ports": [], "mounts": [],
        "devices": [], "protected": false, "overrides": [], "passedOver": [], "kept": [],
    })
}

/// A device as the API reports it.
pub(crate) fn report(revision: u64, passes: u64, containers: &[Value]) -> Value {
    json!({
        "version": "0.1.0", "device": "shop-17", "at": 1_795_678_200,
        "engine": {"up": true, "name": "Docker Engine - Community 20.10.24", "api": "1.41", "since": 1_795_678_000},
        "document": {"revision": revision, "etag": format!("\"r{revision}\""), "file": "/data/deviced/device.yaml"},
        "containers": containers, "strays": [], "registries": [], "images": [],
        "pass": {"count": passes, "tookMs": 1.0, "calls": 4, "at": 1_795_678_200},
    })
}

/// An operation as the API reports it.
pub(crate) fn operation(id: &str, container: &str, state: &str, stage: &str, text: &str) -> Value {
    json!({
        "id": id, "container": container, "kind": "swap", "who": "socket:0", "state": state, "stage": stage, "text": text,
        "began": 1_795_678_200,
    })
}
