//! The image config: what to start and how (OCI image spec, config.md). Pure.
//!
//! Read leniently, since real images leave fields out or set them to `null`; what is used is checked when it is used.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Error, Image, Platform, cap, json, quoted, told};
use crate::digest::Digest;
use crate::launch::Launch;
use crate::limits::Limits;

/// Where a program is looked up when the image sets no `PATH`, as Docker does it.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program that an image has for this loader, at its root. Where it is, Entrypoint and Cmd are ignored.
pub const ENTRYPOINT: &str = "entrypoint";

/// What an image config says, as far as it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// What the image runs on; `None` when the config doesn't say.
    pub platform: Option<Platform>,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// `Env`, as `NAME=value`.
    pub environment: Vec<String>,
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub command: Vec<String>,
    /// `WorkingDir`.
    pub working_directory: Option<String>,
    /// `User`, as it stands there.
    pub user: Option<String>,
    /// `StopSignal`, as it stands there.
    pub stop_signal: Option<String>,
    /// `Labels`.
    pub labels: BTreeMap<String, String>,
}

impl ImageConfig {
    /// Reads an image config.
    ///
    /// # Errors
    /// It is over its limit, no JSON object, a used field has another type, or a diff_id is no SHA-256 digest.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        cap(limits.config_bytes, bytes.len() as u64, "image config")?;
        json::check(bytes).map_err(malformed)?;
        let raw: RawFile = serde_json::from_slice(bytes).map_err(malformed)?;
        let rootfs = raw.rootfs.unwrap_or_default();
        if let Some(kind) = rootfs.kind.filter(|kind| !kind.is_empty() && kind != "layers") {
            return Err(malformed(format_args!("rootfs.type is {:?}, expected \"layers\"", quoted(&kind))));
        }
        let diff_ids = rootfs
            .diff_ids
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(number, text)| {
                text.parse()
                    .map_err(|source| Error::Digest { what: format!("rootfs.diff_ids[{number}]"), source })
            })
            .collect::<Result<_, _>>()?;
        let word = |text: Option<String>| text.filter(|text| !text.is_empty());
        let platform = match (word(raw.os), word(raw.architecture)) {
            (Some(os), Some(architecture)) => {
                Some(Platform::new(&os, &architecture, raw.variant.as_deref().unwrap_or_default()))
            }
            _ => None,
        };
        let config = raw.config.unwrap_or_default();
        Ok(Self {
            platform,
            diff_ids,
            environment: config.env.unwrap_or_default(),
            entrypoint: config.entrypoint,
            command: config.cmd,
            working_directory: word(config.working_dir),
            user: word(config.user),
            stop_signal: word(config.stop_signal),
            labels: config
                .labels
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.unwrap_or_default()))
                .collect(),
        })
    }

    /// Checks that the image runs on `wanted`: an image that no index led to is known by its config alone. A config that
    /// doesn't say what it runs on passes.
    ///
    /// # Errors
    /// [`Error::NoImageForPlatform`] with both platforms.
    pub fn check_platform(&self, wanted: &Platform) -> Result<(), Error> {
        match &self.platform {
            Some(found) if !wanted.accepts(found) => Err(Error::NoImageForPlatform {
                wanted: wanted.to_string(),
                offered: vec![quoted(&found.to_string())],
            }),
            _ => Ok(()),
        }
    }

    /// Checks that the manifest has as many layers as the config.
    ///
    /// # Errors
    /// [`Error::LayerCount`] with both counts.
    pub fn check_layers(&self, image: &Image) -> Result<(), Error> {
        let (layers, diff_ids) = (image.layers.len(), self.diff_ids.len());
        if layers == diff_ids { Ok(()) } else { Err(Error::LayerCount { layers, diff_ids }) }
    }

    /// Program and arguments as the config gives them: Entrypoint, then Cmd. The Entrypoint `[""]` means that there is
    /// none, which is how it is reset.
    pub fn argv(&self) -> Vec<&str> {
        let entrypoint = match self.entrypoint.as_slice() {
            [only] if only.is_empty() => &[],
            entrypoint => entrypoint,
        };
        entrypoint.iter().chain(&self.command).map(String::as_str).collect()
    }

    /// `Env` as pairs, in its order. Entries without `=`, without a name, or with a NUL can't be set and are left out.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.environment
            .iter()
            .filter(|entry| !entry.contains('\0'))
            .filter_map(|entry| entry.split_once('='))
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Where in the tree `program` is looked for, in order: paths without a leading slash, without `.` and `..`. A name
    /// with a slash is one place (below WorkingDir when it is relative); another is looked up along the image's `PATH`.
    pub fn candidates(&self, program: &str) -> Vec<String> {
        if program.contains('/') {
            let base = self.working_directory.as_deref().unwrap_or_default();
            let path =
                if program.starts_with('/') { inside(program) } else { inside(&format!("{base}/{program}")) };
            return path.into_iter().collect();
        }
        let variables = self.variables();
        let path = variables.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
        path.filter(|path| !path.is_empty())
            .unwrap_or(DEFAULT_PATH)
            .split(':')
            .filter(|directory| directory.starts_with('/'))
            .filter_map(|directory| inside(&format!("{directory}/{program}")))
            .collect()
    }

    /// How the image is started. `is_executable` answers for a path inside the tree, without a leading slash.
    ///
    /// # Errors
    /// [`Error::NoProgram`] and [`Error::ProgramNotFound`]; [`Error::Malformed`] for an argument with a NUL.
    pub fn launch(&self, mut is_executable: impl FnMut(&str) -> bool) -> Result<Launch, Error> {
        let (program, arguments) = if is_executable(ENTRYPOINT) {
            (ENTRYPOINT.to_owned(), Vec::new())
        } else {
            let argv = self.argv();
            let (program, arguments) = argv.split_first().ok_or(Error::NoProgram)?;
            if argv.iter().any(|argument| argument.contains('\0')) {
                return Err(malformed("an argument of Entrypoint or Cmd has a NUL in it"));
            }
            let candidates = self.candidates(program);
            match candidates.iter().find(|candidate| is_executable(candidate)) {
                Some(found) => {
                    (found.clone(), arguments.iter().map(|&argument| argument.to_owned()).collect())
                }
                None => {
                    let candidates = candidates.iter().map(|path| quoted(path)).collect();
                    return Err(Error::ProgramNotFound { program: quoted(program), candidates });
                }
            }
        };
        Ok(Launch {
            program,
            arguments,
            environment: self.variables(),
            working_directory: self.working_directory.as_deref().and_then(inside),
            stop_signal: self.stop_signal.clone(),
        })
    }
}

/// `path`, taken from the tree's root, without a leading slash, `.` and `..`; `..` at the root stays there, as it does
/// in a container. `None` for the root itself and for what no path can be.
fn inside(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    (!parts.is_empty() && !path.contains('\0')).then(|| parts.join("/"))
}

fn malformed(problem: impl std::fmt::Display) -> Error {
    Error::Malformed { what: "image config", problem: told(&problem.to_string()) }
}

#[derive(Deserialize)]
struct RawFile {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    rootfs: Option<RawRootfs>,
    config: Option<RawConfig>,
}

#[derive(Default, Deserialize)]
struct RawRootfs {
    #[serde(rename = "type")]
    kind: Option<String>,
    diff_ids: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    env: Option<Vec<String>>,
    #[serde(default, deserialize_with = "words")]
    entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "words")]
    cmd: Vec<String>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
    labels: Option<BTreeMap<String, Option<String>>>,
}

/// A list of words; old builders wrote a single one without the list.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<Words>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Words::One(word)) => vec![word],
        Some(Words::Many(words)) => words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImageConfig, Error> {
        ImageConfig::parse(text.as_bytes(), &Limits::default())
    }

    fn config(inner: &str) -> ImageConfig {
        parse(&format!(r#"{{"config":{inner}}}"#)).unwrap()
    }

    #[test]
    fn missing_and_null_fields_are_as_if_empty() {
        for text in [
            "{}",
            r#"{"config":null,"rootfs":null,"os":null}"#,
            r#"{"config":{"Env":null,"Entrypoint":null,"Cmd":null,"WorkingDir":null,"User":"","Labels":null,
                "ExposedPorts":null,"Volumes":null,"OnBuild":null},"rootfs":{"type":"layers","diff_ids":null},
                "os":"","architecture":"amd64","history":null}"#,
        ] {
            assert_eq!(parse(text).unwrap(), ImageConfig::default(), "{text}");
        }
    }

    #[test]
    fn a_config_that_cannot_be_used_is_refused() {
        let large = format!("{{\"x\":\"{}\"}}", "a".repeat(9 << 20));
        for (text, hint) in [
            ("", "EOF"),
            ("[]", "image config is malformed"),
            (r#"{"config":{"Env":"PATH=/bin"}}"#, "sequence"),
            (r#"{"rootfs":{"diff_ids":["sha256:../../x"]}}"#, "rootfs.diff_ids[0]"),
            (r#"{"rootfs":{"type":"zfs"}}"#, "rootfs.type"),
            (r#"{"os":"linux","os":"windows"}"#, "twice"),
            (&large, "config-bytes"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.remedy(), crate::remedy::Remedy::Refuse);
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn entrypoint_and_cmd_make_the_command_line() {
        for (inner, expected) in [
            (r#"{"Entrypoint":["/a","b"],"Cmd":["c"]}"#, &["/a", "b", "c"][..]),
            (r#"{"Entrypoint":[""],"Cmd":["c"]}"#, &["c"]),
            (r#"{"Entrypoint":[],"Cmd":["c","d"]}"#, &["c", "d"]),
            (r#"{"Entrypoint":"a","Cmd":null}"#, &["a"]),
            (r#"{"Entrypoint":["a",""]}"#, &["a", ""]),
            ("{}", &[]),
        ] {
            assert_eq!(config(inner).argv(), expected, "{inner}");
        }
    }

    #[test]
    fn a_program_is_looked_up_inside_the_tree_only() {
        for (inner, program, expected) in [
            ("{}", "/bin/sh", &["bin/sh"][..]),
            ("{}", "/../../bin/./sh", &["bin/sh"]),
            (r#"{"WorkingDir":"/srv/app"}"#, "./run", &["srv/app/run"]),
            (r#"{"WorkingDir":"srv"}"#, "../../../run/x", &["run/x"]),
            (r#"{"Env":["PATH=/opt/bin:/bin"]}"#, "app", &["opt/bin/app", "bin/app"]),
            (r#"{"Env":["PATH=/a","PATH=/b"]}"#, "app", &["b/app"]),
            (r#"{"Env":["PATH=.::bin:/../x"]}"#, "app", &["x/app"]),
            (
                r#"{"Env":["PATH"]}"#,
                "",
                &["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"],
            ),
            ("{}", "/", &[]),
            ("{}", "a\0/b", &[]),
        ] {
            assert_eq!(config(inner).candidates(program), expected, "{inner} {program:?}");
        }
    }

    #[test]
    fn an_entrypoint_at_the_root_wins_over_the_config() {
        let config = config(
            r#"{"Entrypoint":["app"],"Cmd":["x"],"Env":["A=b=c","bad","=c"],"WorkingDir":"/w/../v/"}"#,
        );
        let launch = config.launch(|path| path == "entrypoint").unwrap();
        assert_eq!((launch.program.as_str(), launch.arguments.len()), ("entrypoint", 0));
        assert_eq!(launch.environment, [("A".to_owned(), "b=c".to_owned())]);
        assert_eq!(launch.working_directory.as_deref(), Some("v"));
        let launch = config.launch(|path| path == "usr/bin/app").unwrap();
        assert_eq!((launch.program.as_str(), launch.arguments), ("usr/bin/app", vec!["x".to_owned()]));
        let bytes = serde_json::to_vec(&config.launch(|path| path == "usr/bin/app").unwrap()).unwrap();
        Launch::parse(&bytes).expect("the launch file can be read back");
    }

    #[test]
    fn an_image_without_a_program_says_what_was_looked_for() {
        assert!(matches!(config("{}").launch(|_| false), Err(Error::NoProgram)));
        let error = config(r#"{"Cmd":["app"],"Env":["PATH=/opt"]}"#).launch(|_| false).unwrap_err();
        assert!(error.to_string().contains("\"app\"") && error.to_string().contains("opt/app"), "{error}");
        let error = config(r#"{"Cmd":["/app","\u0000"]}"#).launch(|path| path == "app").unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }));
    }

    #[test]
    fn an_image_for_another_platform_is_refused_with_both() {
        let config = parse(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#).unwrap();
        config.check_platform(&"linux/arm64".parse().unwrap()).unwrap();
        let text = config.check_platform(&"linux/amd64".parse().unwrap()).unwrap_err().to_string();
        assert!(text.contains("linux/amd64") && text.contains("linux/arm64"), "{text}");
        let older = parse(r#"{"os":"linux","architecture":"arm","variant":"v6"}"#).unwrap();
        older.check_platform(&"linux/arm/v7".parse().unwrap()).unwrap();
        assert!(older.check_platform(&"linux/arm/v5".parse().unwrap()).is_err());
    }
}
