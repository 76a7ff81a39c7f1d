//! What happens in the engine, and to the document's file, told to the loop.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
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
        let mut events = engine.events();
        if wakes.send(Wake::Listening).await.is_err() {
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
