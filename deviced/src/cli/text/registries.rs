//! Registries, the closest first.

use super::table::{Table, cell, plain};
use super::{Tone, View, duration};
use crate::report::RegistryReport;

/// The registries.
pub(in crate::cli) fn registries(registries: &[RegistryReport], view: &View) -> String {
    if registries.is_empty() {
        return "The document names no registry, and none was asked yet.\n".to_owned();
    }
    let mut table = Table::new(&["RANK", "REGISTRY", "STATE", "LATENCY", "REQUESTS", "PROBLEM"]);
    for registry in registries {
        let (state, tone) = if registry.up { ("up", Tone::Good) } else { ("down", Tone::Bad) };
        let pause = registry.pause.map(|left| format!("asked again in {}", duration(left)));
        let problem: Vec<_> = registry.problem.iter().cloned().chain(pause).collect();
        table.row(vec![
            plain(registry.rank.to_string()),
            plain(&registry.url),
            cell(tone, state),
            plain(registry.latency_ms.map_or_else(String::new, |latency| format!("{latency:.1} ms"))),
            plain(registry.requests.to_string()),
            plain(problem.join("; ")),
        ]);
    }
    table.text(view)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn registries_in_their_order() {
        assert_eq!(
            registries(&sample::report().registries, &sample::view()),
            "RANK  REGISTRY                         STATE  LATENCY  REQUESTS  PROBLEM\n\
             1     https://cache.shop.example:5000  up     3.4 ms   412\n\
             2     https://registry.example         down            8         connection refused; asked again in 1m 35s\n"
        );
        assert!(registries(&[], &sample::view()).contains("no registry"));
    }
}
