//! What is expected in every cell: fault x phase -> outcome, words of the error, ceilings. Pure; nothing is left to chance.

use super::expected::Remedy::{Corrupt, Later, Local, Refuse, Retry};
use super::expected::{Ceiling, Expected, Remedy};
use super::fault::Fault;
use super::phase::Phase;

/// Requests of a pull without a fault: HEAD, token, HEAD, index, manifest, config, layer.
const PLAIN: usize = 7;

/// Failures in a row after which the client gives up.
const TRIES: usize = 5;

/// Seconds that a pull may take that waits for nothing, on a busy machine.
const AT_ONCE: u64 = 20;

/// Seconds of four pauses and of five answers that are given up, on a busy machine.
const PATIENT: u64 = 55;

/// Why a fault of bodies has no cell where the tag is asked for.
const NO_BODY: Expected = Expected::DoesNotApply("the answer to HEAD has no body");

/// Why a fault of ranges has no cell where the answers are small.
const NO_RANGE: Expected = Expected::DoesNotApply("it is never asked for in parts");

/// What is expected of a pull without a fault, and of one after a fault.
pub(super) const RIGHT: Expected = right(0);

/// The pull succeeds with this many requests more than it needs without a fault.
const fn right(more: usize) -> Expected {
    Expected::Right(Ceiling { requests: PLAIN + more, seconds: AT_ONCE + 10 })
}

/// Requests of a pull up to the first one of this phase.
const fn up_to(phase: Phase) -> usize {
    match phase {
        Phase::Token => 2,
        Phase::Tag => 3,
        Phase::Index => 4,
        Phase::Manifest => 5,
        Phase::Config => 6,
        Phase::Blob => PLAIN,
    }
}

/// Given up at the first answer, which may be behind a redirect or a renewed token.
const fn at_once(phase: Phase, remedy: Remedy, says: &'static [&'static str]) -> Expected {
    Expected::Refused(remedy, says, Ceiling { requests: up_to(phase) + 2, seconds: AT_ONCE })
}

/// Given up after all tries, each of which is this many requests.
const fn after_all(phase: Phase, each: usize, says: &'static [&'static str]) -> Expected {
    let requests = up_to(phase) + TRIES * each;
    Expected::Refused(Retry, says, Ceiling { requests, seconds: PATIENT })
}

/// Wrong bytes come twice.
const fn wrong_twice(phase: Phase, says: &'static [&'static str]) -> Expected {
    Expected::Refused(Corrupt, says, Ceiling { requests: up_to(phase) + 2, seconds: AT_ONCE })
}

/// What is expected when a request of this phase meets this fault.
pub(super) const fn expected(fault: Fault, phase: Phase) -> Expected {
    use Fault as F;
    use Phase::{Blob, Config, Index, Manifest, Tag, Token};
    match (fault, phase) {
        (F::Refused, _) => after_all(phase, 1, &["connection refused", "check the port"]),
        (F::UnknownHost, _) => at_once(phase, Later, &["no such host", "check the name"]),
        (F::UnknownAuthority, _) => {
            at_once(phase, Local, &["certificate is not trusted", "DOCKERLOADER_CA_FILE"])
        }
        (F::Expired, _) => at_once(phase, Local, &["certificate is not trusted", "expired", "clock"]),
        (F::OtherName, _) => at_once(phase, Local, &["certificate is not trusted", "not valid for name"]),
        (F::Silent, _) => after_all(phase, 1, &["no answer for 3 s"]),

        (F::Closed, _) => right(2),
        (F::ClosedAlways, _) => after_all(phase, 2, &["the connection broke"]),
        (F::NoAnswer, _) => after_all(phase, 2, &["no answer for 3 s"]),

        (
            F::HeadersOnly
            | F::StallOnce
            | F::StallAlways
            | F::Trickle
            | F::ResetOnce
            | F::ResetAlways
            | F::CutOnce
            | F::CutAlways
            | F::EarlyEnd
            | F::Dropped
            | F::Huge
            | F::WrongByteOnce
            | F::WrongByteAlways
            | F::Nested
            | F::OtherPlatform,
            Tag,
        ) => NO_BODY,
        (F::HeadersOnly | F::StallAlways | F::Trickle, Token | Index | Manifest) => {
            after_all(phase, 2, &["an answer that does not end for 6 s"])
        }
        (F::HeadersOnly | F::StallAlways, Config | Blob) => after_all(phase, 1, &["no more bytes for 3 s"]),
        (F::Trickle, Config | Blob) => after_all(phase, 1, &["fewer than 8192 bytes for 6 s"]),
        (F::StallOnce | F::ResetOnce | F::CutOnce, _) => right(2),
        (F::ResetAlways | F::CutAlways, Token | Index | Manifest) => {
            after_all(phase, 2, &["the connection broke"])
        }
        (F::ResetAlways | F::CutAlways, Config | Blob) => after_all(phase, 1, &["ended after", "bytes"]),
        (F::EarlyEnd | F::Long | F::LongNoLength | F::WrongLength, Token) => {
            at_once(phase, Later, &["the answer of the token service", "it is no JSON"])
        }
        (F::EarlyEnd, Index | Manifest) => wrong_twice(phase, &["has the digest", "expected"]),
        (F::EarlyEnd, Config | Blob) => after_all(phase, 1, &["ended after", "bytes"]),
        (F::Dropped, Token | Index | Manifest | Config) => {
            Expected::DoesNotApply("it is smaller than 64 KiB")
        }
        (F::Dropped, Blob) => right(6),
        // The length of a manifest, which the descriptor says again, is of no interest here.
        (F::Long | F::LongNoLength | F::WrongLength, Tag) => right(0),
        (F::Long | F::LongNoLength | F::WrongLength, Index | Manifest) => {
            wrong_twice(phase, &["has the digest", "expected"])
        }
        (F::Long | F::LongNoLength | F::WrongLength, Config | Blob) => {
            wrong_twice(phase, &["bytes there, expected"])
        }
        (F::Huge, Token) => at_once(phase, Refuse, &["over the limit token-bytes, 65536"]),
        (F::Huge, Index | Manifest) => at_once(phase, Refuse, &["over the limit manifest-bytes, 4194304"]),
        (F::Huge, Config | Blob) => wrong_twice(phase, &["bytes there, expected"]),

        (F::Page, Token) => at_once(phase, Later, &["the answer of the token service", "it is no JSON"]),
        // Without a digest in the headers the manifest is asked for, and hashed.
        (F::Page, Tag) => right(1),
        (F::Page, Index | Manifest) => wrong_twice(phase, &["has the digest", "expected"]),
        (F::Page, Config | Blob) => wrong_twice(phase, &["50 bytes there, expected"]),
        (F::HugeHeaders, _) => after_all(phase, 2, &["the connection broke", "head is too large"]),

        (F::WrongDigest, Token) => Expected::DoesNotApply("a token has no digest"),
        (F::WrongDigest, Tag) => at_once(phase, Later, &["not found"]),
        // Bytes are compared with the digest that was asked for, whatever the header says.
        (F::WrongDigest, Index | Manifest | Config | Blob) => right(0),
        (F::WrongByteOnce | F::WrongByteAlways, Token) => {
            at_once(phase, Later, &["the answer of the token service", "it is no JSON"])
        }
        (F::WrongByteOnce, Index | Manifest | Config | Blob) => right(1),
        (F::WrongByteAlways, Index | Manifest) => wrong_twice(phase, &["has the digest", "expected"]),
        (F::WrongByteAlways, Config | Blob) => wrong_twice(phase, &["bytes received have the digest"]),
        (F::Nested, Token) => at_once(phase, Later, &["the answer of the token service", "it is no JSON"]),
        (F::Nested, Index | Manifest | Config) => at_once(phase, Refuse, &["recursion limit"]),
        (F::Nested, Blob) => Expected::DoesNotApply("a layer is no JSON"),
        (F::OtherPlatform, Token) => Expected::DoesNotApply("a token has no platform"),
        (F::OtherPlatform, Index) => at_once(phase, Refuse, &["no image for the platform", "linux/s390x"]),
        (F::OtherPlatform, Manifest | Blob) => {
            Expected::DoesNotApply("index and config say the platform, nothing else does")
        }
        (F::OtherPlatform, Config) => at_once(phase, Refuse, &["linux/s390x"]),

        (F::Unauthorized, _) => at_once(phase, Local, &["not authorized to pull app", "docker login"]),
        (F::TokenServiceFails | F::TokenExpires, Tag) => {
            Expected::DoesNotApply("nobody was shown the token before, so it was never good: 401-loop")
        }
        (F::TokenServiceFails, _) => after_all(phase, 2, &["answers 500 to the request for a token"]),
        (F::TokenExpires, Token) => Expected::DoesNotApply("a token that is never good is the 401 loop"),
        (F::TokenExpires, _) => right(2),
        (F::Forbidden, _) => at_once(phase, Local, &["access to app denied", "ask for the right"]),
        (F::NotFound, _) => at_once(phase, Later, &["not found"]),
        (F::TooManySeconds | F::TooManyDate, _) => right(2),
        (F::TooManyAbsurd | F::TooManyOverflow, _) => at_once(phase, Retry, &["answers 429"]),
        (F::TooManyAlways, _) => after_all(phase, 2, &["answers 429"]),
        (F::Status500 | F::Status502 | F::Status503, _) => right(2),
        (F::Status500Always, _) => after_all(phase, 2, &["answers 500"]),
        (F::Status502Always, _) => after_all(phase, 2, &["answers 502"]),
        (F::Status503Always, _) => after_all(phase, 2, &["answers 503"]),

        // The credentials do not follow, and without them there is no token.
        (F::Redirected, Token) => after_all(phase, 2, &["redirects to", "answers 401"]),
        (F::Redirected, _) => right(2),
        (F::RedirectLoop, _) => Expected::Refused(
            Later,
            &["redirected more than 5 times"],
            Ceiling { requests: up_to(phase) + 7, seconds: AT_ONCE },
        ),
        (F::RedirectToHttp, _) => at_once(phase, Later, &["from HTTPS to plain HTTP", "not followed"]),
        (F::RedirectToFile, _) => at_once(phase, Later, &["to a file address", "not followed"]),
        (F::RedirectExpired | F::RedirectDenied, Token) => {
            Expected::DoesNotApply("a token service that redirects gets no credentials: redirect-elsewhere")
        }
        (F::RedirectExpired, _) => right(3),
        (F::RedirectDenied, _) => after_all(phase, 2, &["redirects to", "answers 403"]),

        (
            F::RangeIgnored | F::RangeWrong | F::RangeRefused | F::RangeOtherSize,
            Token | Tag | Index | Manifest,
        ) => NO_RANGE,
        (F::RangeIgnored, Config | Blob) => right(1),
        (F::RangeWrong | F::RangeRefused | F::RangeOtherSize, Config | Blob) => right(2),
        (F::TagMoves, Token | Tag) => Expected::DoesNotApply("the tag's answer comes later"),
        (F::TagMoves, _) => right(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_faults_and_cells_than_were_promised() {
        assert!(Fault::ALL.len() >= 28, "{}", Fault::ALL.len());
        let cells = Fault::ALL.iter().flat_map(|fault| Phase::ALL.map(|phase| expected(*fault, phase)));
        let real = cells.filter(|cell| !matches!(cell, Expected::DoesNotApply(_))).count();
        assert!(real >= 200, "{real}");
    }

    #[test]
    fn every_refusal_says_what_and_every_cell_is_bounded() {
        for (fault, phase) in Fault::ALL.iter().flat_map(|fault| Phase::ALL.map(|phase| (*fault, phase))) {
            let ceiling = match expected(fault, phase) {
                Expected::Right(ceiling) => ceiling,
                Expected::Refused(_, says, ceiling) => {
                    assert!(!says.is_empty(), "{fault}/{phase}");
                    ceiling
                }
                Expected::DoesNotApply(reason) => {
                    assert!(!reason.is_empty(), "{fault}/{phase}");
                    continue;
                }
            };
            assert!(ceiling.requests <= 20 && ceiling.seconds <= 60, "{fault}/{phase}: {ceiling:?}");
        }
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len());
    }
}
