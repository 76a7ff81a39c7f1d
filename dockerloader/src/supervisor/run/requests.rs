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
        let allowed = match &request {
            Request::Ready { generation }
            | Request::Extend { generation, .. }
            | Request::Check { generation } => match generation {
                Some(generation) if *generation == self.generation => Ok(()),
                Some(_) => Err("this run is over: another one has taken its place"),
                None if trusted => Ok(()),
                None => Err("only root, the supervisor's user and the application itself may ask this"),
            },
            Request::Status => Ok(()),
            Request::Rollback | Request::Forget { .. } if trusted => Ok(()),
            Request::Rollback | Request::Forget { .. } => {
                Err("only root and the supervisor's user may ask this")
            }
        };
        if let Err(reason) = allowed {
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
        status.supervisor = Some(SupervisorStatus {
            pid: std::process::id(),
            phase: view.phase.to_owned(),
            detail: view.detail,
            app_pid: self.children.app.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()),
            running: view.run.as_ref().map(|run| run.version.digest),
            running_seconds: view.run.as_ref().map(|run| now.saturating_sub(run.since) / 1000),
            starts: view.starts,
            trial_ends_in_ms: view.run.as_ref().and_then(|run| run.trial_ends).map(left),
            next_check_seconds: view.next_check.map(|at| left(at) / 1000),
            pulling: view.helper == Some(Helper::Check),
        });
        status
    }
}
