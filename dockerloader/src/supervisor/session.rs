//! How the last supervisor of this directory ended, and what that means for the next start.
//!
//! ```text
//! supervisor.json   while one runs, and after it: its process, its address, the boot it ran in, the versions that were there before
//! stopped           from an orderly end to the next start; a file that is missing means the worst
//! ```
//!
//! A supervisor that was killed lost nothing: what was written is in the kernel's memory, and gets to the disk. When the kernel went
//! away as well, a disk that lies about what it has written may have lost what came last (C1: files of 0 bytes).

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::disk::{self, Disk, RealDisk};
use crate::layout::Layout;
use crate::reserve;
use crate::tree::Depth;

/// Largest file that is read, in bytes.
const BYTES: u64 = 64 << 10;

/// The format of a farewell.
const FORMAT: u32 = 1;

/// What a supervisor writes about itself at its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) pid: u32,
    /// The address of its control socket.
    pub(super) control: String,
    /// The identity of the kernel's run (`random(4)`, `boot_id`).
    #[serde(default)]
    pub(super) boot: String,
    /// Versions that are known to be whole from before: they were there at an earlier orderly end, or have been read since.
    #[serde(default)]
    pub(super) settled: Vec<Digest>,
}

/// What a supervisor leaves behind at an orderly end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Farewell {
    /// Always [`FORMAT`].
    format: u32,
    /// A version whose end looked like that of damaged files, and how it ended.
    #[serde(default)]
    pub(super) suspect: Option<(Digest, String)>,
}

impl Farewell {
    /// An end in order.
    pub(super) const fn new(suspect: Option<(Digest, String)>) -> Self {
        Self { format: FORMAT, suspect }
    }
}

/// How the last supervisor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// There was none.
    Never,
    /// In order.
    Orderly,
    /// In order, but a version is to be looked at.
    Suspicious { version: Digest, reason: String },
    /// It was killed; the machine went on.
    Killed,
    /// The machine stopped without it, as by a loss of power.
    PowerLoss,
}

/// Judges. Pure. `session` is what the last one wrote at its start, `farewell` what it left at its end; `None` for what is missing or
/// can't be read. An unknown boot is no proof that it is the same.
pub(super) fn judge(session: Option<&Session>, farewell: Option<Farewell>, boot: &str) -> Ended {
    match (session, farewell) {
        (_, Some(Farewell { suspect: Some((version, reason)), .. })) => Ended::Suspicious { version, reason },
        (_, Some(Farewell { suspect: None, .. })) => Ended::Orderly,
        (None, None) => Ended::Never,
        (Some(session), None) if !boot.is_empty() && session.boot == boot => Ended::Killed,
        (Some(_), None) => Ended::PowerLoss,
    }
}

/// The versions of which the next supervisor knows that they are whole. Pure. Those that came in a session that was cut off are not
/// among them before they were read, or an orderly end.
pub(super) fn settled(ended: &Ended, before: Option<&Session>, named: &[Digest]) -> Vec<Digest> {
    match ended {
        Ended::Never | Ended::Orderly | Ended::Suspicious { .. } => named.to_vec(),
        Ended::Killed | Ended::PowerLoss => {
            let known = before.map(|session| session.settled.as_slice()).unwrap_or_default();
            named.iter().filter(|version| known.contains(version)).copied().collect()
        }
    }
}

/// What has to be looked at before it is executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Doubts {
    /// Everything, after a loss of power.
    pub(super) all: bool,
    /// Versions that were there before what was cut off: a look at times and sizes will do for them.
    pub(super) settled: Vec<Digest>,
    /// Versions that there is a reason to read whole.
    pub(super) suspects: Vec<Digest>,
    /// Versions that were looked at since.
    pub(super) cleared: Vec<Digest>,
}

impl Doubts {
    /// How closely a version is to be looked at before it starts; `None` for not at all. Pure.
    pub(super) fn about(&self, version: &Digest) -> Option<Depth> {
        if self.suspects.contains(version) {
            return Some(Depth::Full);
        }
        if !self.all || self.cleared.contains(version) {
            return None;
        }
        Some(if self.settled.contains(version) { Depth::Quick } else { Depth::Full })
    }

    /// There is a reason to read it whole.
    pub(super) fn suspect(&mut self, version: Digest) {
        if !self.suspects.contains(&version) {
            self.suspects.push(version);
        }
    }

    /// It was looked at.
    pub(super) fn clear(&mut self, version: &Digest) {
        self.suspects.retain(|suspect| suspect != version);
        if self.all && !self.cleared.contains(version) {
            self.cleared.push(*version);
        }
    }
}

/// The identity of the kernel's run; empty where it can't be read.
pub(super) fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// What the last supervisor wrote at its start. One that can't be read is as if it were of another boot.
pub(super) fn read_session(disk: &(impl Disk + ?Sized), layout: &Layout) -> Option<Session> {
    match disk.read(&layout.supervisor_address(), BYTES) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some(Session::default()),
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap_or_default()),
    }
}

/// What the last supervisor left at its end; nothing where that can't be read.
pub(super) fn read_farewell(disk: &(impl Disk + ?Sized), layout: &Layout) -> Option<Farewell> {
    let bytes = disk.read(&layout.stopped(), BYTES).ok()?;
    serde_json::from_slice::<Farewell>(&bytes).ok().filter(|farewell| farewell.format == FORMAT)
}

/// A supervisor runs from here on: an end without a word is none in order. Durable with what is published next.
pub(super) fn forget_farewell(layout: &Layout) {
    // On a read-only volume it stays, and nothing on it can be lost.
    let _ = RealDisk.remove_file(&layout.stopped());
}

/// Writes where the supervisor can be reached, for commands that are not its children, and what the next one has to know.
///
/// # Errors
/// Those of the disk.
pub(super) fn publish(layout: &Layout, session: &Session) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(session).map_err(std::io::Error::other)?;
    let written = reserve::with_room(&RealDisk, layout, || {
        disk::replace_file(&RealDisk, &layout.supervisor_address(), &bytes)
    });
    written.inspect_err(|_| {
        // That the last farewell is gone has to last all the same.
        let _ = RealDisk.sync_directory(layout.root());
    })
}

/// The supervisor ends in order. If that can't be written, the next start looks closer, which is all.
pub(super) fn say_farewell(layout: &Layout, farewell: &Farewell) {
    let bytes = serde_json::to_vec(farewell).unwrap_or_default();
    if let Err(error) = disk::replace_file(&RealDisk, &layout.stopped(), &bytes) {
        tracing::debug!(event = "no_farewell", "{}: {error}", layout.stopped().display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest::from_bytes([1; 32]);
    const B: Digest = Digest::from_bytes([2; 32]);

    #[test]
    fn an_end_without_a_word_is_a_kill_or_a_loss_of_power() {
        let session = |boot: &str| Session { boot: boot.to_owned(), ..Session::default() };
        let farewell = Farewell::new(None);
        let suspicious = Farewell::new(Some((A, "killed by SIGBUS".to_owned())));
        let reason = "killed by SIGBUS".to_owned();
        for (before, left, boot, ended) in [
            (None, None, "1", Ended::Never),
            (None, Some(farewell.clone()), "1", Ended::Orderly),
            (Some(session("1")), Some(farewell.clone()), "1", Ended::Orderly),
            (Some(session("1")), Some(farewell), "2", Ended::Orderly),
            (Some(session("1")), Some(suspicious), "1", Ended::Suspicious { version: A, reason }),
            (Some(session("1")), None, "1", Ended::Killed),
            (Some(session("1")), None, "2", Ended::PowerLoss),
            // Of an older loader, or damaged; or the kernel does not say.
            (Some(session("")), None, "1", Ended::PowerLoss),
            (Some(session("")), None, "", Ended::PowerLoss),
        ] {
            assert_eq!(judge(before.as_ref(), left, boot), ended);
        }
    }

    #[test]
    fn a_version_that_came_in_a_session_that_was_cut_off_is_not_settled() {
        let before = Session { settled: vec![A], ..Session::default() };
        for (ended, expected) in [
            (Ended::Never, vec![A, B]),
            (Ended::Orderly, vec![A, B]),
            (Ended::Suspicious { version: A, reason: String::new() }, vec![A, B]),
            (Ended::Killed, vec![A]),
            (Ended::PowerLoss, vec![A]),
        ] {
            assert_eq!(settled(&ended, Some(&before), &[A, B]), expected, "{ended:?}");
            assert_eq!(settled(&ended, None, &[B]), if expected.len() == 2 { vec![B] } else { vec![] });
        }
    }

    #[test]
    fn a_version_is_looked_at_once_and_as_closely_as_there_is_reason() {
        let mut doubts = Doubts::default();
        assert_eq!(doubts.about(&A), None);
        doubts.suspect(A);
        doubts.suspect(A);
        assert_eq!(doubts.about(&A), Some(Depth::Full));
        doubts.clear(&A);
        assert_eq!(doubts.about(&A), None);
        let mut doubts = Doubts { all: true, settled: vec![A], suspects: vec![], cleared: vec![] };
        assert_eq!((doubts.about(&A), doubts.about(&B)), (Some(Depth::Quick), Some(Depth::Full)));
        doubts.clear(&A);
        assert_eq!((doubts.about(&A), doubts.about(&B)), (None, Some(Depth::Full)));
        doubts.suspect(A);
        assert_eq!(doubts.about(&A), Some(Depth::Full), "also after it was looked at quickly");
    }

    #[test]
    fn what_is_written_is_read_and_what_is_torn_means_the_worst() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        RealDisk.create_directories(layout.root()).unwrap();
        assert_eq!((read_session(&RealDisk, &layout), read_farewell(&RealDisk, &layout)), (None, None));
        say_farewell(&layout, &Farewell::new(Some((A, "why".to_owned()))));
        assert_eq!(read_farewell(&RealDisk, &layout).unwrap().suspect, Some((A, "why".to_owned())));
        let session = Session { pid: 7, control: "@x".to_owned(), boot: "1".to_owned(), settled: vec![B] };
        forget_farewell(&layout);
        publish(&layout, &session).unwrap();
        assert_eq!(read_farewell(&RealDisk, &layout), None, "the next end counts");
        assert_eq!(read_session(&RealDisk, &layout), Some(session));
        for torn in [&b""[..], b"{", b"\0\0\0\0", b"[]", b"{}", b"{\"format\":9}"] {
            disk::replace_file(&RealDisk, &layout.supervisor_address(), torn).unwrap();
            disk::replace_file(&RealDisk, &layout.stopped(), torn).unwrap();
            let (session, farewell) = (read_session(&RealDisk, &layout), read_farewell(&RealDisk, &layout));
            assert_eq!(judge(session.as_ref(), farewell, "1"), Ended::PowerLoss, "{torn:?}");
        }
    }
}
