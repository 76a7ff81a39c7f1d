//! What a replacement leaves in the history.

use std::time::Duration;

use dockerloader::clock;
use futures_util::StreamExt as _;

use super::{Context, Error};
use crate::engine::{ContainerId, Engine, LogRequest};
use crate::history::{Operation, OperationState, Verdict, Version};
use crate::swap::{Failure, Reason, Stage, Swap};

/// Lines that are kept of a version that failed.
const LOG_LINES: u32 = 200;
/// How long its output may take to be read.
const LOG_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn unix_time() -> i64 {
    i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX)
}

impl<E: Engine> Context<E> {
    pub(super) fn record(&self, swap: &Swap) -> Result<(), Error> {
        self.history.record_swap(swap)?;
        let (stage, text) = (swap.stage.name(), swap.to_string());
        if self.history.operation(&swap.operation)?.is_none() {
            self.history.begin(&Operation {
                id: swap.operation.clone(),
                container: Some(swap.container.clone()),
                kind: "swap".to_owned(),
                who: self.who.clone(),
                state: OperationState::Running,
                stage: stage.to_owned(),
                text: text.clone(),
                progress: None,
                began: unix_time(),
                ended: None,
            })?;
            self.say("swap", &text);
        }
        self.history.progress(&swap.operation, stage, &text, None)?;
        if let Stage::Revert(failure) = &swap.stage {
            self.say(
                "rollback",
                &format!("{}: {} failed: {}", swap.container, swap.target.version, failure.text),
            );
        }
        Ok(())
    }

    fn swap(&self, container: &str) -> Result<Option<Swap>, Error> {
        Ok(self.history.swaps()?.remove(container))
    }

    /// Keeps the last lines of a version that failed. What can't be read is no reason to keep it.
    pub(super) async fn keep_log(&self, id: &ContainerId) -> Result<(), Error> {
        let Some(swap) = self.swap(&self.subject)? else { return Ok(()) };
        let request = LogRequest { tail: Some(LOG_LINES), ..LogRequest::default() };
        let mut lines = Vec::new();
        let mut output = self.engine.logs(id, &request);
        let read = async {
            while let Some(Ok(line)) = output.next().await {
                lines.push(line.text);
            }
        };
        if tokio::time::timeout(LOG_DEADLINE, read).await.is_err() {
            tracing::warn!(event = "log_unread", container = %self.subject, "the output of {} could not be read in time", id.short());
        }
        self.history.keep_log(&swap.operation, &lines)?;
        Ok(())
    }

    pub(super) fn judge(&self, container: &str, failure: &Failure) -> Result<(), Error> {
        let Some(swap) = self.swap(container)? else { return Ok(()) };
        let log = self.history.log(&swap.operation)?.unwrap_or_default();
        self.history.judge(&Verdict {
            container: container.to_owned(),
            digest: swap.target.digest,
            version: swap.target.version.clone(),
            spec: swap.target.spec.hash(),
            failure: failure.clone(),
            at: unix_time(),
            attempts: 1,
            log,
        })?;
        if failure.reason == Reason::App {
            let versions = self.history.versions_of(container)?;
            let is_meant = |version: &&Version| {
                version.target.digest == swap.target.digest && version.target.spec == swap.target.spec
            };
            for version in versions.iter().filter(is_meant) {
                self.history.fail_version(version.id, failure)?;
            }
        }
        self.say("verdict", &format!("{container}: {}: {}", swap.target.version, failure.text));
        Ok(())
    }

    /// Once for each operation, however often it is asked for.
    pub(super) fn commit(&self, container: &str) -> Result<(), Error> {
        let Some(swap) = self.swap(container)? else { return Ok(()) };
        let versions = self.history.versions_of(container)?;
        let last = versions.first();
        if last.is_some_and(|last| last.operation == swap.operation) {
            return Ok(());
        }
        // What is only made anew is watched for as long as it was to be watched anyway.
        let same = last
            .filter(|last| last.target.digest == swap.target.digest && last.target.spec == swap.target.spec);
        let (probation, crashes) = same.map_or((self.probation, 0), |last| (last.probation, last.crashes));
        let began =
            self.history.operation(&swap.operation)?.map_or_else(unix_time, |operation| operation.began);
        let took = Duration::from_secs(u64::try_from(unix_time() - began).unwrap_or(0));
        self.history.commit_version(&Version {
            id: 0,
            container: container.to_owned(),
            target: swap.target.clone(),
            revision: self.revision,
            operation: swap.operation.clone(),
            cause: swap.cause.clone(),
            who: self.who.clone(),
            began: unix_time(),
            ended: None,
            failure: None,
            took,
            probation,
            crashes,
        })?;
        self.say("commit", &format!("{container}: {} runs and has proven itself", swap.target.version));
        Ok(())
    }

    pub(super) fn finish(&self, container: &str) -> Result<(), Error> {
        let Some(swap) = self.swap(container)? else { return Ok(()) };
        let (state, text) = match &swap.stage {
            Stage::Revert(failure) => (OperationState::Failed, failure.text.clone()),
            Stage::Retire => (OperationState::Done, format!("{} runs", swap.target.version)),
            stage => (OperationState::Failed, format!("given up in stage {}", stage.name())),
        };
        self.history.finish_swap(container)?;
        self.history.end(&swap.operation, state, &text)?;
        Ok(())
    }
}
