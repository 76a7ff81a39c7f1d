//! `verify`: whether the extracted versions are what was extracted.

use std::fmt::Write as _;

use serde::Serialize;

use super::Context;
use super::arguments::DigestPrefix;
use super::exit::Exit;
use super::failure::Failure;
use super::output;
use crate::digest::Digest;
use crate::disk::{Disk as _, RealDisk};
use crate::heal;
use crate::layout::Layout;
use crate::logging::printable;
use crate::tree::{Depth, Finding, Problem, Seal};
use crate::volume::overlay::View;

/// Largest seal that is read, in bytes: some ten million paths.
const SEAL_BYTES: u64 = 1 << 30;
/// Findings of a version that the text lists; JSON has all.
const LISTED: usize = 20;

/// What was found out about one version.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Verified {
    digest: Digest,
    /// Nothing of the image is missing or changed.
    intact: bool,
    /// Paths of the image.
    paths: u64,
    /// Why the version can't be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What differs; files that the application added are listed, but do no harm.
    findings: Vec<Difference>,
}

impl Verified {
    /// What is wrong with what the tree could be made of again.
    fn add(&mut self, found: Vec<heal::Found>) {
        self.intact &= found.is_empty();
        let found = found.into_iter();
        self.findings.extend(found.map(|found| Difference {
            path: found.name,
            problem: found.problem,
            added: false,
        }));
    }
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    path: String,
    problem: String,
    added: bool,
}

pub(super) fn run(
    context: &Context,
    full: bool,
    prefix: Option<&DigestPrefix>,
    json: bool,
) -> Result<Exit, Failure> {
    let depth = if full { Depth::Full } else { Depth::Quick };
    let present = extracted(&context.layout)?;
    let wanted = match prefix {
        None => present,
        Some(prefix) => vec![prefix.resolve(present)?],
    };
    // Of other versions, which a clean-up has not come to, nobody keeps the blobs.
    let named = if full { super::slots::read(context)?.named() } else { Vec::new() };
    let look = |digest: Digest| {
        let mut verified = verify(&context.layout, digest, depth);
        if named.contains(&digest) {
            verified.add(heal::inspect_store(&context.layout, &digest));
        }
        verified
    };
    let verified: Vec<_> = wanted.into_iter().map(look).collect();
    output::answer(json, &verified, text(&verified).trim_end())?;
    Ok(if verified.iter().all(|version| version.intact) { Exit::Success } else { Exit::Failed })
}

/// The versions that have a tree.
fn extracted(layout: &Layout) -> Result<Vec<Digest>, Failure> {
    let folder = layout.extracted();
    let names = RealDisk.list(&folder).map_err(|error| Failure::file(&folder, &error))?;
    let mut digests: Vec<Digest> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    digests.sort_unstable();
    Ok(digests)
}

fn verify(layout: &Layout, digest: Digest, depth: Depth) -> Verified {
    let path = layout.seal(&digest);
    let seal = RealDisk
        .read(&path, SEAL_BYTES)
        .map_err(|error| format!("{}: {error}", path.display()))
        .and_then(|bytes| Seal::parse(bytes).map_err(|error| error.to_string()));
    let seal = seal.and_then(|seal| match View::of(layout, &digest) {
        Ok(view) => Ok((seal, view)),
        Err(error) => Err(error.to_string()),
    });
    match seal {
        Ok((seal, view)) => judge(digest, seal.len(), crate::tree::verify(view.path(), &seal, depth)),
        Err(error) => Verified { digest, intact: false, paths: 0, error: Some(error), findings: Vec::new() },
    }
}

fn judge(digest: Digest, paths: u64, findings: Vec<Finding>) -> Verified {
    let findings: Vec<_> = findings
        .into_iter()
        .map(|finding| Difference {
            path: String::from_utf8_lossy(&finding.path).into_owned(),
            problem: finding.problem.to_string(),
            added: finding.problem == Problem::Extra,
        })
        .collect();
    Verified { digest, intact: findings.iter().all(|found| found.added), paths, error: None, findings }
}

fn text(verified: &[Verified]) -> String {
    let mut text = String::new();
    for version in verified {
        let changed = version.findings.iter().filter(|found| !found.added).count();
        let verdict = match (&version.error, changed) {
            (Some(error), _) => printable(error).into_owned(),
            (None, 0) => format!("intact, {} paths", version.paths),
            (None, changed) => format!("{changed} of {} paths differ", version.paths),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {verdict}", version.digest.short());
        for found in version.findings.iter().take(LISTED) {
            let path = if found.path.is_empty() { "." } else { &found.path };
            let _ = writeln!(text, "  {} {}", printable(path), found.problem);
        }
        if let Some(more) = version.findings.len().checked_sub(LISTED).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {more} more; --json lists all");
        }
    }
    if verified.is_empty() {
        text.push_str("no version is extracted here\n");
    } else if verified.iter().any(|version| !version.intact) {
        text.push_str("`dockerloader verify --repair` restores what is damaged\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str, problem: Problem) -> Finding {
        Finding { path: path.as_bytes().to_vec(), problem }
    }

    #[test]
    fn what_the_application_added_is_no_damage() {
        let digest = Digest::from_bytes([0xab; 32]);
        let added = judge(digest, 3, vec![finding("cache/x", Problem::Extra)]);
        assert!(added.intact);
        assert_eq!(text(&[added]), "abababababab: intact, 3 paths\n  cache/x is not of the image\n");
        let changed = judge(digest, 3, vec![finding("bin/\u{1b}x", Problem::Contents)]);
        assert!(!changed.intact);
        assert_eq!(
            text(&[changed]),
            "abababababab: 1 of 3 paths differ\n  bin/\\u{1b}x has other contents\n\
             `dockerloader verify --repair` restores what is damaged\n"
        );
    }

    #[test]
    fn long_lists_are_cut_in_the_text_alone() {
        let many = (0..25).map(|number| finding(&number.to_string(), Problem::Missing)).collect();
        let verified = judge(Digest::from_bytes([1; 32]), 30, many);
        assert_eq!(verified.findings.len(), 25);
        assert!(text(&[verified]).contains("  and 5 more; --json lists all\n"));
        assert_eq!(text(&[]), "no version is extracted here\n");
    }
}
