//! Which of several forms somebody wants (RFC 9110, 12.5.1). Pure.

/// Streams of events.
pub(super) const EVENTS: &str = "text/event-stream";

/// The best of what is offered, by the header `Accept`; the first where all are equal or the header is missing. `None` when none of them is
/// wanted.
pub(super) fn best<'a>(accept: Option<&str>, offered: &[&'a str]) -> Option<&'a str> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return offered.first().copied();
    };
    let weighed = offered.iter().map(|offer| (*offer, weight(accept, offer)));
    // The last of equal ones wins in max_by_key.
    weighed.rev().filter(|(_, weight)| *weight > 0).max_by_key(|(_, weight)| *weight).map(|(offer, _)| offer)
}

/// Whether a stream of events is asked for in so many words: `*/*` does not, since a stream never ends.
pub(super) fn wants_events(accept: Option<&str>) -> bool {
    accept.is_some_and(|accept| {
        accept.split(',').any(|range| {
            let mut parts = range.split(';');
            let named = parts.next().is_some_and(|media| media.trim().eq_ignore_ascii_case(EVENTS));
            named && quality(parts) > 0
        })
    })
}

/// How much somebody wants a media type, from 0 to 1000: the most specific range decides.
fn weight(accept: &str, offer: &str) -> u16 {
    let (kind, _) = offer.split_once('/').unwrap_or((offer, ""));
    let mut found = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';');
        let media = parts.next().unwrap_or_default().trim();
        let rank = if media.eq_ignore_ascii_case(offer) {
            3
        } else if media.strip_suffix("/*").is_some_and(|wanted| wanted.eq_ignore_ascii_case(kind)) {
            2
        } else if media == "*/*" {
            1
        } else {
            continue;
        };
        if rank > found.0 {
            found = (rank, quality(parts));
        }
    }
    found.1
}

/// `q` in thousandths; 1000 without one, 0 for one that can't be read.
fn quality<'a>(mut parameters: impl Iterator<Item = &'a str>) -> u16 {
    let quality = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(quality) = quality else { return 1000 };
    match quality.parse::<f64>() {
        // In range, so nothing is cut off.
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wanted_form_is_chosen() {
        let offered = ["application/yaml", "application/json"];
        for (accept, expected) in [
            (None, Some("application/yaml")),
            (Some(""), Some("application/yaml")),
            (Some("*/*"), Some("application/yaml")),
            (Some("application/json"), Some("application/json")),
            (Some("Application/JSON; charset=utf-8"), Some("application/json")),
            (Some("application/*"), Some("application/yaml")),
            (Some("application/yaml;q=0.5, application/json"), Some("application/json")),
            (Some("application/yaml;q=0, */*"), Some("application/json")),
            (Some("*/*;q=0.1, application/json;q=0.2"), Some("application/json")),
            (Some("text/html"), None),
            (Some("application/json;q=0"), None),
            (Some("application/json;q=x"), None),
            (Some("application/json;q=7"), None),
            (Some(",;,"), None),
        ] {
            assert_eq!(best(accept, &offered), expected, "{accept:?}");
        }
    }

    #[test]
    fn a_stream_has_to_be_asked_for_by_name() {
        for (accept, wants) in [
            (None, false),
            (Some("*/*"), false),
            (Some("text/*"), false),
            (Some("text/event-stream"), true),
            (Some("application/json, Text/Event-Stream;q=0.9"), true),
            (Some("text/event-stream;q=0"), false),
        ] {
            assert_eq!(wants_events(accept), wants, "{accept:?}");
        }
    }
}
