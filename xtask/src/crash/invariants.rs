//! The invariants as properties of a data directory, before anybody recovers it: one function each. What can only be seen while
//! something runs is checked by `recover`.

use super::versions::{BAD, COUNT, Versions};
use super::view::{Memory, Named, Reference, Slot, Trials, View, store};

/// What is known about a moment besides the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    /// What was executed on trial so far, since each was staged.
    pub(super) trials: Trials,
    /// Something was executed, and has not ended in order since.
    pub(super) runs: bool,
    /// The episode is over: what it reported as done has to stay.
    pub(super) is_over: bool,
}

/// What is known about an episode.
#[derive(Debug)]
pub(super) struct Known<'k> {
    pub(super) versions: &'k Versions,
    /// What each version that was ever installed has to be.
    pub(super) references: &'k [Option<Reference>],
    /// Whether there was a version to run at its beginning.
    pub(super) had_current: bool,
    /// Whether there was a `state.json`.
    pub(super) had_memory: bool,
    /// The versions that had failed before.
    pub(super) failed: [bool; COUNT],
    /// The version that was on trial at its beginning: its link may still be there.
    pub(super) tried: Option<usize>,
    /// The slots at its end.
    pub(super) end: [Named; 4],
}

type Property = fn(&View<'_>, &Known<'_>, &Facts) -> Option<String>;

/// All of them, with the words of the design. I7 can't be seen on a disk: no lock is a name or a file's contents.
pub(super) const PROPERTIES: [(&str, Property); 7] =
    [("I1", i1), ("I2", i2), ("I3", i3), ("I4", i4), ("I5", i5), ("I6", i6), ("I8", i8)];

/// The first property that a state violates, and how.
pub(super) fn violation(view: &View<'_>, known: &Known<'_>, facts: &Facts) -> Option<(&'static str, String)> {
    PROPERTIES.iter().find_map(|(name, property)| Some((*name, property(view, known, facts)?)))
}

fn name(version: usize) -> String {
    format!("v{}", version + 1)
}

/// After any fault, the last known good version starts by itself: `entrypoint` names a good version that is there.
fn i1(view: &View<'_>, known: &Known<'_>, _: &Facts) -> Option<String> {
    match view.slot(Slot::Current) {
        Named::Nothing if known.had_current => Some("entrypoint is gone".into()),
        Named::Nothing => None,
        Named::Other(what) => Some(format!("entrypoint is {what}")),
        Named::Version(BAD) => Some("entrypoint names the version that failed".into()),
        Named::Version(version) if !view.has_program(*version) => {
            Some(format!("entrypoint names {}, which is not on disk", name(*version)))
        }
        Named::Version(_) => None,
    }
}

/// No executed file differs from its digest: a tree under a version's name is whole, and so is what says how to start it; and an
/// end without order looks like one.
fn i2(view: &View<'_>, known: &Known<'_>, facts: &Facts) -> Option<String> {
    if facts.runs && view.file("dockerloader/stopped").is_some() {
        return Some(
            "it looks as if it had ended in order, so that nobody verifies what the crash left".into(),
        );
    }
    let trees = view.names("extracted").filter_map(|name| view.versions.find(&name));
    let mut differences = trees.filter_map(|version| {
        let reference = known.references[version].as_ref()?;
        Some(format!(
            "the tree of {} is not what was extracted: {}",
            name(version),
            view.tree_difference(version, reference)?
        ))
    });
    let damaged = |version: usize| {
        let reference = known.references[version].as_ref()?;
        let difference =
            view.file_difference("launch", version, reference).filter(|what| *what == "is damaged")?;
        Some(format!("the launch file of {} {difference}", name(version)))
    };
    differences.next().or_else(|| (0..COUNT).find_map(damaged))
}

/// What a slot or the memory names is on disk, with all that belongs to it; and a version on probation, or one that was rejected by hand, has a
/// way back.
fn i3(view: &View<'_>, known: &Known<'_>, _: &Facts) -> Option<String> {
    let on_probation =
        view.remembered("/probation/digest").as_str().and_then(|digest| view.versions.find(digest));
    let is_concluded = view.remembered("/trial").is_null() && on_probation.is_some();
    let current = view.version(Slot::Current);
    let has_way_back = view.version(Slot::Previous).is_some_and(|way_back| Some(way_back) != current);
    if is_concluded && current == on_probation && !has_way_back {
        return Some("the version on probation has no way back".into());
    }
    if current.is_some_and(|current| view.verdict(current) == Some("operator")) && !has_way_back {
        return Some("the version that was rejected by hand has no way back".into());
    }
    let by_slots = Slot::ALL.iter().filter_map(|slot| Some((slot.name(), view.version(*slot)?)));
    let from = view.remembered("/trial/from/0").as_str().and_then(|digest| view.versions.find(digest));
    for (who, version) in by_slots.chain(from.map(|from| ("the trial's record", from))) {
        let what = |what: &str| Some(format!("{who} names {}, whose {what}", name(version)));
        if !view.has_program(version) {
            return what("program is missing");
        }
        let Some(reference) = &known.references[version] else { return what("tree should not be there yet") };
        for folder in ["seals", "launch", "images"] {
            if let Some(difference) = view.file_difference(folder, version, reference) {
                return what(&format!("file in {folder} {difference}"));
            }
        }
        if let Some(blob) =
            view.versions.blobs(version).find(|blob| view.file(&store(&["blobs", blob])).is_none())
        {
            return what(&format!("blob {blob} is missing"));
        }
    }
    None
}

/// A version that the app itself failed on is never started again unasked: when its trial is over, the verdict stands, in both
/// places; and a verdict that was there stays.
fn i4(view: &View<'_>, known: &Known<'_>, facts: &Facts) -> Option<String> {
    let is_in = |slot| view.version(slot) == Some(BAD);
    let is_judged = view.verdict(BAD) == Some("app");
    let trial_is_over = facts.trials[BAD] > 0 && !is_in(Slot::Attempting) && !is_in(Slot::Attempt);
    let marked =
        view.update_attempt.as_deref().is_some_and(|text| view.versions.find(text.trim()) == Some(BAD));
    if trial_is_over && !(is_judged && marked) {
        return Some(format!("{} failed in its trial, and nothing says so any more", name(BAD)));
    }
    if known.failed[BAD] && !is_judged {
        return Some(format!("the verdict on {} is lost", name(BAD)));
    }
    let tried = is_in(Slot::Attempting) && known.failed[BAD] && known.tried != Some(BAD);
    tried.then(|| format!("{} is on trial again", name(BAD)))
}

/// A version that was never judged by the app is not blacklisted; and each attempt is counted before it is made, so that one that
/// was interrupted is told from one that failed.
fn i5(view: &View<'_>, _: &Known<'_>, facts: &Facts) -> Option<String> {
    for version in (0..COUNT).filter(|version| *version != BAD) {
        if view.verdict(version) == Some("app") {
            return Some(format!("{} was judged though it never failed", name(version)));
        }
        if view.update_attempt.as_deref().is_some_and(|text| view.versions.find(text.trim()) == Some(version))
        {
            return Some(format!("update-attempt names {}, which never failed", name(version)));
        }
    }
    if let Some(version) = view.version(Slot::Attempting).or(view.version(Slot::Attempt)) {
        let trial = view.remembered("/trial");
        let is_counted = trial["digest"] == view.versions.digest(version);
        let attempts = if is_counted { trial["attempts"].as_u64().unwrap_or(0) } else { 0 };
        let is_judged = view.verdict(version).is_some();
        let at_least = facts.trials[version].max(u32::from(view.version(Slot::Attempting).is_some()));
        if attempts < u64::from(at_least) && !is_judged {
            return Some(format!(
                "{} was tried {at_least} times, of which {attempts} are counted",
                name(version)
            ));
        }
    }
    None
}

/// A restart converges: the memory it goes by is there and whole.
fn i6(view: &View<'_>, known: &Known<'_>, _: &Facts) -> Option<String> {
    match &view.memory {
        Memory::Absent if known.had_memory => Some("state.json is gone".into()),
        Memory::Broken(why) => Some(format!("state.json is broken: {why}")),
        Memory::Absent | Memory::Whole(_) => {
            let text = view.update_attempt.as_deref()?;
            view.versions.find(text.trim()).is_none().then(|| format!("update-attempt is broken: {text:?}"))
        }
    }
}

/// What is reported is real: a name says what it is of, and what was reported as done stays done.
fn i8(view: &View<'_>, known: &Known<'_>, facts: &Facts) -> Option<String> {
    for folder in ["blobs", "images"] {
        for name in view.names(folder).filter(|name| name.starts_with("sha256:")) {
            let found = view.file(&store(&[folder, &name])).map(|bytes| bytes.bytes.as_slice());
            if found != view.versions.bytes(&name) {
                return Some(format!("{folder}/{name} is not what its name says"));
            }
        }
    }
    if facts.is_over && view.slots != known.end {
        return Some(format!("what was done is undone: the slots are {:?}, not {:?}", view.slots, known.end));
    }
    None
}
