//! The trait on Docker's API, which Podman speaks as well.
//!
//! Commands go through bollard. What carries a spec, and what is read, does not: bollard's types leave members of a create call out, and refuse a whole
//! list for one word that they don't know.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bollard::BollardRequest;
use bollard::models::{ExecConfig, NetworkDisconnectRequest};
use bollard::query_parameters::{
    RemoveContainerOptions, RenameContainerOptions, StartContainerOptions, StopContainerOptions,
    TagImageOptions,
};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use hyper::Method;
use serde_json::{Value, json};

use super::link::{Link, encoded, request};
use super::logs::Demux;
use super::pull::Layers;
use super::{
    Container, ContainerId, Created, Engine, Error, Event, Executed, Facts, Image, ImageId, Inspection,
    LogLine, LogRequest, Network, NewContainer, Progress, Pull, Volume, create, failure, inspect, list,
    streams,
};

/// How long each kind of call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Lists, inspections and small changes.
    pub list: Duration,
    /// Creating and starting a container, which may wait for volumes and networks.
    pub change: Duration,
    /// Stopping one, beyond its grace.
    pub stop: Duration,
    /// Silence while something is pulled.
    pub pull: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            list: Duration::from_secs(10),
            change: Duration::from_secs(60),
            stop: Duration::from_secs(10),
            pull: Duration::from_secs(120),
        }
    }
}

/// What the engine does without anybody's wish: ten seconds from the signal to SIGKILL.
const GRACE: u64 = 10;

/// A Docker daemon, or what speaks like one.
#[derive(Debug, Clone)]
pub struct Docker {
    link: Arc<Link>,
    deadlines: Deadlines,
}

impl Docker {
    /// The engine at this socket. Nothing is asked yet: a connection is made for each request, and the version of the API is agreed on before the first
    /// one, after the engine was away, and when another one answers in its place.
    pub fn new(socket: PathBuf, deadlines: Deadlines) -> Self {
        Self { link: Arc::new(Link::new(socket)), deadlines }
    }

    /// Bollard, on our way to the engine: it has no deadlines there, no versions and no connections of its own.
    fn client(&self, call: &str) -> Result<bollard::Docker, Error> {
        const NEVER: u64 = 1 << 32;
        let link = Arc::clone(&self.link);
        let transport = move |request: BollardRequest| {
            let link = Arc::clone(&link);
            async move { link.send(request).await.map_err(failure::carried) }
        };
        bollard::Docker::connect_with_custom_transport(
            transport,
            Some("http://engine"),
            NEVER,
            bollard::API_DEFAULT_VERSION,
        )
        .map_err(|error| failure::of_client(call, error))
    }

    /// Something that bollard does.
    async fn command<T, F>(
        &self,
        call: &str,
        deadline: Duration,
        work: impl Fn(bollard::Docker) -> F + Send + Sync,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, bollard::errors::Error>> + Send,
    {
        let client = self.client(call)?;
        let work = || {
            let done = work(client.clone());
            async { done.await.map_err(|error| failure::of_client(call, error)) }
        };
        self.link.within(call, deadline, work).await
    }

    /// Something whose body and answer are JSON as the engine has it.
    async fn json(
        &self,
        call: &str,
        deadline: Duration,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        self.link.within(call, deadline, || self.link.value(call, method.clone(), path, body)).await
    }

    /// Something whose body is JSON as the engine has it, and whose answer says nothing.
    async fn done(&self, call: &str, deadline: Duration, path: &str, body: &Value) -> Result<(), Error> {
        self.link.within(call, deadline, || self.link.done(call, Method::POST, path, body)).await
    }

    async fn list(&self, what: &str, path: &str) -> Result<Value, Error> {
        self.json(&format!("list of {what}"), self.deadlines.list, Method::GET, path, None).await
    }

    async fn grace(&self, id: &ContainerId, grace: Option<Duration>) -> Result<Duration, Error> {
        if let Some(grace) = grace {
            return Ok(grace);
        }
        let own = self.inspect(id).await?.body.pointer("/Config/StopTimeout").and_then(Value::as_u64);
        Ok(Duration::from_secs(own.unwrap_or(GRACE)))
    }

    /// Engines look for networks when a container is started: that is too late.
    async fn has_networks(&self, call: &str, new: &NewContainer) -> Result<(), Error> {
        let endpoints = new.spec.get("/NetworkingConfig/EndpointsConfig").and_then(Value::as_object);
        let Some(wanted) = endpoints.filter(|endpoints| !endpoints.is_empty()) else { return Ok(()) };
        let networks = self.networks().await?;
        let is_missing =
            |name: &&String| !networks.iter().any(|network| network.name == **name || network.id == **name);
        match wanted.keys().find(is_missing) {
            Some(name) => {
                Err(Error::Missing { call: call.to_owned(), message: format!("there is no network {name}") })
            }
            None => Ok(()),
        }
    }

    /// Whether a container is attached to a network.
    async fn is_attached(&self, id: &ContainerId, network: &str) -> Result<bool, Error> {
        let body = self.inspect(id).await?.body;
        let mut networks =
            body.pointer("/NetworkSettings/Networks").and_then(Value::as_object).into_iter().flatten();
        Ok(networks.any(|(name, endpoint)| {
            name == network || endpoint.get("NetworkID").and_then(Value::as_str) == Some(network)
        }))
    }

    /// How an executed command has ended. Its output may end before that is known.
    async fn exit_code(&self, call: &str, id: &str) -> Result<i64, Error> {
        const LOOK_AGAIN: Duration = Duration::from_millis(20);
        loop {
            let client = |docker: bollard::Docker| async move { docker.inspect_exec(id).await };
            let seen = self.command(call, self.deadlines.list, client).await?;
            match (seen.running, seen.exit_code) {
                (Some(false), Some(code)) => return Ok(code),
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    async fn executed(&self, call: &str, id: &ContainerId, command: &[String]) -> Result<Executed, Error> {
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let create = |docker: bollard::Docker| {
            let config = config.clone();
            async move { docker.create_exec(&id.0, config).await }
        };
        let exec = self.command(call, self.deadlines.list, create).await?.id;
        let body = json!({"Detach": false, "Tty": false});
        let start = request(call, Method::POST, &format!("/exec/{exec}/start"), Some(&body))?;
        let mut body = self.link.stream(call, start).await?;
        let (mut demux, mut output) = (Demux::frames(), Tail::default());
        while let Some(piece) = self.link.piece(call, &mut body, None).await? {
            output.extend(demux.push(&piece).map_err(|problem| failure::answer(call, problem))?);
        }
        output.extend(demux.end());
        Ok(Executed { code: self.exit_code(call, &exec).await?, output: output.text })
    }

    async fn create_named(&self, what: &str, path: &str, name: &str, body: Value) -> Result<(), Error> {
        let call = format!("creation of {what} {name}");
        self.done(&call, self.deadlines.change, path, &body).await
    }

    async fn pulled(
        &self,
        call: &str,
        from: &Pull,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), Error> {
        let mut path =
            format!("/images/create?fromImage={}&tag={}", encoded(&from.repository), encoded(&from.digest));
        if let Some(platform) = &from.platform {
            path.push_str("&platform=");
            path.push_str(&encoded(platform));
        }
        let credentials = from.credentials.as_ref().map(|(user, password)| {
            let host = from.repository.split('/').next().unwrap_or_default();
            URL_SAFE
                .encode(json!({"username": user, "password": password, "serveraddress": host}).to_string())
        });
        let open = || async {
            let mut request = request(call, Method::POST, &path, None)?;
            if let Some(credentials) = &credentials {
                let mut value = hyper::header::HeaderValue::from_str(credentials)
                    .map_err(|problem| failure::answer(call, problem))?;
                value.set_sensitive(true);
                request.headers_mut().insert("X-Registry-Auth", value);
            }
            self.link.stream(call, request).await
        };
        let mut body = self.link.within(call, self.deadlines.pull, open).await?;
        let (mut lines, mut layers) = (super::lines::Lines::default(), Layers::default());
        let not_json = |problem: String| failure::answer(call, problem);
        let mut take = |values: Vec<Value>| -> Result<(), Error> {
            for value in values {
                if let Some(now) = layers.take(call, &value)? {
                    progress(now);
                }
            }
            Ok(())
        };
        while let Some(piece) = self.link.piece(call, &mut body, Some(self.deadlines.pull)).await? {
            take(lines.push(&piece).map_err(not_json)?)?;
        }
        take(lines.end().map_err(not_json)?.into_iter().collect())
    }
}

/// The end of what a command wrote.
#[derive(Debug, Default)]
struct Tail {
    text: String,
}

impl Tail {
    /// So many bytes are kept.
    const KEPT: usize = 8 << 10;

    fn extend(&mut self, lines: Vec<LogLine>) {
        for line in lines {
            self.text.push_str(&line.text);
            self.text.push('\n');
        }
        if self.text.len() > Self::KEPT {
            let begin = self.text.len() - Self::KEPT;
            let begin = (begin..self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(begin);
            self.text = self.text.get(begin..).unwrap_or_default().to_owned();
        }
    }
}

/// What was to be done away with isn't there.
fn gone(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Missing { .. }) => Ok(()),
        result => result,
    }
}

impl Engine for Docker {
    fn calls(&self) -> u64 {
        self.link.requests()
    }

    async fn facts(&self) -> Result<Facts, Error> {
        const CALL: &str = "version";
        self.link.forget();
        let (api, answer) = self.link.within(CALL, self.deadlines.list, || self.link.negotiate()).await?;
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = match (text("/Components/0/Name"), text("/Platform/Name")) {
            // Podman's platform is no name.
            (component, _) if component.starts_with("Podman") => component,
            (_, "") => "Docker Engine",
            (_, platform) => platform,
        };
        let info = self.json("info", self.deadlines.list, Method::GET, "/info", None).await?;
        let root = info.get("DockerRootDir").and_then(Value::as_str).filter(|root| !root.is_empty());
        Ok(Facts {
            name: name.to_owned(),
            version: text("/Version").to_owned(),
            api: api.to_string(),
            os: text("/Os").to_owned(),
            architecture: text("/Arch").to_owned(),
            root: root.map(str::to_owned),
        })
    }

    async fn containers(&self) -> Result<Vec<Container>, Error> {
        Ok(list::containers(&self.list("containers", "/containers/json?all=true").await?))
    }

    async fn images(&self) -> Result<Vec<Image>, Error> {
        Ok(list::images(&self.list("images", "/images/json").await?))
    }

    async fn networks(&self) -> Result<Vec<Network>, Error> {
        Ok(list::networks(&self.list("networks", "/networks").await?))
    }

    async fn volumes(&self) -> Result<Vec<Volume>, Error> {
        Ok(list::volumes(&self.list("volumes", "/volumes").await?))
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspection, Error> {
        let call = format!("inspection of {}", id.short());
        let path = format!("/containers/{}/json", encoded(&id.0));
        let body = self.json(&call, self.deadlines.list, Method::GET, &path, None).await?;
        inspect::inspection(&call, body)
    }

    async fn create(&self, new: &NewContainer) -> Result<Created, Error> {
        let call = format!("creation of {}", new.name);
        self.has_networks(&call, new).await?;
        let attempt = || async {
            let calls = create::calls(new, self.link.api().await?);
            let mut path = format!("/containers/create?name={}", encoded(&new.name));
            if let Some(platform) = &calls.platform {
                path.push_str("&platform=");
                path.push_str(&encoded(platform));
            }
            let answer = self.link.value(&call, Method::POST, &path, Some(&calls.body)).await?;
            Ok((calls, answer))
        };
        let (calls, answer) = self.link.within(&call, self.deadlines.change, attempt).await?;
        let id = answer.get("Id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id
            .map(|id| ContainerId(id.to_owned()))
            .ok_or_else(|| failure::answer(&call, "it names no container"))?;
        for (network, endpoint) in &calls.connect {
            if let Err(error) = self.connect(&id, network, endpoint).await {
                // What could not be removed is found by its label.
                if let Err(problem) = self.remove(&id).await {
                    tracing::warn!(container = id.short(), %problem, "a container that could not be attached to its networks is left behind");
                }
                return Err(error);
            }
        }
        let said =
            answer.get("Warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        Ok(Created { id, warnings: calls.warnings.into_iter().chain(said.map(str::to_owned)).collect() })
    }

    async fn start(&self, id: &ContainerId) -> Result<(), Error> {
        let call = format!("start of {}", id.short());
        let start = |docker: bollard::Docker| async move {
            docker.start_container(&id.0, None::<StartContainerOptions>).await
        };
        self.command(&call, self.deadlines.change, start).await
    }

    async fn stop(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), Error> {
        let call = format!("stop of {}", id.short());
        let deadline = match self.grace(id, grace).await {
            Ok(grace) => grace + self.deadlines.stop,
            Err(Error::Missing { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let seconds = grace.map(|grace| i32::try_from(grace.as_secs()).unwrap_or(i32::MAX));
        let options = StopContainerOptions { t: seconds, ..StopContainerOptions::default() };
        let stop = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.stop_container(&id.0, Some(options)).await }
        };
        gone(self.command(&call, deadline, stop).await)
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), Error> {
        let call = format!("renaming of {} to {name}", id.short());
        let rename = |docker: bollard::Docker| async move {
            docker.rename_container(&id.0, RenameContainerOptions { name: name.to_owned() }).await
        };
        match self.command(&call, self.deadlines.list, rename).await {
            Err(error @ (Error::Refused { .. } | Error::Conflict { .. } | Error::Failed { .. })) => {
                // Engines differ in how they refuse the name that it has.
                let body = self.inspect(id).await?.body;
                let own = body.get("Name").and_then(Value::as_str).unwrap_or_default();
                if own.trim_start_matches('/') == name { Ok(()) } else { Err(error) }
            }
            result => result,
        }
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), Error> {
        let call = format!("removal of {}", id.short());
        let options = RemoveContainerOptions { v: true, ..RemoveContainerOptions::default() };
        let remove = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.remove_container(&id.0, Some(options)).await }
        };
        match gone(self.command(&call, self.deadlines.change, remove).await) {
            Err(Error::Conflict { message, .. }) if message.contains("already in progress") => Ok(()),
            result => result,
        }
    }

    async fn update(&self, id: &ContainerId, host_config: &Value) -> Result<(), Error> {
        let call = format!("update of {}", id.short());
        let path = format!("/containers/{}/update", encoded(&id.0));
        self.done(&call, self.deadlines.list, &path, host_config).await
    }

    async fn exec(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Result<Executed, Error> {
        let call = format!("{} in {}", command.first().map_or("nothing", String::as_str), id.short());
        match tokio::time::timeout(timeout, self.executed(&call, id, command)).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("it has not ended within {} s, and goes on", timeout.as_secs_f64());
                Err(Error::Failed { call, message })
            }
        }
    }

    async fn pull(&self, from: &Pull, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<ImageId, Error> {
        let name = format!("{}@{}", from.repository, from.digest);
        let call = format!("pull of {name}");
        self.pulled(&call, from, progress).await?;
        let path = format!("/images/{name}/json");
        match self.json(&call, self.deadlines.list, Method::GET, &path, None).await {
            Ok(answer) => {
                let id = answer.get("Id").and_then(Value::as_str).filter(|id| !id.is_empty());
                let id = id.ok_or_else(|| failure::answer(&call, "the image has no id"))?;
                // Podman leaves the algorithm out.
                Ok(ImageId(if id.contains(':') { id.to_owned() } else { format!("sha256:{id}") }))
            }
            Err(Error::Missing { .. }) => Err(Error::Failed {
                call,
                message: "it ended without an error, and the image is not there".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    async fn tag(&self, image: &ImageId, repository: &str, tag: &str) -> Result<(), Error> {
        let options = TagImageOptions { repo: Some(repository.to_owned()), tag: Some(tag.to_owned()) };
        let work = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.tag_image(&image.0, Some(options)).await }
        };
        self.command(&format!("tag {repository}:{tag}"), self.deadlines.list, work).await
    }

    async fn remove_image(&self, name: &str) -> Result<(), Error> {
        let options = bollard::query_parameters::RemoveImageOptions::default();
        let work = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.remove_image(name, Some(options), None).await.map(drop) }
        };
        gone(self.command(&format!("removal of image {name}"), self.deadlines.change, work).await)
    }

    async fn create_network(&self, name: &str, body: &Value) -> Result<(), Error> {
        // Before API 1.44 there may be many networks with one name unless it is said so.
        let unique = [("Name", name.into()), ("CheckDuplicate", true.into())];
        self.create_named("network", "/networks/create", name, with(body, unique)).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), Error> {
        let work = |docker: bollard::Docker| async move { docker.remove_network(name).await };
        gone(self.command(&format!("removal of network {name}"), self.deadlines.list, work).await)
    }

    async fn connect(&self, id: &ContainerId, network: &str, endpoint: &Value) -> Result<(), Error> {
        let call = format!("attaching {} to network {network}", id.short());
        let endpoint = if endpoint.is_object() { endpoint.clone() } else { json!({}) };
        let body = json!({"Container": id.0, "EndpointConfig": endpoint});
        let path = format!("/networks/{}/connect", encoded(network));
        match self.done(&call, self.deadlines.change, &path, &body).await {
            Err(error @ (Error::Refused { .. } | Error::Conflict { .. } | Error::Failed { .. })) => {
                if self.is_attached(id, network).await? { Ok(()) } else { Err(error) }
            }
            result => result,
        }
    }

    async fn disconnect(&self, id: &ContainerId, network: &str) -> Result<(), Error> {
        let call = format!("detaching {} from network {network}", id.short());
        let body = NetworkDisconnectRequest { container: id.0.clone(), force: Some(false) };
        let work = |docker: bollard::Docker| {
            let body = body.clone();
            async move { docker.disconnect_network(network, body).await }
        };
        match self.command(&call, self.deadlines.change, work).await {
            Err(
                error @ (Error::Refused { .. }
                | Error::Conflict { .. }
                | Error::Failed { .. }
                | Error::Missing { .. }),
            ) => {
                if self.is_attached(id, network).await? {
                    Err(error)
                } else {
                    Ok(())
                }
            }
            result => result,
        }
    }

    async fn create_volume(&self, name: &str, body: &Value) -> Result<(), Error> {
        self.create_named("volume", "/volumes/create", name, with(body, [("Name", name.into())])).await
    }

    fn logs(&self, id: &ContainerId, what: &LogRequest) -> BoxStream<'static, Result<LogLine, Error>> {
        streams::logs(Arc::clone(&self.link), self.deadlines.list, id, what).boxed()
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<Event, Error>>, Error> {
        Ok(streams::events(Arc::clone(&self.link), self.deadlines.list).await?.boxed())
    }
}

/// The body with these members as well.
fn with<const N: usize>(body: &Value, more: [(&str, Value); N]) -> Value {
    let mut body = body.clone();
    if let Value::Object(members) = &mut body {
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    body
}
