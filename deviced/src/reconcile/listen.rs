//! What happens in the engine, and to the document's file, told to the loop.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::wake::Wake;
use crate::engine::Engine;

/// Between two attempts to hear the engine.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Listens to the engine for ever, and connects again when it was away.
pub(super) async fn events<E: Engine>(engine: Arc<E>, wakes: mpsc::Sender<Wake>) {
    let mut pause = FIRST_PAUSE;
    loop {
        // What happened before the engine listens for us is seen by the look for which `Listening` asks.
        let (mut events, first) = match engine.events().await {
            Ok(events) => (events, Wake::Listening),
            Err(error) => (stream::empty().boxed(), Wake::Event(Err(error))),
        };
        if wakes.send(first).await.is_err() {
            return;
        }
        while let Some(event) = events.next().await {
            let failed = event.is_err();
            if !failed {
                pause = FIRST_PAUSE;
            }
            if wakes.send(Wake::Event(event)).await.is_err() {
                return;
            }
            if failed {
                break;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Changes in a directory, as tokio can wait for them.
struct Changes(Inotify);

impl AsRawFd for Changes {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[expect(
    deprecated,
    reason = "what it can't check holds: the descriptor is the value's own, and open as long as it is there"
)]
fn watched(directory: &Path) -> io::Result<AsyncFd<Changes>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(
        directory,
        AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE,
    )?;
    AsyncFd::new(Changes(inotify))
}

/// Tells whenever something is written or moved to the file, and whenever its directory changes otherwise. Where that can't be watched, the
/// loop's own look at intervals has to do.
pub(super) async fn file(path: PathBuf, wakes: mpsc::Sender<Wake>) {
    let Some((directory, name)) = path.parent().zip(path.file_name()) else { return };
    let inotify = match watched(directory) {
        Ok(inotify) => inotify,
        Err(error) => {
            tracing::warn!(event = "file_unwatched", %error, "{} can't be watched: it is looked at every minute", path.display());
            return;
        }
    };
    loop {
        let Ok(mut ready) = inotify.readable().await else { return };
        let events = inotify.get_ref().0.read_events();
        ready.clear_ready();
        // The names of others in the directory are none of our business; a queue that overflowed may have held ours.
        let is_ours = |event: &nix::sys::inotify::InotifyEvent| {
            event.name.as_deref().is_none_or(|changed| changed == name)
        };
        let is_ours = events.is_ok_and(|events| events.iter().any(is_ours));
        if is_ours && wakes.send(Wake::File).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use fixtures::engine_proxy::{Act, EngineProxy};

    use super::*;
    use crate::engine::{Deadlines, Docker, Error};

    const SOON: Duration = Duration::from_millis(200);
    const DIED: &str = "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"1\"}}\n";

    /// The first things that the loop is told when the engine does so with the request for events.
    async fn told(act: Act, count: usize) -> Vec<Wake> {
        let engine = EngineProxy::alone();
        engine.speak("1.12", "1.41", "Docker/20.10.24 (linux)");
        engine.on("GET", "/events", act);
        let deadlines = Deadlines { list: SOON, change: SOON, stop: SOON, pull: SOON };
        let docker = Docker::new(engine.socket().to_owned(), deadlines);
        let (sender, mut wakes) = mpsc::channel(count);
        let listening = tokio::spawn(events(Arc::new(docker), sender));
        let mut told = Vec::new();
        while told.len() < count {
            told.extend(wakes.recv().await);
        }
        listening.abort();
        told
    }

    #[tokio::test]
    async fn nobody_is_told_that_we_listen_before_the_engine_has_answered() {
        let begun = told(Act::Begin(DIED.to_owned()), 2).await;
        assert!(matches!(begun.as_slice(), [Wake::Listening, Wake::Event(Ok(_))]), "{begun:?}");
        let refused = told(Act::status(500, "no"), 1).await;
        assert!(matches!(refused.as_slice(), [Wake::Event(Err(Error::Failed { .. }))]), "{refused:?}");
        let hung = told(Act::Hang, 1).await;
        assert!(matches!(hung.as_slice(), [Wake::Event(Err(Error::Silent { .. }))]), "{hung:?}");
    }
}
