//! What is written is what is read, also after the file was opened again.

use std::time::Duration;

use serde_json::json;

use super::super::{Answer, Asked, Audit, Error, History, OperationState, Override};
use super::*;
use crate::engine::Progress;
use crate::sources::RegistryState;

/// A history on the disk, with what looks at it now and after it was opened again.
fn twice(write: impl FnOnce(&History), look: impl Fn(&History)) {
    let directory = tempfile::tempdir().unwrap();
    let (history, said) = History::open(directory.path()).unwrap();
    assert_eq!(said, None);
    assert!(history.is_kept());
    write(&history);
    look(&history);
    drop(history);
    let (history, said) = History::open(directory.path()).unwrap();
    assert_eq!(said, None);
    look(&history);
}

#[test]
fn revisions_grow_and_keep_their_text_as_it_was_written() {
    let text = "# ü\r\napiVersion: deviced/v1\ncontainers: []";
    twice(
        |history| {
            assert_eq!(history.latest_revision().unwrap(), None);
            assert_eq!(history.revision_in_force().unwrap(), 0);
            assert_eq!(history.add_revision(text, "file").unwrap(), 1);
            assert_eq!(history.add_revision("second", "socket:1000").unwrap(), 2);
        },
        |history| {
            let latest = history.latest_revision().unwrap().unwrap();
            assert_eq!(
                (latest.revision, latest.text.as_str(), latest.who.as_str()),
                (2, "second", "socket:1000")
            );
            assert!(latest.at > 1_700_000_000);
            assert_eq!(history.revision(1).unwrap().unwrap().text, text);
            assert_eq!(history.revision(3).unwrap(), None);
            assert_eq!(history.revision(u64::MAX).unwrap(), None);
            assert_eq!(history.revision_in_force().unwrap(), 2);
            let listed: Vec<_> = history.revisions(10).unwrap().iter().map(|one| one.revision).collect();
            assert_eq!(listed, [2, 1]);
        },
    );
}

#[test]
fn overrides_are_replaced_and_taken_back() {
    let said = Override {
        tag: Some("1.4".to_owned()),
        run: Some(json!({"environment": {"LEVEL": null}, "ports": ["80:80"]})),
        stopped: true,
        paused: true,
        pinned: Some(7),
    };
    twice(
        |history| {
            history.set_override("web", &Override { paused: true, ..Override::default() }).unwrap();
            history.set_override("web", &said).unwrap();
            history.set_override("db", &said).unwrap();
            history.set_override("db", &Override::default()).unwrap();
            history.set_override("nothing", &Override::default()).unwrap();
        },
        |history| {
            assert_eq!(
                history.overrides().unwrap().into_iter().collect::<Vec<_>>(),
                [("web".to_owned(), said.clone())]
            )
        },
    );
}

#[test]
fn a_swap_is_remembered_at_each_of_its_stages() {
    for stage in [
        Stage::Create,
        Stage::Hook,
        Stage::Switch,
        Stage::Prove,
        Stage::Retire,
        Stage::Revert(failure(Reason::Environment)),
    ] {
        twice(
            |history| {
                history.record_swap(&swap("web", Stage::Create)).unwrap();
                history.record_swap(&swap("web", stage.clone())).unwrap();
                history.record_swap(&swap("db", stage.clone())).unwrap();
                history.finish_swap("db").unwrap();
                history.finish_swap("nothing").unwrap();
            },
            |history| {
                let swaps = history.swaps().unwrap();
                assert_eq!(
                    swaps.into_iter().collect::<Vec<_>>(),
                    [("web".to_owned(), swap("web", stage.clone()))]
                );
            },
        );
    }
}

#[test]
fn a_committed_version_ends_the_one_before_and_only_that_of_its_container() {
    let (mut first, mut second, mut other) = (version("web", 1), version("web", 2), version("db", 3));
    twice(
        |history| {
            first.id = history.commit_version(&first).unwrap();
            other.id = history.commit_version(&other).unwrap();
            second.id = history.commit_version(&second).unwrap();
            assert!(first.id < other.id && other.id < second.id);
            history.set_probation(second.id, Duration::from_millis(1_234), 2).unwrap();
            history.fail_version(first.id, &failure(Reason::App)).unwrap();
        },
        |history| {
            let first = Version {
                id: 1,
                ended: Some(second_began()),
                failure: Some(failure(Reason::App)),
                ..version("web", 1)
            };
            let second =
                Version { id: 3, probation: Duration::from_millis(1_234), crashes: 2, ..version("web", 2) };
            let other = Version { id: 2, ..version("db", 3) };
            let all = history.versions().unwrap();
            assert_eq!(all["web"], [second.clone(), first.clone()]);
            assert_eq!(all["db"], [other]);
            assert_eq!(history.versions_of("web").unwrap(), [second, first]);
            assert_eq!(history.versions_of("nothing").unwrap(), []);
        },
    );
}

fn second_began() -> i64 {
    version("web", 2).began
}

#[test]
fn a_verdict_counts_its_attempts_and_can_be_lifted() {
    twice(
        |history| {
            history.judge(&verdict("web", 1, Reason::Interrupted)).unwrap();
            history.judge(&verdict("web", 1, Reason::Environment)).unwrap();
            history.judge(&verdict("web", 1, Reason::App)).unwrap();
            history.judge(&verdict("web", 2, Reason::App)).unwrap();
            history.judge(&verdict("db", 1, Reason::Operator)).unwrap();
            assert_eq!(history.forget("web", Some(&digest(2))).unwrap(), 1);
            assert_eq!(history.forget("web", Some(&digest(3))).unwrap(), 0);
            history.judge(&verdict("cache", 1, Reason::App)).unwrap();
            history.judge(&verdict("cache", 2, Reason::App)).unwrap();
            assert_eq!(history.forget("cache", None).unwrap(), 2);
        },
        |history| {
            let web = Verdict { attempts: 3, ..verdict("web", 1, Reason::App) };
            assert_eq!(history.verdicts().unwrap(), [web.clone(), verdict("db", 1, Reason::Operator)]);
            assert_eq!(history.verdicts_of("web").unwrap(), [web]);
        },
    );
}

#[test]
fn what_registries_said_is_known_at_the_next_start() {
    let registry = |url: &str, rank| RegistryState {
        url: url.to_owned(),
        up: rank == 1,
        latency: Some(Duration::from_micros(1_500)),
        rank,
        failures: 1,
        problem: Some("503".to_owned()),
        pause: Some(Duration::from_secs(60)),
        asked: Some(1_000_000),
        requests: 12,
        said: std::collections::BTreeMap::new(),
    };
    let repository = "registry.example/acme/web";
    twice(
        |history| {
            history.set_registries(&[registry("https://old.example", 1)]).unwrap();
            history
                .set_registries(&[registry("https://far.example", 2), registry("https://near.example", 1)])
                .unwrap();
            history.set_offers("web", &[offer(1)]).unwrap();
            history.set_offers("web", &[offer(2), offer(1)]).unwrap();
            history.set_offers("db", &[offer(1)]).unwrap();
            history.set_offers("db", &[]).unwrap();
            history.add_known(repository, &digest(1), Duration::ZERO).unwrap();
            history.add_known(repository, &digest(1), Duration::from_millis(1_500)).unwrap();
            history.add_known(repository, &digest(1), Duration::from_secs(60)).unwrap();
            let both = [("both", &digest(3)), ("both", &digest(4)), ("both", &digest(3))];
            let spans = history.add_known_all(both, Duration::from_secs(1)).unwrap();
            assert_eq!(spans, [1, 1, 2].map(Duration::from_secs));
            assert!(history.add_known_all([], Duration::ZERO).unwrap().is_empty());
            history.add_known("elsewhere", &digest(1), Duration::MAX).unwrap();
            history.add_known("elsewhere", &digest(1), Duration::MAX).unwrap();
        },
        |history| {
            let urls: Vec<_> = history.registries().unwrap();
            assert_eq!(urls, [registry("https://near.example", 1), registry("https://far.example", 2)]);
            let offers = history.offers().unwrap();
            assert_eq!(
                offers.into_iter().collect::<Vec<_>>(),
                [("web".to_owned(), vec![offer(2), offer(1)])]
            );
            assert_eq!(history.known_for(repository, &digest(1)).unwrap(), Duration::from_millis(61_500));
            assert_eq!(history.known_for(repository, &digest(2)).unwrap(), Duration::ZERO);
            assert!(history.known_for("elsewhere", &digest(1)).unwrap() > Duration::from_secs(1 << 40));
        },
    );
}

#[test]
fn an_operation_has_its_stage_on_the_disk_and_its_progress_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = History::open(directory.path()).unwrap();
    let mut changes = history.watch_operations();
    history.begin(&operation("a", Some("web"))).unwrap();
    history.begin(&operation("b", None)).unwrap();
    history.begin(&operation("c", Some("web"))).unwrap();
    history.begin(&operation("d", Some("db"))).unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();

    let bytes = Progress { done: 5, total: 10, layers_done: 1, layers_total: 2 };
    history.progress("a", "switch", "the old one is stopped", None).unwrap();
    history.progress("a", "switch", "half of it", Some(bytes)).unwrap();
    history.progress("nothing", "switch", "of nothing", Some(bytes)).unwrap();
    assert!(changes.has_changed().unwrap());
    let a = history.operation("a").unwrap().unwrap();
    assert_eq!((a.stage.as_str(), a.text.as_str(), a.progress), ("switch", "half of it", Some(bytes)));
    history.end("b", OperationState::Done, "it runs").unwrap();
    let b = history.operation("b").unwrap().unwrap();
    assert!(b.state == OperationState::Done && b.text == "it runs" && b.ended.is_some());
    // What has ended has no progress any more.
    history.progress("b", "switch", "late", None).unwrap();
    assert_eq!(history.operation("b").unwrap().unwrap(), b);
    assert_eq!(history.operation("nothing").unwrap(), None);
    let of_web: Vec<_> = history.operations(10, Some("web")).unwrap().into_iter().map(|one| one.id).collect();
    assert_eq!(of_web, ["c", "a"]);
    assert_eq!(history.operations(2, None).unwrap().len(), 2);

    // A restart: the replacement that is written down goes on, the rest was interrupted.
    history.record_swap(&Swap { operation: "c".to_owned(), ..swap("web", Stage::Switch) }).unwrap();
    drop((history, changes));
    let (history, _) = History::open(directory.path()).unwrap();
    let states: Vec<_> =
        history.operations(10, None).unwrap().into_iter().map(|one| (one.id, one.state)).collect();
    let (running, failed) = (OperationState::Running, OperationState::Failed);
    let expected = [("d", failed), ("c", running), ("b", OperationState::Done), ("a", failed)];
    assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state)));
    let a = history.operation("a").unwrap().unwrap();
    assert!(a.text.contains("interrupted") && a.stage == "switch" && a.ended.is_some(), "{a:?}");
    // And it can go on under its own name.
    history.begin(&operation("a", Some("web"))).unwrap();
    assert_eq!(history.operation("a").unwrap().unwrap(), operation("a", Some("web")));
}

#[tokio::test]
async fn who_subscribes_hears_what_the_table_holds() {
    let history = History::in_memory().unwrap();
    assert_eq!(history.happenings_kept().unwrap(), None);
    let mut subscriber = history.subscribe();
    let first = history.happen("commit", Some("web"), "1.2 has proven itself").unwrap();
    let second = history.happen("engine", None, "the engine is away").unwrap();
    assert_eq!(subscriber.recv().await.unwrap(), first);
    assert_eq!(subscriber.recv().await.unwrap(), second);
    assert_eq!(history.happenings(0, 10).unwrap(), [first.clone(), second.clone()]);
    assert_eq!(history.happenings(first.id, 10).unwrap(), std::slice::from_ref(&second));
    assert_eq!(history.happenings_kept().unwrap(), Some((first.id, second.id)));
}

#[test]
fn who_changed_what_is_kept_with_what_was_before() {
    let audit = |before| Audit {
        id: 0,
        at: 1_000_000,
        who: "socket:1000".to_owned(),
        action: "put document".to_owned(),
        container: Some("web".to_owned()),
        before,
        after: Some(json!({"revision": 2})),
        outcome: "accepted".to_owned(),
    };
    twice(
        |history| {
            assert_eq!(history.audit(&audit(None)).unwrap(), 1);
            assert_eq!(history.audit(&audit(Some(json!(null)))).unwrap(), 2);
        },
        |history| {
            assert_eq!(history.audits(0, 10).unwrap()[0], Audit { id: 1, ..audit(None) });
            assert_eq!(history.audits(1, 10).unwrap().len(), 1);
        },
    );
}

#[test]
fn a_key_is_answered_once() {
    let answer = Answer {
        status: 202,
        headers: vec![("location".to_owned(), "/v1/operations/a".to_owned())],
        body: "{}".to_owned(),
    };
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = History::open(directory.path()).unwrap();
    assert_eq!(history.idempotency("key", "one").unwrap(), Asked::New);
    assert_eq!(history.idempotency("key", "one").unwrap(), Asked::Running);
    assert_eq!(history.idempotency("key", "two").unwrap(), Asked::Different);
    history.answer("key", Some(&answer)).unwrap();
    assert_eq!(history.idempotency("key", "one").unwrap(), Asked::Same(answer.clone()));
    // An answer that may be another one at the next try is not kept.
    assert_eq!(history.idempotency("again", "one").unwrap(), Asked::New);
    history.answer("again", None).unwrap();
    assert_eq!(history.idempotency("again", "two").unwrap(), Asked::New);
    drop(history);
    // What was running was not answered.
    let (history, _) = History::open(directory.path()).unwrap();
    assert_eq!(history.idempotency("again", "one").unwrap(), Asked::New);
    assert_eq!(history.idempotency("key", "one").unwrap(), Asked::Same(answer));
}

#[test]
fn two_never_have_one_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = History::open(directory.path()).unwrap();
    let clone = history.clone();
    drop(history);
    let error = History::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Held { .. }));
    let text = error.to_string();
    assert!(text.contains(&format!("deviced, process {}", std::process::id())), "{text}");
    assert!(text.contains(directory.path().to_str().unwrap()), "{text}");
    drop(clone);
    assert!(History::open(directory.path()).is_ok());
}
