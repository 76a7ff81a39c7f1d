//! Where the machine stands, in words: for status and refusals.

use super::{Helper, Machine, Millis, Phase, Run, Then};

/// Where the machine stands, for status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct View {
    pub(in crate::supervisor) phase: &'static str,
    pub(in crate::supervisor) detail: String,
    pub(in crate::supervisor) run: Option<Run>,
    pub(in crate::supervisor) starts: u64,
    pub(in crate::supervisor) next_check: Option<Millis>,
    pub(in crate::supervisor) helper: Option<Helper>,
}

impl Machine {
    /// Where the machine stands.
    pub(in crate::supervisor) fn view(&self, now: Millis) -> View {
        let seconds = |until: Millis| until.saturating_sub(now).div_ceil(1000);
        let (phase, detail) = match &self.phase {
            Phase::Begin => ("starting", "starting".to_owned()),
            Phase::Installing { retry_at: None } => ("installing", "pulling the first version".to_owned()),
            Phase::Installing { retry_at: Some(at) } => (
                "waiting",
                format!("the first version could not be installed; next try in {} s", seconds(*at)),
            ),
            Phase::Restoring { digest, .. } => {
                ("restoring", format!("rebuilding the tree of {}", digest.short()))
            }
            Phase::Verifying { digest, .. } => {
                ("verifying", format!("looking at the files of {} before it starts", digest.short()))
            }
            Phase::LookingFirst { .. } => {
                ("waiting", "the last run crashed; looking for an update before starting it again".to_owned())
            }
            Phase::Running(Run { trial_ends: Some(ends), .. }) => {
                ("trial", format!("on trial; {} s left to become ready", seconds(*ends)))
            }
            Phase::Running(Run { probation_ends: Some(ends), .. }) => {
                ("running", format!("running, on probation for {} s more", seconds(*ends)))
            }
            Phase::Running(_) => ("running", "running".to_owned()),
            Phase::BackOff { until } => (
                "back_off",
                format!("it asked for a restart with nothing staged; started again in {} s", seconds(*until)),
            ),
            Phase::Stopping { then, .. } => ("stopping", format!("stopping, {}", then.purpose())),
            Phase::Left => ("leaving", "leaving".to_owned()),
        };
        View {
            phase,
            detail,
            run: self.run().cloned(),
            starts: self.starts,
            next_check: self.next_check(),
            helper: self.helper,
        }
    }
}

impl Then {
    pub(super) const fn purpose(&self) -> &'static str {
        match self {
            Self::Leave => "to leave",
            Self::Swap => "to try the staged version",
            Self::FailTrial { .. } => "because the trial failed",
            Self::Hung => "because it hangs",
            Self::RollBack => "to roll back",
            Self::Mend => "to repair its files",
            Self::Ended => "what the application left behind",
        }
    }
}
