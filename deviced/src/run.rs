//! The device manager as a process: settings, history, engine, loop and API, and its end.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;

use dockerloader::config::RegistrySettings;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing_subscriber::fmt::time::SystemTime;

use crate::api::{self, Listeners, Token};
use crate::engine::{Deadlines, Docker, Engine as _};
use crate::history::History;
use crate::manager::Handle;
use crate::metrics::Metrics;
use crate::probe::Network;
use crate::reconcile::{self, Device};
use crate::report::Report;
use crate::settings::{LogFormat, Settings};

/// Why the device manager ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// A newer version of deviced is staged.
    Replaced,
}

/// Requests that wait for the loop, at most.
const REQUESTS: usize = 64;

/// Runs until a signal, or a newer version of deviced, ends it.
///
/// # Errors
/// What keeps it from starting, as a sentence.
pub async fn run() -> Result<End, Box<dyn std::error::Error>> {
    // Before there is any other thread: it sets variables.
    dockerloader::init_dockerloaded().await?;
    let settings = Settings::read(&|name| std::env::var_os(name))?;
    log(&settings);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut updates = dockerloader::watch_updates().await?;
    tracing::info!(
        event = "start",
        version = env!("CARGO_PKG_VERSION"),
        trial = dockerloader::is_trial(),
        "deviced starts"
    );
    let (history, found) = History::open(&settings.data_dir)?;
    if let Some(found) = found {
        tracing::error!(event = "history", "{found}");
    }
    let engine = Arc::new(Docker::new(settings.engine.clone(), Deadlines::default()));
    let (requests, received) = mpsc::channel(REQUESTS);
    let (reports, report) = watch::channel(Arc::new(Report::default()));
    let logs = Arc::clone(&engine);
    let handle = Handle::new(requests, report, Arc::new(move |id, what| logs.logs(id, what)));
    let (stop, stopped) = watch::channel(false);
    let listeners = listen(&settings).await?;
    let metrics = Metrics::default();
    let ends = |mut stopped: watch::Receiver<bool>| async move {
        // A sender that is gone is an end as well.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let served = api::serve(listeners, handle, history.clone(), metrics.clone(), ends(stopped.clone()));
    let served = tokio::spawn(served);
    let device = Device {
        engine,
        probe: Arc::new(Network),
        history,
        metrics,
        document: settings.document.clone(),
        instance: settings.instance.clone(),
        registry: RegistrySettings {
            docker_config: settings.docker_config.clone(),
            ..RegistrySettings::default()
        },
        environment: environment(),
    };
    let looped = tokio::spawn(reconcile::run(device, received, reports, stopped));
    // It serves, and does what it can with the engine that is there: more is not to be expected of this version.
    let readiness = dockerloader::mark_ready().await?;
    tracing::info!(event = "ready", "ready: {readiness:?}");
    let end = tokio::select! {
        _ = terminate.recv() => End::Stopped,
        _ = interrupt.recv() => End::Stopped,
        digest = updates.staged() => {
            tracing::info!(event = "restart", %digest, "making way for {digest}");
            End::Replaced
        }
    };
    tracing::info!(event = "stop", "stopping: containers go on running");
    let _ = stop.send(true);
    let _ = looped.await;
    let _ = served.await;
    Ok(end)
}

/// Where the API is found.
async fn listen(settings: &Settings) -> Result<Listeners, Box<dyn std::error::Error>> {
    let mut listeners = Listeners::none().with_socket(&settings.socket).await?;
    if let Some(address) = settings.listen {
        let token = Token::open(&settings.token_file)?;
        listeners = listeners.with_address(address, token).await?;
        if let Some(address) = listeners.address() {
            tracing::info!(
                event = "listen",
                "the API is at http://{address}, with the token of {}",
                settings.token_file.display()
            );
        }
    }
    Ok(listeners)
}

/// deviced's own variables, for names that a document leaves without a value.
fn environment() -> BTreeMap<String, String> {
    let pairs = std::env::vars_os();
    pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

fn log(settings: &Settings) {
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_timer(SystemTime)
        .with_max_level(settings.log);
    match settings.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
}
