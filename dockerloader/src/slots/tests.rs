use std::path::Path;

use super::decide::perform;
use super::*;
use crate::digest::Digest;
use crate::disk::{Disk as _, Kind, RealDisk};
use crate::layout::{Layout, Slot};

fn digest(letter: char) -> Digest {
    let hex = if letter.is_ascii_hexdigit() { letter } else { '9' };
    format!("sha256:{}", hex.to_string().repeat(64)).parse().unwrap()
}

fn version(letter: char) -> Link {
    Link::Version(named(letter))
}

fn named(letter: char) -> Named {
    Named { digest: digest(letter), program: "entrypoint".to_owned() }
}

/// One letter a slot: `.` absent, a letter a version, `~` before it dangling, `!` foreign. Order: current, attempt,
/// attempting, previous.
fn slots(text: &str) -> Slots {
    let mut slots = Slots::default();
    for (slot, word) in
        [Slot::Current, Slot::Attempt, Slot::Attempting, Slot::Previous].into_iter().zip(text.split(' '))
    {
        *slots.link_mut(slot) = match word.as_bytes() {
            b"." => Link::Absent,
            b"!" => Link::Foreign("a file, not a link".to_owned()),
            [b'~', letter] => Link::Dangling(named(char::from(*letter))),
            [letter] => version(char::from(*letter)),
            _ => panic!("{word}"),
        };
    }
    slots
}

fn shown(slots: &Slots) -> String {
    let letter = |named: &Named| {
        if named.digest == digest('p') { "p".to_owned() } else { named.digest.hex()[..1].to_owned() }
    };
    let word = |slot| match slots.link(slot) {
        Link::Absent => ".".to_owned(),
        Link::Foreign(_) => "!".to_owned(),
        Link::Dangling(named) => format!("~{}", letter(named)),
        Link::Version(named) => letter(named),
    };
    [Slot::Current, Slot::Attempt, Slot::Attempting, Slot::Previous].map(word).join(" ")
}

fn after(mut slots: Slots, event: &Event) -> (Slots, Vec<Step>) {
    let steps = decide(&slots, event, &Policy::default());
    assert_eq!(check::check(&slots, &steps), Ok(()), "{} {event:?}", shown(&slots));
    for step in &steps {
        perform(&mut slots, step);
    }
    (slots, steps)
}

fn failed() -> Event {
    Event::TrialFailed {
        kind: VerdictKind::App,
        reason: "exited with 1".to_owned(),
        output: vec!["boom".to_owned()],
    }
}

fn crashed() -> Event {
    Event::Crashed { reason: "exited with 1".to_owned(), output: Vec::new() }
}

fn on_trial(text: &str, attempts: u32) -> Slots {
    let mut slots = slots(text);
    slots.memory.trial = Some(Trial {
        digest: slots.attempting.digest().unwrap(),
        attempts,
        from: slots.current.version().map(|named| (named.digest, named.program.clone())),
    });
    slots
}

#[test]
fn each_state_and_event_leads_to_the_state_of_this_table() {
    let rows: &[(&str, Event, &str)] = &[
        // Start: first install, nothing, staged, interrupted.
        (". . . .", Event::Start, ". . . ."),
        (". b . .", Event::Start, "b . . ."),
        (". . . p", Event::Start, "p . . p"),
        (". b . p", Event::Start, "b . . p"),
        ("a . . .", Event::Start, "a . . ."),
        ("a b . .", Event::Start, "a . b ."),
        ("a a . .", Event::Start, "a . . ."),
        ("a . b .", Event::Start, "a . b ."),
        ("a c b .", Event::Start, "a . c ."),
        ("a . a .", Event::Start, "a . . ."),
        (". . b .", Event::Start, "b . . ."),
        // Start: what is broken or not ours.
        ("~a . . .", Event::Start, "~a . . ."),
        ("~a . . p", Event::Start, "~a . . p"),
        ("~a b . .", Event::Start, "~a b . ."),
        ("a ~b . .", Event::Start, "a . . ."),
        ("a . ~b .", Event::Start, "a . . ."),
        ("a . . ~p", Event::Start, "a . . ~p"),
        ("! . . .", Event::Start, ". . . ."),
        ("! . . p", Event::Start, "p . . p"),
        ("! b . .", Event::Start, "b . . ."),
        ("a ! ! !", Event::Start, "a . . ."),
        // Ready.
        ("a . b .", Event::Ready, "b . . a"),
        ("a . b p", Event::Ready, "b . . a"),
        ("a c b p", Event::Ready, "b c . a"),
        ("a . . p", Event::Ready, "a . . p"),
        (". . . .", Event::Ready, ". . . ."),
        // A trial that failed, or was stopped.
        ("a . b p", failed(), "a . . p"),
        ("a c b p", failed(), "a c . p"),
        ("a . . p", failed(), "a . . p"),
        ("a . b p", Event::TrialStopped, "a b . p"),
        ("a c b p", Event::TrialStopped, "a c . p"),
        ("a . . p", Event::TrialStopped, "a . . p"),
        // The current version fails.
        ("a . . p", crashed(), "a . . p"),
        ("a . . p", Event::Unstartable { reason: "no such file".to_owned() }, "p . . p"),
        ("~a . . p", Event::Unstartable { reason: "no such file".to_owned() }, "p . . p"),
        ("~a b . .", Event::Unstartable { reason: "no such file".to_owned() }, "b . . ."),
        ("a . . a", Event::Unstartable { reason: "no such file".to_owned() }, "a . . a"),
        ("a . . .", Event::Unstartable { reason: "no such file".to_owned() }, "a . . ."),
        // By hand.
        ("a . . p", Event::RollBack, "p . . a"),
        ("a a . p", Event::RollBack, "p . . a"),
        ("a c . p", Event::RollBack, "p c . a"),
        ("a . b p", Event::RollBack, "a . . p"),
        ("a . . .", Event::RollBack, "a . . ."),
        ("a . . a", Event::RollBack, "a . . a"),
        ("a . . ~p", Event::RollBack, "a . . ~p"),
        (". . . .", Event::RollBack, ". . . ."),
        ("a . . p", Event::ProbationOver, "a . . p"),
        ("a . . p", Event::Forget(digest('b')), "a . . p"),
    ];
    for (before, event, expected) in rows {
        let (result, _) = after(slots(before), event);
        assert_eq!(shown(&result), *expected, "{before} {event:?}");
    }
}

/// Every combination of links x every event: the second opinion agrees, each prefix is a state from which a start goes on
/// to a fixed point, and nothing that could run before can't afterwards.
#[test]
fn every_state_and_event_passes_the_check_and_converges() {
    let words = [".", "!", "a", "b", "~a", "~c"];
    let events = [
        Event::Start,
        Event::Ready,
        failed(),
        Event::TrialStopped,
        crashed(),
        Event::RollBack,
        Event::ProbationOver,
    ];
    let mut cases = 0;
    for (current, attempt, attempting, previous) in itertools4(&words) {
        for with_trial in [false, true] {
            let mut before = slots(&format!("{current} {attempt} {attempting} {previous}"));
            if with_trial {
                before.memory.trial = Some(Trial { digest: digest('b'), attempts: 3, from: None });
                before.memory.probation = Some(Crashes { digest: digest('a'), count: 2 });
            }
            for event in &events {
                let steps = decide(&before, event, &Policy::default());
                assert_eq!(check::check(&before, &steps), Ok(()), "{} {event:?} {steps:?}", shown(&before));
                let mut now = before.clone();
                for cut in 0..=steps.len() {
                    if let Some(step) = cut.checked_sub(1).and_then(|at| steps.get(at)) {
                        perform(&mut now, step);
                    }
                    let (settled, _) = after(now.clone(), &Event::Start);
                    let runs =
                        |slots: &Slots| !matches!(next_run(slots), NextRun::Nothing | NextRun::Missing(_));
                    let (could, _) = after(before.clone(), &Event::Start);
                    assert!(runs(&settled) || !runs(&could), "{} {event:?} cut {cut}", shown(&before));
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 18_000, "{cases}");
}

fn itertools4<'w>(words: &'w [&'w str]) -> impl Iterator<Item = (&'w str, &'w str, &'w str, &'w str)> {
    words.iter().flat_map(move |a| {
        words
            .iter()
            .flat_map(move |b| words.iter().flat_map(move |c| words.iter().map(move |d| (*a, *b, *c, *d))))
    })
}

#[test]
fn an_attempt_is_counted_before_it_is_made() {
    let (tried, steps) = after(slots("a b . ."), &Event::Start);
    assert!(matches!(steps.as_slice(), [Step::Remember(_), Step::Move { .. }]), "{steps:?}");
    let trial = tried.memory.trial.clone().unwrap();
    assert_eq!((trial.digest, trial.attempts), (digest('b'), 1));
    assert_eq!(next_run(&tried), NextRun::Trial(named('b')));
}

#[test]
fn a_failed_version_is_never_tried_again_unasked() {
    let (rolled_back, _) = after(on_trial("a . b .", 1), &failed());
    assert_eq!(rolled_back.update_attempt, Some(digest('b')));
    let verdict = rolled_back.memory.verdict(&digest('b')).unwrap();
    assert_eq!((verdict.kind, verdict.output.as_slice()), (VerdictKind::App, ["boom".to_owned()].as_slice()));
    // I4: staged again, it is put away.
    let mut again = rolled_back;
    again.attempt = version('b');
    let (started, _) = after(again.clone(), &Event::Start);
    assert_eq!(shown(&started), "a . . .");
    assert!(started.rejected(&digest('b'), &0.into()).is_some());
    // Unless a person forgets the verdict.
    let (forgotten, _) = after(again, &Event::Forget(digest('b')));
    assert_eq!((forgotten.update_attempt, forgotten.rejected(&digest('b'), &0.into())), (None, None));
    assert_eq!(shown(&after(forgotten, &Event::Start).0), "a . b .");
}

#[test]
fn several_bad_versions_are_all_remembered() {
    let mut slots = slots("a . . .");
    for bad in ['b', 'c', 'd'] {
        slots.attempt = version(bad);
        (slots, _) = after(slots, &Event::Start);
        (slots, _) = after(slots, &failed());
    }
    for bad in ['b', 'c', 'd'] {
        assert!(slots.rejected(&digest(bad), &(1 << 40).into()).is_some(), "{bad}");
    }
}

#[test]
fn interruptions_have_a_budget_and_no_blame() {
    let mut slots = slots("a b . .");
    for attempt in 1..=3 {
        (slots, _) = after(slots, &Event::Start);
        assert_eq!(shown(&slots), "a . b .", "attempt {attempt}");
    }
    (slots, _) = after(slots, &Event::Start);
    assert_eq!(shown(&slots), "a . . .");
    let verdict = slots.memory.verdict(&digest('b')).unwrap();
    assert_eq!((verdict.kind, verdict.retry_seconds()), (VerdictKind::Interrupted, Some(60)));
    assert!(slots.update_attempt.is_none(), "I5: the app was never judged");
    assert!(
        slots.rejected(&digest('b'), &59.into()).is_some()
            && slots.rejected(&digest('b'), &60.into()).is_none()
    );
    // A polite stop costs nothing.
    let mut slots = on_trial("a . b .", 3);
    (slots, _) = after(slots, &Event::TrialStopped);
    (slots, _) = after(slots, &Event::Start);
    assert_eq!((shown(&slots).as_str(), slots.memory.trial.unwrap().attempts), ("a . b .", 3));
}

#[test]
fn a_commit_lays_the_way_back_and_begins_probation() {
    let mut trial = on_trial("a . b p", 1);
    trial.update_attempt = Some(digest('d'));
    let (committed, _) = after(trial, &Event::Ready);
    assert_eq!(shown(&committed), "b . . a");
    assert_eq!(committed.memory.probation, Some(Crashes { digest: digest('b'), count: 0 }));
    assert_eq!((committed.memory.trial, committed.update_attempt), (None, None));
}

#[test]
fn a_commit_by_rename_is_finished_by_the_next_event() {
    // An application of the file contract renames the link itself.
    for event in [Event::Start, crashed(), failed(), Event::TrialStopped, Event::Ready] {
        let mut slots = on_trial("a . b p", 1);
        slots.current = std::mem::take(&mut slots.attempting);
        let (finished, _) = after(slots, &event);
        assert_eq!(shown(&finished), "b . . a", "{event:?}");
        assert!(finished.memory.trial.is_none() && finished.memory.verdicts.is_empty(), "{event:?}");
    }
}

#[test]
fn a_crash_loop_in_probation_rolls_back() {
    let (mut slots, _) = after(on_trial("a . b .", 1), &Event::Ready);
    for count in 1..=2 {
        (slots, _) = after(slots, &crashed());
        assert_eq!(slots.memory.probation, Some(Crashes { digest: digest('b'), count }));
        assert_eq!(shown(&slots), "b . . a");
    }
    (slots, _) = after(slots, &crashed());
    assert_eq!(shown(&slots), "a . . a");
    assert_eq!(slots.memory.verdict(&digest('b')).unwrap().kind, VerdictKind::App);
    // After probation, crashes are counted but change nothing.
    let (slots, _) = after(on_trial("a . b .", 1), &Event::Ready);
    let (mut slots, _) = after(slots, &Event::ProbationOver);
    for _ in 0..10 {
        (slots, _) = after(slots, &crashed());
    }
    assert_eq!((shown(&slots).as_str(), slots.memory.crashes.unwrap().count), ("b . . a", 10));
}

#[test]
fn a_rollback_by_hand_holds_until_it_is_forgotten_or_undone() {
    let (back, _) = after(slots("b . . a"), &Event::RollBack);
    assert_eq!(shown(&back), "a . . b");
    assert_eq!(back.memory.verdict(&digest('b')).unwrap().kind, VerdictKind::Operator);
    let (forth, _) = after(back, &Event::RollBack);
    assert_eq!(shown(&forth), "b . . a");
    assert!(forth.memory.verdict(&digest('b')).is_none());
}

#[test]
fn a_rollback_that_is_cut_off_after_its_verdict_is_finished() {
    // A crash loop: the verdict is written, the link is not.
    let (mut cut, _) = after(on_trial("a . b .", 1), &Event::Ready);
    for _ in 0..2 {
        (cut, _) = after(cut, &crashed());
    }
    let steps = decide(&cut, &crashed(), &Policy::default());
    perform(&mut cut, &steps[0]);
    assert_eq!(shown(&after(cut.clone(), &Event::Start).0), "a . . a");
    // By hand: so that it can be undone.
    let mut cut = slots("b . . a");
    let steps = decide(&cut, &Event::RollBack, &Policy::default());
    perform(&mut cut, &steps[0]);
    assert_eq!(shown(&after(cut, &Event::Start).0), "a . . b");
    // Of two that are both rejected, the current one stays.
    let mut both = slots("b . . a");
    for bad in ['a', 'b'] {
        both.memory.judge(Verdict {
            digest: digest(bad),
            kind: VerdictKind::App,
            reason: String::new(),
            at: 0,
            uptime: None,
            times: 0,
            output: Vec::new(),
        });
    }
    assert_eq!(shown(&after(both, &Event::Start).0), "b . . a");
}

#[test]
fn a_failed_trial_that_is_cut_off_after_its_verdict_is_finished() {
    let before = on_trial("a . b .", 1);
    let end = after(before.clone(), &failed()).0;
    let steps = decide(&before, &failed(), &Policy::default());
    for cut in 1..=steps.len() {
        let mut now = before.clone();
        steps[..cut].iter().for_each(|step| perform(&mut now, step));
        let again = decide(&now, &Event::Start, &Policy::default());
        // Cut off in the start too.
        for cut_again in 0..=again.len() {
            let mut now = now.clone();
            again[..cut_again].iter().for_each(|step| perform(&mut now, step));
            assert_eq!(after(now, &Event::Start).0, end, "cut after {cut}, and {cut_again} of {again:?}");
        }
    }
    // Something newer is staged meanwhile.
    let mut now = before;
    perform(&mut now, &steps[0]);
    now.attempt = version('c');
    let (settled, _) = after(now, &Event::Start);
    assert_eq!((shown(&settled).as_str(), settled.update_attempt), ("a . c .", Some(digest('b'))));
}

#[test]
fn a_rejected_version_waits_while_the_current_one_is_lost() {
    let mut lost = slots("~a b . .");
    lost.memory.judge(Verdict {
        digest: digest('b'),
        kind: VerdictKind::App,
        reason: String::new(),
        at: 0,
        uptime: None,
        times: 0,
        output: Vec::new(),
    });
    let (waiting, _) = after(lost, &Event::Start);
    assert_eq!(shown(&waiting), "~a b . .");
    let reason = "its tree could not be rebuilt".to_owned();
    assert_eq!(shown(&after(waiting.clone(), &Event::Unstartable { reason }).0), "b . . .");
    let mut rebuilt = waiting;
    rebuilt.current = version('a');
    assert_eq!(shown(&after(rebuilt, &Event::Start).0), "a . . .");
}

#[test]
fn attempts_that_were_made_before_the_current_version_was_lost_still_count() {
    let mut slots = slots("a b . .");
    slots.memory.trial = Some(Trial { digest: digest('b'), attempts: 3, from: None });
    let (settled, _) = after(slots, &Event::Start);
    assert_eq!(shown(&settled), "a . . .");
    assert_eq!(settled.memory.verdict(&digest('b')).unwrap().kind, VerdictKind::Interrupted);
}

/// Slots in memory in which somebody stages a version before a step.
struct Raced {
    slots: Slots,
    before: usize,
    staged: char,
}

impl Place for Raced {
    fn read(&mut self) -> Result<Slots, ApplyError> {
        Ok(self.slots.clone())
    }

    fn perform(&mut self, step: &Step) -> Result<(), ApplyError> {
        if self.before == 0 {
            self.slots.attempt = version(self.staged);
        }
        self.before = self.before.wrapping_sub(1);
        perform(&mut self.slots, step);
        Ok(())
    }
}

#[test]
fn a_version_that_is_staged_in_the_middle_of_a_start_is_counted_or_put_away() {
    let start = |place: &mut Raced| carry_out(place, &Event::Start, &Policy::default(), decide).unwrap();
    // Between the count of the one and the rename of the other.
    let mut place = Raced { slots: slots("a b . ."), before: 1, staged: 'c' };
    let settled = start(&mut place);
    assert_eq!(shown(&settled), "a . c .");
    let trial = settled.memory.trial.unwrap();
    assert_eq!((trial.digest, trial.attempts), (digest('c'), 1));
    // One that failed is not tried for that (I4).
    let mut place = Raced { slots: slots("a b . ."), before: 1, staged: 'c' };
    place.slots.memory.judge(Verdict {
        digest: digest('c'),
        kind: VerdictKind::App,
        reason: String::new(),
        at: 0,
        uptime: None,
        times: 0,
        output: Vec::new(),
    });
    assert_eq!(shown(&start(&mut place)), "a . . .");
}

#[test]
fn a_commit_that_was_cut_off_is_finished_before_anything_is_decided_on_it() {
    // The way back is named by the record of the trial alone, and may be taken only when it is seen to be there.
    let mut place = Raced { slots: on_trial("a . b .", 1), before: usize::MAX, staged: 'c' };
    place.slots.current = std::mem::take(&mut place.slots.attempting);
    let back = carry_out(&mut place, &Event::RollBack, &Policy::default(), decide).unwrap();
    assert_eq!(shown(&back), "a . . b");
}

#[test]
fn what_was_judged_is_not_started_again_though_a_crash_came_before_it_was_replaced() {
    let mut on_probation = slots("b . . a");
    on_probation.memory.probation = Some(Crashes { digest: digest('b'), count: 2 });
    for (before, event) in [(slots("b . . a"), Event::RollBack), (on_probation, crashed())] {
        let steps = decide(&before, &event, &Policy::default());
        assert!(steps.len() > 1, "{steps:?}");
        for cut in 1..=steps.len() {
            let mut now = before.clone();
            steps[..cut].iter().for_each(|step| perform(&mut now, step));
            let (settled, _) = after(now, &Event::Start);
            assert_eq!(next_run(&settled), NextRun::Current(named('a')), "{event:?} cut after {cut}");
            assert!(settled.memory.verdict(&digest('b')).is_some());
            assert!(settled.memory.verdict(&digest('a')).is_none());
        }
    }
    // There is nothing else: a version that was judged is better than none.
    let mut alone = slots("b . . b");
    alone.memory.judge(Verdict {
        digest: digest('b'),
        kind: VerdictKind::Operator,
        reason: String::new(),
        at: 0,
        uptime: None,
        times: 0,
        output: Vec::new(),
    });
    assert_eq!(shown(&after(alone, &Event::Start).0), "b . . b");
}

#[test]
fn a_final_verdict_is_not_weakened_by_a_passing_one() {
    let mut memory = Memory::default();
    let verdict = |kind| Verdict {
        digest: digest('b'),
        kind,
        reason: String::new(),
        at: 0,
        uptime: None,
        times: 0,
        output: Vec::new(),
    };
    memory.judge(verdict(VerdictKind::App));
    memory.judge(verdict(VerdictKind::Environment));
    assert_eq!(memory.verdict(&digest('b')).unwrap().kind, VerdictKind::App);
}

#[test]
fn pauses_grow_and_survive_a_clock_that_jumps() {
    let verdict = |times, at| Verdict {
        digest: digest('b'),
        kind: VerdictKind::Environment,
        reason: String::new(),
        at,
        uptime: None,
        times,
        output: Vec::new(),
    };
    let pauses: Vec<_> = (1..=11).map(|times| verdict(times, 0).retry_seconds().unwrap()).collect();
    assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600]);
    let ten_years = 315_000_000;
    assert!(verdict(1, 1000).blocks(&1059.into()));
    for now in [0, 999, 1060, 1000 + ten_years] {
        assert!(!verdict(1, 1000).blocks(&now.into()), "{now}");
    }
}

#[test]
fn the_second_opinion_refuses_what_would_brick() {
    let point = |slot, letter| Step::Point { slot, version: named(letter) };
    for (before, steps) in [
        ("a . . .", vec![Step::Clear(Slot::Current)]),
        ("a b . .", vec![Step::Move { from: Slot::Attempt, to: Slot::Attempting }]),
        ("a . . .", vec![Step::Move { from: Slot::Attempting, to: Slot::Current }]),
        ("a . . p", vec![Step::Move { from: Slot::Current, to: Slot::Previous }]),
        ("a . . .", vec![point(Slot::Current, 'c')]),
        ("a . . .", vec![point(Slot::Attempting, 'a')]),
        ("a ~b . .", vec![Step::Move { from: Slot::Attempt, to: Slot::Current }]),
        ("a . . .", vec![Step::SetAside(Slot::Current)]),
    ] {
        assert!(check::check(&slots(before), &steps).is_err(), "{before} {steps:?}");
    }
}

#[test]
fn what_is_decided_is_what_happens_on_a_real_disk() {
    let ground = tempfile::tempdir().unwrap();
    let layout = Layout::new(ground.path());
    let disk = RealDisk;
    disk.create_directories(layout.root()).unwrap();
    for letter in ['a', 'b', 'c'] {
        disk.create_directories(&layout.tree(&digest(letter))).unwrap();
        disk.write_new(&layout.tree(&digest(letter)).join("entrypoint"), b"#!").unwrap();
    }
    let stage = |letter| {
        let target = layout.tree(&digest(letter)).join("entrypoint");
        crate::disk::replace_symlink(&disk, &target, &layout.slot(Slot::Attempt)).unwrap();
    };
    let act = |event: &Event| {
        let before = read(&disk, &layout).unwrap();
        let (predicted, _) = after(before, event);
        let found = super::act(&disk, &layout, event, &Policy::default()).unwrap();
        assert_eq!(shown(&found), shown(&predicted), "{event:?}");
        assert_eq!((&found.memory, found.update_attempt), (&predicted.memory, predicted.update_attempt));
        shown(&found)
    };
    stage('a');
    assert_eq!(act(&Event::Start), "a . . .");
    stage('b');
    assert_eq!(act(&Event::Start), "a . b .");
    assert_eq!(act(&Event::Ready), "b . . a");
    stage('c');
    assert_eq!(act(&Event::Start), "b . c a");
    assert_eq!(act(&failed()), "b . . a");
    assert_eq!(act(&Event::RollBack), "a . . b");
    let leftovers: Vec<_> = disk
        .list(layout.root())
        .unwrap()
        .into_iter()
        .filter(|n| n.to_string_lossy().starts_with("tmp-"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn foreign_things_are_found_set_aside_and_kept() {
    let ground = tempfile::tempdir().unwrap();
    let layout = Layout::new(ground.path());
    let disk = RealDisk;
    disk.create_directories(layout.root()).unwrap();
    disk.write_new(&layout.slot(Slot::Current), b"a person's file").unwrap();
    disk.symlink(Path::new("/etc/passwd"), &layout.slot(Slot::Attempt)).unwrap();
    disk.create_directories(&layout.slot(Slot::Previous).join("x")).unwrap();
    disk.create_directories(&layout.state()).unwrap();
    disk.write_new(&layout.update_attempt(), b"not a digest").unwrap();
    let found = read(&disk, &layout).unwrap();
    assert_eq!((shown(&found).as_str(), found.findings.len()), ("! ! . !", 5), "{:?}", found.findings);
    let settled = act(&disk, &layout, &Event::Start, &Policy::default()).unwrap();
    assert_eq!(shown(&settled), ". . . .");
    assert_eq!(disk.read(&layout.root().join("foreign-entrypoint"), 99).unwrap(), b"a person's file");
    assert_eq!(
        disk.kind(&layout.root().join("foreign-entrypoint-previous/x")).unwrap(),
        Some(Kind::Directory)
    );
    assert_eq!(disk.kind(Path::new("/etc/passwd")).unwrap(), Some(Kind::File));
    // A state file that is a directory is set aside as soon as there is something to remember.
    act(
        &disk,
        &layout,
        &Event::Checked(crate::status::Check {
            at: 1,
            outcome: "failed".to_owned(),
            digest: None,
            detail: String::new(),
        }),
        &Policy::default(),
    )
    .unwrap();
    assert_eq!(disk.kind(&layout.state()).unwrap(), Some(Kind::File));
}

#[test]
fn links_made_while_the_data_lay_elsewhere_are_understood() {
    let layout = Layout::new(Path::new("/mnt/volume"));
    let target = format!("/data/dockerloader/storage/v1/extracted/{}/entrypoint", digest('a'));
    let raw = RawLink { kind: Kind::Link, target: Some(target.into()), leads_to: Some(Kind::File) };
    let listing = Listing { links: vec![(Slot::Current, raw)], ..Listing::default() };
    assert_eq!(Slots::parse(&layout, &listing).current, version('a'));
}
