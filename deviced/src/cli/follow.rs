//! Follows what is done, until it is over.

use std::time::Duration;

use dockerloader::clock;

use super::arguments::Wait;
use super::client::{Client, encoded};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::following::{Following, Standing};
use super::screen::Screen;
use super::show::of;
use super::text::duration;
use crate::report::{OperationReport, OperationsReport, Report};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// deviced may be away for so long: it replaces itself, or is restarted.
const AWAY: Duration = Duration::from_secs(30);

/// Follows everything until the device is as the document says.
pub(super) async fn everything(
    client: &Client,
    following: &mut Following,
    wait: &Wait,
    screen: &mut Screen,
) -> Result<Exit> {
    let mut looks = Looks::new(wait);
    loop {
        let seen = match client.get("/v1/operations").await {
            Ok(operations) => client.get("/v1/status").await.map(|report| (operations, report)),
            Err(failure) => Err(failure),
        };
        if let Some((operations, report)) = looks.seen(seen)? {
            let known: OperationsReport = operations.json()?;
            for operation in following.news(&known.operations) {
                screen.tell(&operation)?;
            }
            let report: Report = report.json()?;
            screen.pulls(&report.containers)?;
            match following.standing(&report, looks.passed()) {
                Standing::Going => {}
                Standing::Settled { waiting } => {
                    for (container, why) in waiting {
                        screen.say(&format!("{container} waits: {why}"))?;
                    }
                    let revision = report.document.revision;
                    screen
                        .say(&format!("Document r{revision} is in force, and the device is as it says."))?;
                    return Ok(Exit::Done);
                }
                Standing::Failed(failed) => {
                    let mut names = Vec::new();
                    for (container, why) in &failed {
                        screen.say(&format!("{container}: {why}"))?;
                        names.push(container.as_str());
                    }
                    return Err(Failure::new(
                        Exit::No,
                        format!(
                            "document r{} is in force, but not everything went well ({}); `deviced why ID` says more",
                            report.document.revision,
                            names.join(", ")
                        ),
                    ));
                }
            }
        }
        looks.pause().await?;
    }
}

/// Follows one operation on a container to its end. Whether it did what it was for.
pub(super) async fn operation(
    client: &Client,
    container: &str,
    id: &str,
    wait: &Wait,
    screen: &mut Screen,
) -> Result<Exit> {
    let path = format!("/v1/operations/{}", encoded(id));
    let mut looks = Looks::new(wait);
    let mut last = None;
    loop {
        if let Some(answer) = looks.seen(client.get(&*path).await)? {
            let operation: OperationReport = answer.json()?;
            if last.as_ref() != Some(&operation) {
                screen.tell(&operation)?;
            }
            match operation.state.as_str() {
                "done" => return Ok(Exit::Done),
                "failed" => return Ok(Exit::No),
                _ => last = Some(operation),
            }
            // How far its image is.
            if let Some(answer) = client.find(of(container, "")).await.unwrap_or_default() {
                screen.pulls(&[answer.json()?])?;
            }
        }
        looks.pause().await?;
    }
}

/// When is looked, and when no more.
struct Looks {
    began: clock::Instant,
    limit: Duration,
    away: Option<clock::Instant>,
}

impl Looks {
    fn new(wait: &Wait) -> Self {
        Self { began: clock::now(), limit: wait.timeout.0, away: None }
    }

    fn passed(&self) -> Duration {
        clock::now().saturating_duration_since(self.began)
    }

    /// What was seen; nothing while deviced is away, but not for ever.
    fn seen<T>(&mut self, seen: Result<T>) -> Result<Option<T>> {
        match seen {
            Ok(seen) => {
                self.away = None;
                Ok(Some(seen))
            }
            Err(failure) if failure.exit == Exit::Unreachable => {
                let now = clock::now();
                let since = *self.away.get_or_insert(now);
                if now.saturating_duration_since(since) > AWAY { Err(failure) } else { Ok(None) }
            }
            Err(failure) => Err(failure),
        }
    }

    async fn pause(&self) -> Result<()> {
        if self.passed() >= self.limit {
            return Err(Failure::new(
                Exit::Later,
                format!(
                    "it is not over after {}, and goes on; `deviced status` says how far it is",
                    duration(self.limit.as_secs())
                ),
            ));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
