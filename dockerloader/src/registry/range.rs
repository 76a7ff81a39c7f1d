//! What an answer to a request for a part of a blob really is: pure.

use std::ops::Range;

/// What an answer to a request for some bytes of a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It begins with the first byte that was asked for.
    Part,
    /// It begins with the blob's first byte and goes to its last.
    Whole,
    /// The registry can't be asked for parts: ask for the whole.
    AskForWhole,
    /// The registry's content has another length than the descriptor says.
    WrongSize(u64),
}

/// Judges an answer's status, `Content-Range` (RFC 9110, 14.4) and `Content-Length`. All of the blob's bytes stand for a
/// request without `Range`.
pub(super) fn judge(
    status: u16,
    content_range: Option<&str>,
    content_length: Option<u64>,
    wanted: &Range<u64>,
    size: u64,
) -> Judgement {
    match (status, content_range.and_then(parse)) {
        (206, Some((_, _, Some(total)))) if total != size => Judgement::WrongSize(total),
        (206, Some((first, last, _))) if first == wanted.start && first <= last => {
            if last < size {
                Judgement::Part
            } else {
                Judgement::WrongSize(last.saturating_add(1))
            }
        }
        // Another part than the one that was asked for, or none that can be told, or nothing left of it.
        (206 | 416, _) => Judgement::AskForWhole,
        _ => match content_length {
            Some(length) if length != size => Judgement::WrongSize(length),
            _ => Judgement::Whole,
        },
    }
}

/// `bytes first-last/total`; the total may be `*`, which is unknown.
fn parse(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_what_it_is() {
        use Judgement::{AskForWhole, Part, Whole, WrongSize};
        for (status, content_range, length, offset, expected) in [
            (206, Some("bytes 40-99/100"), Some(60), 40, Part),
            (206, Some("bytes 40-99/*"), None, 40, Part),
            (206, Some("bytes 40-59/100"), None, 40, Part),
            (206, Some("bytes 0-79/100"), None, 0, Part),
            (206, Some("bytes 41-99/100"), None, 40, AskForWhole),
            (206, Some("bytes 0-99/100"), None, 40, AskForWhole),
            (206, Some("bytes 40-99/101"), None, 40, WrongSize(101)),
            (206, Some("bytes 40-120/*"), None, 40, WrongSize(121)),
            (206, Some("bytes 40-18446744073709551615/*"), None, 40, WrongSize(u64::MAX)),
            (206, Some("bytes 40-39/100"), None, 40, AskForWhole),
            (206, Some("items 40-99/100"), None, 40, AskForWhole),
            (206, Some("bytes 40-99"), None, 40, AskForWhole),
            (206, None, Some(60), 40, AskForWhole),
            (206, None, None, 0, AskForWhole),
            (416, Some("bytes */100"), None, 40, AskForWhole),
            (200, None, Some(100), 40, Whole),
            (200, None, None, 40, Whole),
            (200, None, Some(99), 0, WrongSize(99)),
        ] {
            assert_eq!(
                judge(status, content_range, length, &(offset..80), 100),
                expected,
                "{status} {content_range:?}"
            );
        }
    }
}
