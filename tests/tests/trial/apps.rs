//! Applications in shell, as small as they can be.

use tests::programs::text;
use tests::supervised::Stage;
use tests::wait::eventually;

/// Says that it is ready, by the supervisor's own command.
pub(crate) const READY: &str = "$DOCKERLOADER_BINARY ready --json >> @notes/replies 2>> @notes/refusals";

/// Ends with 0 when it is asked to stop: said before anything is noted, so that whoever reads the note may ask.
pub(crate) const POLITE: &str = "trap 'exit 0' TERM";

/// Runs until it is asked to stop.
pub(crate) const SERVE: &str = "while :; do sleep 600 & wait $!; done";

/// A version that runs, and one that it is about to be replaced by.
pub(crate) struct Update {
    pub(crate) stage: Stage,
    pub(crate) old: String,
    pub(crate) new: String,
}

impl Update {
    /// The old version stages the new one at its first start and exits with 42; from then on it serves. Each start is noted.
    pub(crate) fn to(new: &str) -> Self {
        Self::between("", new)
    }

    /// Likewise; the old version does something more before it first exits.
    pub(crate) fn between(before: &str, new: &str) -> Self {
        let stage = Stage::new();
        let new =
            stage.ground.plant("new", &stage.script(&format!("{POLITE}\necho new >> @notes/starts\n{new}")));
        let old = format!(
            "{POLITE}\necho old >> @notes/starts\nif [ ! -e @notes/staged ]; then\n{before}\n{}\n: > @notes/staged; exit 42\nfi\n{SERVE}",
            staging(&stage, &new)
        );
        let old = stage.plant("entrypoint", "old", &old);
        Self { stage, old, new }
    }

    /// The versions that were started, in order.
    pub(crate) fn starts(&self) -> Vec<String> {
        self.stage.noted("starts").unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits until these were started, in this order: the last of them has begun.
    pub(crate) fn await_starts(&self, expected: &[&str]) {
        eventually(&format!("the starts {expected:?}"), || (self.starts() == expected).then_some(()));
    }

    /// The new version is current, the old one the way back, and nothing is under way.
    pub(crate) fn assert_committed(&self) {
        self.assert_slots([Some(&self.new), Some(&self.old), None, None]);
        assert_eq!(self.stage.update_attempt(), None);
    }

    /// The old version is current, and nothing is under way. The new one's own fault is written down as the contract has it.
    pub(crate) fn assert_rolled_back(&self, by_its_fault: bool) {
        self.assert_slots([Some(&self.old), None, None, None]);
        assert_eq!(self.stage.update_attempt(), by_its_fault.then(|| self.new.clone()));
    }

    /// Current, previous, staged, trying.
    pub(crate) fn assert_slots(&self, expected: [Option<&String>; 4]) {
        let names = ["entrypoint", "entrypoint-previous", "entrypoint-attempt", "entrypoint-attempting"];
        let found = names.map(|name| self.stage.ground.read_slot(name));
        assert_eq!(found.each_ref().map(Option::as_ref), expected, "of {names:?}");
    }
}

/// The shell commands by which an application of the file contract stages a version.
pub(crate) fn staging(stage: &Stage, digest: &str) -> String {
    let (tree, root) = (stage.ground.tree(digest), stage.ground.root());
    format!("ln -sfn {}/entrypoint {}/entrypoint-attempt", text(&tree), text(&root))
}
