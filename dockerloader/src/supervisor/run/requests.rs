//! What the application and the operator ask over the sockets.

use super::Supervisor;
use crate::control::{Reply, Request};
use crate::disk::RealDisk;
use crate::status::{Status, Supervisor as SupervisorStatus};
use crate::supervisor::machine::{Ground as _, Helper, Input, Millis};
use crate::supervisor::notify::Notice;
use crate::supervisor::server::Asked;

impl Supervisor<'_> {
    pub(super) fn serve(&mut self) {
        for notice in self.server.notices() {
            match notice {
                Notice::Ready => self.input(Input::Ready(None)),
                Notice::Extend(milliseconds) => self.input(Input::Extend { milliseconds, token: None }),
                Notice::Alive => self.input(Input::Watchdog(None)),
                Notice::Watchdog(period) => self.input(Input::Watchdog(Some(period))),
                Notice::Broken => self.input(Input::Watchdog(Some(1))),
                Notice::Stopping => {
                    tracing::info!(event = "app_stopping", "the application says that it is stopping")
                }
            }
        }
        let now = self.now();
        for asked in self.server.serve(now) {
            self.answer(asked);
        }
    }

    pub(super) fn answer(&mut self, Asked { token, request, trusted }: Asked) {
        if let Err(reason) = allowed(&request, &self.generation, trusted) {
            self.server.reply(token, &Reply::Refused { reason: reason.to_owned() });
            return;
        }
        match request {
            Request::Ready { .. } => self.input(Input::Ready(Some(token))),
            Request::Extend { milliseconds, .. } => {
                self.input(Input::Extend { milliseconds, token: Some(token) })
            }
            Request::Check { .. } => self.input(Input::Check(token)),
            Request::Rollback => self.input(Input::RollBack(token)),
            Request::Forget { digest } => self.input(Input::Forget(digest, token)),
            Request::Status => {
                let status = Reply::Status(Box::new(self.status()));
                self.server.reply(token, &status);
            }
        }
    }

    pub(super) fn status(&mut self) -> Status {
        let slots = self.ground.slots();
        let target = self.settings.target.as_ref().map(ToString::to_string);
        let mut status = crate::report::report(&RealDisk, &self.ground.layout, &slots, target);
        let now = self.now();
        let view = self.machine.view(now);
        let left = |at: Millis| at.saturating_sub(now);
        if let (Some(probation), Some(run)) = (&mut status.probation, &view.run) {
            probation.seconds_left = run.probation_ends.map(|at| left(at) / 1000);
        }
        let running = view.run.as_ref().map(|run| run.version.digest);
        if running.is_some()
            && let Some(waiting) = status.trying.take_if(|trying| Some(trying.digest) != running)
        {
            // A full disk kept its link where it is (I8).
            status.staged.get_or_insert(waiting);
        }
        status.supervisor = Some(SupervisorStatus {
            pid: std::process::id(),
            phase: view.phase.to_owned(),
            detail: view.detail,
            app_pid: self.children.app.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()),
            running,
            running_seconds: view.run.as_ref().map(|run| now.saturating_sub(run.since) / 1000),
            starts: view.starts,
            trial_ends_in_ms: view.run.as_ref().and_then(|run| run.trial_ends).map(left),
            next_check_seconds: view.next_check.map(|at| left(at) / 1000),
            pulling: view.helper == Some(Helper::Check),
        });
        status
    }
}

/// Whether a request may be made: by the run that `generation` names, or by whoever is trusted.
///
/// # Errors
/// Why not.
pub(in crate::supervisor) fn allowed(
    request: &Request,
    generation: &str,
    trusted: bool,
) -> Result<(), &'static str> {
    match request {
        Request::Ready { generation: asking }
        | Request::Extend { generation: asking, .. }
        | Request::Check { generation: asking } => match asking {
            Some(asking) if asking == generation => Ok(()),
            Some(_) => Err("this run is over: another one has taken its place"),
            None if trusted => Ok(()),
            None => Err("only root, the supervisor's user and the application itself may ask this"),
        },
        Request::Status => Ok(()),
        Request::Rollback | Request::Forget { .. } if trusted => Ok(()),
        Request::Rollback | Request::Forget { .. } => Err("only root and the supervisor's user may ask this"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn only_the_run_that_goes_on_speaks_for_itself_and_only_the_trusted_for_others() {
        let run = |name: &str| Some(name.to_owned());
        let forget = Request::Forget { digest: Digest::from_bytes([1; 32]) };
        for (request, trusted, expected) in [
            (Request::Ready { generation: run("now") }, false, true),
            (Request::Ready { generation: run("before") }, false, false),
            (Request::Ready { generation: run("before") }, true, false),
            (Request::Ready { generation: None }, false, false),
            (Request::Ready { generation: None }, true, true),
            (Request::Extend { generation: run("before"), milliseconds: 1 }, true, false),
            (Request::Check { generation: run("now") }, false, true),
            (Request::Status, false, true),
            (Request::Rollback, false, false),
            (Request::Rollback, true, true),
            (forget.clone(), false, false),
            (forget, true, true),
        ] {
            assert_eq!(allowed(&request, "now", trusted).is_ok(), expected, "{request:?} {trusted}");
        }
    }
}
