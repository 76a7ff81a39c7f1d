//! Images of the shop: a busybox and a script each, so that every version says which it is.

use std::path::PathBuf;

use fixtures::image::{BuiltImage, BuiltLayer, Image, Layer};

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::workspace::find_program;

/// Where the page of `web` is, in the network that it shares with `sensor`.
pub(super) const PAGE: &str = "http://127.0.0.1:8080/";
/// What a bad version says before it ends with [`BAD_CODE`].
pub(super) const BAD_LINE: &str = "error: table sessions has no column token";
/// How a bad version ends.
pub(super) const BAD_CODE: u8 = 3;

/// What images are made of.
pub(crate) struct Images {
    busybox: BuiltLayer,
    /// `NAME=VALUE`, by which everything of this demo is found again.
    label: (String, String),
}

/// What a version does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Answers at [`PAGE`], or at another port if `PORT` says so.
    Serves,
    /// Runs.
    Waits,
    /// Ends with [`BAD_CODE`].
    Bad,
}

impl Images {
    pub(crate) fn new(label: (String, String)) -> Result<Self> {
        let bytes = std::fs::read(busybox()?).context("read busybox")?;
        let busybox = Layer::new().dir("bin", 0o755).file("bin/busybox", 0o755, &bytes).build();
        Ok(Self { busybox, label })
    }

    /// A version of an image.
    pub(crate) fn version(&self, name: &str, version: &str, nature: Nature) -> BuiltImage {
        let layer = Layer::new()
            .dir("www", 0o755)
            .file("www/index.html", 0o644, page(name, version).as_bytes())
            .file("start", 0o755, script(name, version, nature).as_bytes());
        let (label, value) = &self.label;
        Image::new()
            .built_layer(self.busybox.clone())
            .layer(layer)
            .entrypoint(&["/bin/busybox", "sh", "/start"])
            .set("Labels", serde_json::json!({ label: value }))
            .build()
    }
}

/// What a version says of itself.
pub(super) fn page(name: &str, version: &str) -> String {
    format!("{name} {version}")
}

fn script(name: &str, version: &str, nature: Nature) -> String {
    let work = match nature {
        // Process 1 ignores SIGTERM unless it says what is done then.
        Nature::Serves => {
            "trap 'exit 0' TERM\n/bin/busybox httpd -f -p \"127.0.0.1:${PORT:-8080}\" -h /www &\nwait\n"
                .to_owned()
        }
        Nature::Waits => "trap 'exit 0' TERM\n/bin/busybox sleep 86400 &\nwait\n".to_owned(),
        Nature::Bad => format!("echo '{BAD_LINE}' >&2\nexit {BAD_CODE}\n"),
    };
    format!("echo '{name} {version} starts'\n{work}")
}

/// A busybox that needs no library.
fn busybox() -> Result<PathBuf> {
    let found = find_program("busybox").ok_or_else(|| {
        Failure::new("the demo's images need busybox: apt-get install busybox-static, or `cargo xtask test`")
    })?;
    let (_, told) = Call::new("ldd").args([&found]).code()?;
    if told.contains("=>") {
        return Err(Failure::new(format!(
            "{} needs libraries, which the demo's images have not: apt-get install busybox-static",
            found.display()
        )));
    }
    Ok(found)
}
