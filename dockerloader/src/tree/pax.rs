//! PAX extended headers: records `LENGTH KEY=VALUE\n` (POSIX.1-2001, pax, "pax Extended Header").

use super::refusal::Rule;

/// The records of one header, in order. A later record of the same key wins.
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Rule>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = split_record(self.0);
        match record {
            Some((_, rest)) => self.0 = rest,
            // One error, then the end.
            None => self.0 = &[],
        }
        Some(record.map(|(pair, _)| pair).ok_or(Rule::Pax))
    }
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn split_record(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    // 20 digits hold any length.
    let space = bytes.iter().take(21).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(bytes.get(..space)?)?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (key, value) = pair.split_at(equals);
    (!key.is_empty()).then_some(())?;
    Some(((key, value.get(1..)?), rest))
}

/// Decimal digits alone, without sign or blanks.
pub(super) fn decimal(bytes: &[u8]) -> Option<u64> {
    (!bytes.is_empty()).then_some(())?;
    bytes.iter().try_fold(0u64, |value, &digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds and nanoseconds since 1970; the nanoseconds count upwards also before it, as in `timespec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// `[-]SECONDS[.FRACTION]`; digits beyond the ninth are cut off towards the past.
pub(super) fn timestamp(bytes: &[u8]) -> Option<Timestamp> {
    let (negative, unsigned) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let mut halves = unsigned.splitn(2, |&byte| byte == b'.');
    let seconds = i64::try_from(decimal(halves.next()?)?).ok()?;
    let fraction = halves.next().unwrap_or_default();
    fraction.iter().all(u8::is_ascii_digit).then_some(())?;
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, nanoseconds) => Timestamp { seconds, nanoseconds },
        (true, 0) => Timestamp { seconds: -seconds, nanoseconds: 0 },
        (true, nanoseconds) => Timestamp { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_exact() {
        let all = |bytes| Records(bytes).collect::<Result<Vec<_>, _>>();
        assert_eq!(all(b""), Ok(vec![]));
        assert_eq!(
            all(b"9 path=a\n15 size=a=\nb=c\n"),
            Ok(vec![(b"path".as_slice(), b"a".as_slice()), (b"size", b"a=\nb=c")])
        );
        assert_eq!(all(b"8 path=\n"), Ok(vec![(b"path".as_slice(), b"".as_slice())]));
        for bad in [
            b"path=a\n".as_slice(),
            b"0 path=a\n",
            b"11 path=a\n",
            b"8 path=a\n",
            b"6 path\n",
            b"4 =\n",
            b"+9 path=a\n",
            b" 9 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"18446744073709551615 path=a\n",
            b"9 path=a\n\0",
            b"9 path=a\n1",
        ] {
            assert_eq!(all(bad), Err(Rule::Pax), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn timestamps_may_be_negative_and_fine() {
        let table = [
            (b"0".as_slice(), Some((0, 0))),
            (b"1350244992.023960108", Some((1_350_244_992, 23_960_108))),
            (b"1.5", Some((1, 500_000_000))),
            (b"1.", Some((1, 0))),
            (b"1.1234567899", Some((1, 123_456_789))),
            (b"-1", Some((-1, 0))),
            (b"-1.5", Some((-2, 500_000_000))),
            (b"-0.25", Some((-1, 750_000_000))),
            (b"nan", None),
            (b"", None),
            (b"1.-5", None),
            (b"99999999999999999999", None),
        ];
        for (bytes, expected) in table {
            let expected = expected.map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds });
            assert_eq!(timestamp(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
