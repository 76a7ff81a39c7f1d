//! Nothing grows for ever, and what may not be forgotten isn't.

use super::super::{History, OperationState, Override};
use super::*;

#[test]
fn fifty_documents_are_kept_and_their_numbers_go_on() {
    let history = History::in_memory().unwrap();
    for number in 1..=53 {
        assert_eq!(history.add_revision("text", "file").unwrap(), number);
    }
    assert_eq!(history.revisions(1000).unwrap().len(), 50);
    assert_eq!(history.revision(3).unwrap(), None);
    assert!(history.revision(4).unwrap().is_some());
}

#[test]
fn old_versions_go_but_never_the_one_that_runs_one_that_is_pinned_or_the_last_good_two() {
    let history = History::in_memory().unwrap();
    let commit = |container: &str| history.commit_version(&version(container, 1)).unwrap();
    let pinned = commit("web");
    history.set_override("web", &Override { pinned: Some(pinned), ..Override::default() }).unwrap();
    let (dull, good, better) = (commit("web"), commit("web"), commit("web"));
    for _ in 0..70 {
        let bad = commit("web");
        history.fail_version(bad, &failure(Reason::App)).unwrap();
    }
    let last = commit("web");
    history.fail_version(last, &failure(Reason::App)).unwrap();
    let ids: Vec<_> = history.versions_of("web").unwrap().into_iter().map(|version| version.id).collect();
    assert_eq!(ids.len(), 53, "{ids:?}");
    assert_eq!(ids[0], last);
    assert_eq!(ids[50..], [better, good, pinned]);
    assert!(!ids.contains(&dull));
    assert_eq!(history.versions().unwrap().len(), 1);
}

#[test]
fn of_too_many_verdicts_those_that_are_final_stay() {
    let history = History::in_memory().unwrap();
    history.judge(&verdict("web", 255, Reason::App)).unwrap();
    for byte in 0..=250 {
        history.judge(&verdict("web", byte, Reason::Environment)).unwrap();
    }
    history.judge(&verdict("db", 1, Reason::Environment)).unwrap();
    let of_web = history.verdicts_of("web").unwrap();
    assert_eq!(of_web.len(), 200);
    assert_eq!(of_web[0].digest, digest(255));
    assert_eq!(of_web[199].digest, digest(250));
    assert_eq!(history.verdicts().unwrap().len(), 201);
}

#[test]
fn the_output_that_is_kept_has_an_end() {
    let history = History::in_memory().unwrap();
    let lines: Vec<String> = (0..1_000).map(|number| format!("{number} {}", "ü".repeat(5_000))).collect();
    history.keep_log("a", &lines).unwrap();
    let kept = history.log("a").unwrap().unwrap();
    assert_eq!(kept.len(), 500);
    assert!(kept[499].starts_with("999 ü") && kept[499].len() <= 4096, "{}", kept[499].len());
    for number in 0..200 {
        history.keep_log(&format!("b{number}"), &["x".to_owned()]).unwrap();
    }
    assert_eq!(history.log("a").unwrap(), None);
    assert!(history.log("b0").unwrap().is_some());
    assert_eq!(history.log("nothing").unwrap(), None);
}

#[test]
fn operations_that_have_ended_go_and_those_that_run_stay() {
    let history = History::in_memory().unwrap();
    history.begin(&operation("first", None)).unwrap();
    for number in 0..1_200 {
        let id = format!("{number:04}");
        history.begin(&operation(&id, None)).unwrap();
        history.end(&id, OperationState::Done, "").unwrap();
    }
    let all = history.operations(10_000, None).unwrap();
    assert!(all.len() <= 1_002, "{}", all.len());
    assert_eq!(all.last().unwrap().id, "first");
}

#[test]
fn of_what_happened_and_who_did_it_the_last_ten_thousand_are_kept() {
    let history = History::in_memory().unwrap();
    for number in 0..10_010 {
        history.happen("drift", None, &number.to_string()).unwrap();
    }
    let (oldest, newest) = history.happenings_kept().unwrap().unwrap();
    assert_eq!((newest, newest - oldest + 1), (10_010, 10_000));
    assert_eq!(history.happenings(0, 1).unwrap()[0].text, "10");
}

#[test]
fn a_row_that_cannot_be_read_is_left_out() {
    let history = History::in_memory().unwrap();
    full(&history);
    history.judge(&verdict("db", 1, Reason::App)).unwrap();
    history.commit_version(&version("db", 1)).unwrap();
    for sql in [
        "UPDATE versions SET target = '{\"digest\": 1}' WHERE container = 'web'",
        "UPDATE verdicts SET digest = 'sha256:x' WHERE container = 'web'",
        "UPDATE swaps SET value = '{'",
        "UPDATE overrides SET value = '[1]'",
        "UPDATE offers SET value = ''",
        "UPDATE logs SET lines = '{}'",
        "UPDATE operations SET state = 'elsewhere'",
        "UPDATE revisions SET revision = -1",
    ] {
        history.lock().execute(sql, []).unwrap();
    }
    assert_eq!(history.versions().unwrap().into_keys().collect::<Vec<_>>(), ["db"]);
    assert_eq!(history.verdicts().unwrap(), [verdict("db", 1, Reason::App)]);
    assert!(history.swaps().unwrap().is_empty());
    assert!(history.overrides().unwrap().is_empty());
    assert!(history.offers().unwrap().is_empty());
    assert_eq!(history.log("swap-of-web").unwrap(), None);
    assert!(history.operations(10, None).unwrap().is_empty());
    assert_eq!(history.latest_revision().unwrap(), None);
    // And it does not stand in the way of what comes.
    history.record_swap(&swap("web", Stage::Create)).unwrap();
    assert_eq!(history.swaps().unwrap().len(), 1);
    assert_eq!(history.commit_version(&version("web", 2)).unwrap(), 3);
}
