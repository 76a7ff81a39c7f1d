//! What was found on the volume, and the choice. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Method, Wanted};
use crate::remedy::Remedy;

/// What the data volume can't do. Copying works everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Why a method does not work here; those that are missing work.
    pub cannot: BTreeMap<Method, String>,
}

/// A method was asked for that does not work here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "DOCKERLOADER_TREE_METHOD is {method}, which does not work on this data volume: {reason}; unset it, or choose one \
     of: {works}"
)]
pub struct Unsupported {
    /// The method.
    pub method: Method,
    /// Why it doesn't work.
    pub reason: String,
    /// The values of the setting that work.
    pub works: String,
}

impl Unsupported {
    /// What to do about it: change the setting or the machine.
    pub const fn remedy(&self) -> Remedy {
        Remedy::Local
    }
}

impl Probe {
    /// Whether a method works here.
    pub fn can(&self, method: Method) -> bool {
        !self.cannot.contains_key(&method)
    }

    /// The method to use; `None` to extract every tree from its layers.
    ///
    /// # Errors
    /// The one that is wanted does not work here.
    pub fn choose(&self, wanted: Wanted) -> Result<Option<Method>, Unsupported> {
        match wanted {
            Wanted::Extract => Ok(None),
            Wanted::Auto => Ok(Method::ALL.into_iter().find(|method| self.can(*method))),
            Wanted::Only(method) => match self.cannot.get(&method) {
                None => Ok(Some(method)),
                Some(reason) => {
                    let works = Method::ALL.into_iter().filter(|method| self.can(*method)).map(Method::name);
                    let works = works.chain(["extract"]).collect::<Vec<_>>().join(", ");
                    Err(Unsupported { method, reason: reason.clone(), works })
                }
            },
        }
    }

    /// `overlay: mounting is not permitted; snapshot, reflink: ext4 can't`: methods with the same reason together.
    /// Empty when everything works.
    pub fn reasons(&self) -> String {
        let mut text = String::new();
        let mut told: Vec<&str> = Vec::new();
        for reason in self.cannot.values() {
            if told.contains(&reason.as_str()) {
                continue;
            }
            told.push(reason);
            let same = self.cannot.iter().filter(|(_, other)| *other == reason);
            let names: Vec<_> = same.map(|(method, _)| method.name()).collect();
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}{}: {reason}", names.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(cannot: &[(Method, &str)]) -> Probe {
        Probe { cannot: cannot.iter().map(|(method, reason)| (*method, (*reason).to_owned())).collect() }
    }

    #[test]
    fn the_cheapest_that_works_is_chosen_and_a_setting_is_not_overruled() {
        use Method::{Copy, Overlay, Reflink, Snapshot};
        let all = probe(&[]);
        let btrfs = probe(&[(Overlay, "o")]);
        let xfs = probe(&[(Overlay, "o"), (Snapshot, "s")]);
        let ext4 = probe(&[(Overlay, "o"), (Snapshot, "s"), (Reflink, "s")]);
        for (probe, wanted, chosen) in [
            (&all, Wanted::Auto, Some(Overlay)),
            (&btrfs, Wanted::Auto, Some(Snapshot)),
            (&xfs, Wanted::Auto, Some(Reflink)),
            (&ext4, Wanted::Auto, Some(Copy)),
            (&ext4, Wanted::Extract, None),
            (&all, Wanted::Only(Copy), Some(Copy)),
            (&btrfs, Wanted::Only(Reflink), Some(Reflink)),
        ] {
            assert_eq!(probe.choose(wanted), Ok(chosen), "{probe:?} {wanted:?}");
        }
        let error = xfs.choose(Wanted::Only(Snapshot)).unwrap_err().to_string();
        assert!(error.contains("DOCKERLOADER_TREE_METHOD is snapshot"), "{error}");
        assert!(error.contains(": s;") && error.ends_with("reflink, copy, extract"), "{error}");
    }

    #[test]
    fn one_reason_is_told_once() {
        let probe = probe(&[
            (Method::Reflink, "ext4 can't"),
            (Method::Overlay, "mounting is not permitted"),
            (Method::Snapshot, "ext4 can't"),
        ]);
        assert_eq!(probe.reasons(), "overlay: mounting is not permitted; snapshot, reflink: ext4 can't");
        assert_eq!(Probe::default().reasons(), "");
    }
}
