//! What was expected and what was seen -> what is bad: pure.

use super::expected::Expected;
use super::observe::Seen;

/// Bytes that a cell may cost: the image once, what was on its way when a body was given up, and as much as the largest
/// limit on a small answer.
const BYTES: u64 = 12 << 20;

/// All that is bad about a pull; empty when it did what was expected.
pub(super) fn judge(expected: Expected, seen: &Seen, version: &str, at_fault: &[String]) -> Vec<String> {
    let mut bad = Vec::new();
    let mut demand = |is_so: bool, what: String| bad.extend((!is_so).then_some(what));
    demand(seen.code.is_some(), format!("it did not end, and was killed after {:.0?}", seen.took));
    let ceiling = match expected {
        Expected::DoesNotApply(_) => return bad,
        Expected::Right(ceiling) => {
            demand(seen.code == Some(0), format!("exit code {:?}, expected 0: {}", seen.code, seen.error));
            demand(seen.outcome == "staged", format!("outcome {:?}, expected staged", seen.outcome));
            demand(seen.digest == version, format!("version {}, expected {version}", seen.digest));
            demand(seen.is_complete, "the version is not on disk as it is in the image".to_owned());
            ceiling
        }
        Expected::Refused(remedy, says, ceiling) => {
            let exit = remedy.exit();
            demand(
                seen.code == Some(exit),
                format!("exit code {:?}, expected {exit}: {}", seen.code, seen.error),
            );
            demand(seen.outcome == "failed", format!("outcome {:?}, expected failed", seen.outcome));
            let name = remedy.name();
            demand(seen.remedy == name, format!("remedy {:?}, expected {name}", seen.remedy));
            for word in says {
                demand(seen.error.contains(word), format!("the error does not say {word:?}: {}", seen.error));
            }
            let names_a_host = at_fault.iter().any(|host| seen.error.contains(host));
            demand(names_a_host, format!("the error names none of {at_fault:?}: {}", seen.error));
            demand(!seen.is_staged, "something is staged".to_owned());
            ceiling
        }
    };
    demand(
        seen.requests <= ceiling.requests,
        format!("{} requests, expected {} at most", seen.requests, ceiling.requests),
    );
    demand(
        seen.took.as_secs() <= ceiling.seconds,
        format!("{:.1} s, expected {} at most", seen.took.as_secs_f64(), ceiling.seconds),
    );
    demand(seen.sent <= BYTES, format!("{} bytes were sent, expected {BYTES} at most", seen.sent));
    bad.extend(seen.wrong.iter().cloned());
    bad.extend(seen.leaks.iter().map(|leak| format!("secret: {leak}")));
    bad
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::expected::{Ceiling, Remedy};
    use super::*;

    const CEILING: Ceiling = Ceiling { requests: 7, seconds: 10 };

    fn right() -> Seen {
        Seen {
            code: Some(0),
            outcome: "staged".into(),
            digest: "v".into(),
            requests: 7,
            is_complete: true,
            is_staged: true,
            took: Duration::from_secs(1),
            ..Seen::default()
        }
    }

    #[test]
    fn what_is_as_expected_is_not_bad() {
        assert!(judge(Expected::Right(CEILING), &right(), "v", &[]).is_empty());
    }

    type Change = fn(&mut Seen);

    #[test]
    fn each_single_difference_is_bad() {
        let changes: [(&str, Change); 10] = [
            ("killed", |seen| seen.code = None),
            ("exit code", |seen| seen.code = Some(75)),
            ("outcome", |seen| seen.outcome = "installed".into()),
            ("version", |seen| seen.digest = "w".into()),
            ("not on disk", |seen| seen.is_complete = false),
            ("requests", |seen| seen.requests = 8),
            ("11.0 s", |seen| seen.took = Duration::from_secs(11)),
            ("bytes were sent", |seen| seen.sent = BYTES + 1),
            ("blobs/x", |seen| seen.wrong.push("blobs/x has other bytes".into())),
            ("secret", |seen| seen.leaks.push("x in y".into())),
        ];
        for (word, change) in changes {
            let mut seen = right();
            change(&mut seen);
            let bad = judge(Expected::Right(CEILING), &seen, "v", &[]);
            assert!(bad.iter().any(|bad| bad.contains(word)), "{word}: {bad:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_where_and_which_remedy() {
        let expected = Expected::Refused(Remedy::Later, &["no such host"], CEILING);
        let seen = Seen {
            code: Some(69),
            outcome: "failed".into(),
            remedy: "later".into(),
            error: "registry h:1: no such host".into(),
            ..Seen::default()
        };
        let hosts = ["h:1".to_owned()];
        assert!(judge(expected, &seen, "v", &hosts).is_empty());
        assert_eq!(judge(expected, &Seen { is_staged: true, ..seen.clone() }, "v", &hosts).len(), 1);
        assert_eq!(judge(expected, &seen, "v", &["other:1".to_owned()]).len(), 1);
        assert_eq!(judge(expected, &Seen { error: "h:1".into(), ..seen.clone() }, "v", &hosts).len(), 1);
        assert_eq!(judge(expected, &Seen { remedy: "retry".into(), ..seen }, "v", &hosts).len(), 1);
    }
}
