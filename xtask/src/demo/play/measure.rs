//! What a step came to: what the registry was asked for, and how long the application was away.

use std::process::ExitStatus;

use fixtures::registry::{Kind, Request};

use super::{Play, REPOSITORY};
use crate::demo::script::Action;
use crate::demo::stamps;
use crate::demo::text::{megabytes, short};
use crate::demo::versions::Version;
use crate::failure::{Failure, Result};

impl Play<'_> {
    /// Verifies what the registry was asked for in this step, where it matters in detail.
    pub(super) fn check_requests(&self, action: Action) -> Result {
        let requests = self.registry.requests();
        let answered = requests.get(self.answered..).unwrap_or_default();
        match action {
            Action::Watch { .. } => {
                let look = |request: &&Request| request.method == "HEAD" && request.kind == Kind::Manifest;
                match answered.iter().find(|request| !look(request)) {
                    None => Ok(()),
                    Some(Request { method, path, .. }) => {
                        Err(Failure::new(format!("more than looks at the tag: {method} {path}")))
                    }
                }
            }
            Action::Restart(version) => {
                let expected = format!("bytes={}-", self.held);
                let found = self.range(version, answered);
                if found.as_deref() == Some(expected.as_str()) {
                    return Ok(());
                }
                let found = found.unwrap_or_else(|| "all of it".to_owned());
                Err(Failure::new(format!("{found} of {version} was asked for again, not {expected}")))
            }
            _ => Ok(()),
        }
    }

    /// What the step came to in numbers.
    pub(super) fn measured(&self, action: Action, status: Option<ExitStatus>) -> String {
        let stamps = self.place.read_stamps(self.release).unwrap_or_default();
        let requests = self.registry.requests();
        let answered = requests.get(self.answered..).unwrap_or_default();
        let gap = |version| stamps::gap(&stamps, version).map_or_else(|| "?".to_owned(), short);
        let started = stamps::last_start(&stamps).unwrap_or_default().saturating_sub(self.started);
        match action {
            Action::Install(_) => format!("{} fetched", megabytes(self.bytes(answered))),
            Action::Push(version) => match stamps::gap(&stamps, version) {
                Some(gap) => {
                    let fetched = megabytes(self.bytes(answered));
                    format!(
                        "{fetched} fetched, the program's layer not again; {} without service",
                        short(gap)
                    )
                }
                None => format!("{} from the start of {version} until v2 was back", gap(Version::V2)),
            },
            Action::Watch { polls, .. } => format!("{polls} looks at the tag, nothing else asked for"),
            Action::KillInDownload(version) => {
                let (here, all) = (megabytes(self.on_disk(version)), megabytes(self.size(version)));
                let status = status.map_or_else(String::new, |status| status.to_string());
                format!("{here} of {all} on disk; the supervisor ended by {status}")
            }
            Action::Restart(_) => format!(
                "{} until the app's first instruction; the download goes on at {}",
                short(started),
                megabytes(self.held)
            ),
            Action::Release(version) => format!("{} without service", gap(version)),
            Action::RollBack | Action::Stop => String::new(),
        }
    }

    /// Size of the blobs that were asked for.
    fn bytes(&self, requests: &[Request]) -> u64 {
        let blobs = requests.iter().filter(|request| request.method == "GET" && request.kind == Kind::Blob);
        let digests = blobs.filter_map(|request| request.path.rsplit('/').next());
        digests
            .filter_map(|digest| self.registry.blob(REPOSITORY, digest))
            .map(|blob| blob.len() as u64)
            .sum()
    }

    /// The range that was asked for last of the version's own layer.
    fn range(&self, version: Version, requests: &[Request]) -> Option<String> {
        let digest = &self.release.own_layer(version).digest;
        requests.iter().rev().find(|request| request.path.contains(digest.as_str()))?.range.clone()
    }
}
