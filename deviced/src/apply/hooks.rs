//! Commands in a container around its replacement.

use super::{Context, Error};
use crate::engine::{ContainerId, Engine, Executed};
use crate::plan::HooksEnd;

/// `sysexits.h`, EX_TEMPFAIL: not now.
const NOT_NOW: i64 = 75;

impl<E: Engine> Context<E> {
    /// Runs the `pre` hooks until one does not end with 0.
    pub(super) async fn pre_hooks(&self, id: &ContainerId) -> Result<HooksEnd, Error> {
        for hook in &self.hooks.pre {
            let ended = self.engine.exec(id, &hook.command.0, hook.timeout.0).await;
            let command = hook.command.0.join(" ");
            match ended {
                Ok(Executed { code: 0, .. }) => {}
                Ok(Executed { code: NOT_NOW, .. }) => {
                    self.say("hook", &format!("{}: {command:?} says: not now", self.subject));
                    return Ok(HooksEnd::NotNow(self.postponement));
                }
                Ok(Executed { code, output }) => {
                    let text = format!("{command:?} ended with {code}: {}", output.trim());
                    self.say("hook", &format!("{}: {text}", self.subject));
                    return Ok(HooksEnd::Failed(text));
                }
                Err(error) if error.is_about_engine() && self.engine.facts().await.is_err() => {
                    return Err(error.into());
                }
                Err(error) => {
                    let text = format!("{command:?} could not be run: {error}");
                    self.say("hook", &format!("{}: {text}", self.subject));
                    return Ok(HooksEnd::Failed(text));
                }
            }
        }
        Ok(HooksEnd::Done)
    }

    /// Runs the `post` hooks. What goes wrong is said, and changes nothing.
    pub(super) async fn post_hooks(&self, id: &ContainerId) {
        for hook in &self.hooks.post {
            let command = hook.command.0.join(" ");
            let problem = match self.engine.exec(id, &hook.command.0, hook.timeout.0).await {
                Ok(Executed { code: 0, .. }) => continue,
                Ok(Executed { code, output }) => format!("{command:?} ended with {code}: {}", output.trim()),
                Err(error) => format!("{command:?} could not be run: {error}"),
            };
            tracing::warn!(event = "post_hook_failed", container = %self.subject, "{}: {problem}", self.subject);
            self.say("hook", &format!("{}: after the update, {problem}", self.subject));
        }
    }

    /// Tells those who follow. That nobody could be told is no reason to stop.
    pub(super) fn say(&self, kind: &str, text: &str) {
        if let Err(error) = self.history.happen(kind, Some(&self.subject), text) {
            tracing::warn!(event = "history", %error, "{text}");
        }
    }
}
