use super::*;
use crate::digest::Digest;
use crate::volume::{Method, Probe};

const NOW: u64 = 1_700_000_000;

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn on_disk(byte: u8, age: u64) -> Option<Version> {
    Some(Version {
        digest: digest(byte),
        executable: format!("/data/{}/bin/app", digest(byte)),
        since: Some(NOW - age),
    })
}

fn full() -> Status {
    Status {
        target: Some("localhost:5050/app:latest".into()),
        supervisor: Some(Supervisor {
            pid: 1,
            phase: "trial".into(),
            detail: "the new version is on trial".into(),
            app_pid: Some(12),
            running: Some(digest(0xcc)),
            running_seconds: Some(4),
            starts: 3,
            trial_ends_in_ms: Some(5_200),
            next_check_seconds: Some(140),
            pulling: false,
        }),
        current: on_disk(0xbb, 7500),
        previous: on_disk(0xaa, 90_000),
        staged: on_disk(0xdd, 1),
        trying: on_disk(0xcc, 4),
        probation: Some(Probation { digest: digest(0xbb), crashes: 1, budget: 3, seconds_left: Some(300) }),
        health: vec![Health {
            digest: digest(0xbb),
            condition: Condition::Repaired,
            at: NOW - 60,
            detail: "lib/x has other contents".into(),
        }],
        rejected: vec![
            Rejected {
                digest: digest(0xee),
                kind: "app".into(),
                reason: "exited with 1 in its trial".into(),
                at: NOW - 3600,
                retry_seconds: None,
                output: vec!["panicked at main.rs".into(), "\u{1b}[31mred\u{1b}[0m".into()],
            },
            Rejected {
                digest: digest(0xef),
                kind: "environment".into(),
                reason: "no space left on device".into(),
                at: NOW - 30,
                retry_seconds: Some(60),
                output: vec![],
            },
        ],
        last_check: Some(Check {
            at: NOW - 160,
            outcome: "up_to_date".into(),
            digest: Some(digest(0xcc)),
            detail: "the target names the running version".into(),
        }),
        trees: Some(Trees {
            method: Some(Method::Copy),
            probe: Probe {
                cannot: [
                    (Method::Overlay, "mounting is not permitted".to_owned()),
                    (Method::Snapshot, "ext4 can't".to_owned()),
                    (Method::Reflink, "ext4 can't".to_owned()),
                ]
                .into(),
            },
            problem: None,
        }),
        findings: vec![
            "entrypoint-attempt is a file, not a link".into(),
            "update-attempt holds no digest".into(),
        ],
    }
}

#[test]
fn a_full_status_tells_everything_once() {
    let expected = "\
target      localhost:5050/app:latest
supervisor  process 1, trial: the new version is on trial
running     cccccccccccc for 4 s, process 12, 3 starts so far
current     bbbbbbbbbbbb since 2023-11-14 20:08:20 UTC (2 h 5 min ago), bin/app
on trial    cccccccccccc since 2023-11-14 22:13:16 UTC (4 s ago), bin/app
staged      dddddddddddd since 2023-11-14 22:13:19 UTC (1 s ago), bin/app
previous    aaaaaaaaaaaa since 2023-11-13 21:13:20 UTC (1 d 1 h ago), bin/app
probation   bbbbbbbbbbbb: 1 of 3 crashes that bring the previous version back, 5 min left
last check  2023-11-14 22:10:40 UTC (2 min 40 s ago): up to date (cccccccccccc): the target names the running version
trees       copy (overlay: mounting is not permitted; snapshot, reflink: ext4 can't)
next        the trial ends in 6 s, unless the application is ready before
            dddddddddddd is tried when the application exits with 42 or is started anew
            the supervisor looks at the registry in 2 min 20 s
rejected    eeeeeeeeeeee app 2023-11-14 21:13:20 UTC (1 h ago): exited with 1 in its trial
            not tried again, unless: dockerloader forget eeeeeeeeeeee
              | panicked at main.rs
              | \\u{1b}[31mred\\u{1b}[0m
            efefefefefef environment 2023-11-14 22:12:50 UTC (30 s ago): no space left on device
            tried again in 30 s
health      bbbbbbbbbbbb repaired 2023-11-14 22:12:20 UTC (1 min ago): lib/x has other contents
findings    entrypoint-attempt is a file, not a link
            update-attempt holds no digest
";
    assert_eq!(status(&full(), NOW, Colours::Off), expected);
}

#[test]
fn an_empty_directory_says_what_to_do() {
    let expected = "\
target      not set (DOCKERLOADER_TARGET)
supervisor  none is alive on this data directory
current     none
next        a supervisor that is started here installs what the target names
";
    assert_eq!(status(&Status::default(), NOW, Colours::Off), expected);
}

#[test]
fn what_is_next_without_a_supervisor_follows_from_the_slots() {
    for (current, staged, says) in [
        (on_disk(0xbb, 1), on_disk(0xdd, 1), "tries dddddddddddd"),
        (on_disk(0xbb, 1), None, "runs bbbbbbbbbbbb"),
        (None, on_disk(0xdd, 1), "runs dddddddddddd"),
    ] {
        let found = Status { current, staged, ..Status::default() };
        assert!(next(&found).concat().ends_with(says), "{found:?}");
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let painted = status(&full(), NOW, Colours::On);
    assert!(painted.contains("\u{1b}[31mapp\u{1b}[0m"));
    let mut plain = painted;
    for code in ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, status(&full(), NOW, Colours::Off));
}

#[test]
fn a_clock_that_went_back_is_no_reason_to_lie() {
    assert_eq!(moment(NOW, NOW - 5), "2023-11-14 22:13:20 UTC");
    assert!(moment(u64::MAX, NOW).contains("after 1970"));
    let mut future = full();
    future.rejected[1].at = NOW + 50;
    assert!(status(&future, NOW, Colours::Off).contains("tried again at the next check"));
}

#[test]
fn durations_have_two_units_at_most() {
    for (seconds, text) in [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7_500, "2 h 5 min"),
        (86_400, "1 d"),
        (1_047_600, "12 d 3 h"),
        (u64::MAX, "213503982334601 d 7 h"),
    ] {
        assert_eq!(duration(seconds), text);
    }
}
