//! Which image of an index runs here, as `containerd/platforms` decides it.

use std::fmt;
use std::str::FromStr;

use super::{Descriptor, Error, Index, media_type};

/// What an image runs on (OCI image spec, image-index.md, "platform"), in normalised words: `amd64`, not `x86_64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    /// Empty for the architecture's own default.
    variant: String,
}

impl Platform {
    /// A platform of these words, normalised as Go and containerd name them.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let os = match os.to_ascii_lowercase() {
            os if os == "macos" => "darwin".to_owned(),
            os => os,
        };
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386" | "i686" | "x86" | "386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            ("powerpc64le", variant) => ("ppc64le", variant),
            (architecture, variant) => (architecture, variant),
        };
        Self { os, architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// This program's platform. An arm build runs on what it was compiled for, and on what is newer.
    pub fn current() -> Self {
        let variant = if cfg!(all(target_arch = "arm", not(target_feature = "v7"))) { "v6" } else { "" };
        Self::new(std::env::consts::OS, std::env::consts::ARCH, variant)
    }

    /// The operating system, as `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture, as `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant, as `v7`; `None` for the architecture's default.
    pub fn variant(&self) -> Option<&str> {
        (!self.variant.is_empty()).then_some(self.variant.as_str())
    }

    /// What runs on this platform, best first (`containerd/platforms`, compare.go, `platformVector`).
    pub fn runs(&self) -> Vec<Self> {
        let like = |architecture: &str, variant: String| Self::new(&self.os, architecture, &variant);
        let mut all = vec![self.clone()];
        let number = self.variant.strip_prefix('v').and_then(|text| text.parse::<u32>().ok());
        // A bound: the variant comes from a setting, and no architecture has more of them.
        let below = |number: u32, last: u32| (last..number.min(64)).rev();
        match self.architecture.as_str() {
            "amd64" => {
                all.extend(below(number.unwrap_or(1), 1).map(|n| like("amd64", format!("v{n}"))));
                all.push(like("386", String::new()));
            }
            "arm" => all.extend(below(number.unwrap_or(7), 5).map(|n| like("arm", format!("v{n}")))),
            "arm64" => {
                all.extend(below(number.unwrap_or(8), 8).map(|n| like("arm64", format!("v{n}"))));
                all.extend((5..=8).rev().map(|n| like("arm", format!("v{n}"))));
            }
            _ => {}
        }
        all
    }

    /// Whether an image config that says `other` can run here.
    pub fn accepts(&self, other: &Self) -> bool {
        self.runs().contains(other)
    }

    fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::Platform { text: text.chars().take(64).collect() };
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        };
        let mut parts = text.split('/');
        let os = parts.next().filter(is_word).ok_or_else(refuse)?;
        let architecture = parts.next().filter(is_word).ok_or_else(refuse)?;
        let variant = parts.next().map(|part| Some(part).filter(is_word).ok_or_else(refuse)).transpose()?;
        match parts.next() {
            None => Ok(Self::new(os, architecture, variant.unwrap_or_default())),
            Some(_) => Err(refuse()),
        }
    }
}

/// The entry of an index that runs best on `wanted`; the first one among equals. It may be an index itself.
///
/// Attestations (`unknown/unknown`, or annotated as such) and entries that are no images are passed over. Where no entry
/// fits and a single one names no platform, that one is taken: its config has the last word
/// ([`ImageConfig::check_platform`](super::ImageConfig::check_platform)).
///
/// # Errors
/// [`Error::NoImageForPlatform`] with what the index offers.
pub fn choose<'i>(index: &'i Index, wanted: &Platform) -> Result<&'i Descriptor, Error> {
    let candidates: Vec<_> = index.manifests.iter().filter(|entry| is_image(entry)).collect();
    let preferences = wanted.runs();
    let rank = |entry: &Descriptor| {
        let platform = entry.platform.as_ref()?;
        preferences.iter().position(|preferred| preferred == platform)
    };
    let best =
        candidates.iter().filter_map(|entry| Some((rank(entry)?, *entry))).min_by_key(|(rank, _)| *rank);
    if let Some((_, entry)) = best {
        return Ok(entry);
    }
    let mut silent = candidates.iter().filter(|entry| entry.platform.is_none());
    if let (Some(entry), None) = (silent.next(), silent.next()) {
        return Ok(entry);
    }
    let offered = candidates
        .iter()
        .take(32)
        .map(|entry| entry.platform.as_ref().map_or("an unnamed platform".to_owned(), Platform::to_string))
        .map(|text| super::quoted(&text))
        .collect();
    Err(Error::NoImageForPlatform { wanted: wanted.to_string(), offered })
}

fn is_image(entry: &Descriptor) -> bool {
    matches!(media_type::Kind::of(&entry.media_type), Some(media_type::Kind::Image | media_type::Kind::Index))
        && !entry.annotations.contains_key("vnd.docker.reference.type")
        && !entry.platform.as_ref().is_some_and(Platform::is_unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    fn index(platforms: &[&str]) -> Index {
        let entry = |(number, text): (usize, &&str)| Descriptor {
            media_type: media_type::OCI_MANIFEST.to_owned(),
            digest: crate::digest::Digest::from_bytes([u8::try_from(number).unwrap(); 32]),
            size: 1,
            urls: Vec::new(),
            annotations: if *text == "attestation" {
                [("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned())].into()
            } else {
                std::collections::BTreeMap::new()
            },
            platform: match *text {
                "none" => None,
                "attestation" => Some(platform("linux/amd64")),
                text => Some(platform(text)),
            },
        };
        Index { manifests: platforms.iter().enumerate().map(entry).collect() }
    }

    #[test]
    fn names_are_normalised() {
        for (text, normal) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(platform(text).to_string(), normal);
        }
        for bad in ["", "linux", "linux/", "/amd64", "linux/arm/", "linux/arm/v7/x", "linux/a b"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_best_image_is_chosen_not_the_first() {
        for (wanted, offered, expected) in [
            ("linux/amd64", &["linux/arm64", "linux/amd64"][..], Some(1)),
            ("linux/amd64", &["linux/386", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/386"], Some(0)),
            ("linux/amd64", &["linux/amd64/v2"], None),
            ("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], Some(1)),
            ("linux/amd64/v3", &["linux/386", "linux/amd64/v4", "linux/amd64"], Some(2)),
            ("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], Some(1)),
            ("linux/arm/v6", &["linux/arm/v7"], None),
            ("linux/arm/v8", &["linux/arm/v6", "linux/arm/v7"], Some(1)),
            ("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"], Some(1)),
            ("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], Some(1)),
            ("linux/arm64/v9", &["linux/arm/v8", "linux/arm64"], Some(1)),
            ("linux/amd64", &["windows/amd64"], None),
            ("linux/amd64", &["unknown/unknown", "linux/amd64", "linux/amd64"], Some(1)),
            ("linux/amd64", &["attestation"], None),
            ("linux/amd64", &["none"], Some(0)),
            ("linux/amd64", &["none", "none"], None),
            ("linux/amd64", &["linux/arm64", "none"], Some(1)),
            ("linux/riscv64", &["linux/riscv64"], Some(0)),
            ("linux/amd64", &[], None),
            ("linux/amd64/v4000000000", &["linux/amd64"], Some(0)),
        ] {
            let index = index(offered);
            let chosen =
                choose(&index, &platform(wanted)).ok().map(|entry| usize::from(entry.digest.bytes()[0]));
            assert_eq!(chosen, expected, "{wanted} of {offered:?}");
        }
    }

    #[test]
    fn the_error_lists_what_there_is() {
        let error = choose(&index(&["linux/arm64", "linux/s390x"]), &platform("linux/amd64")).unwrap_err();
        let text = error.to_string();
        for word in ["linux/amd64", "linux/arm64", "linux/s390x", "DOCKERLOADER_PLATFORM"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
