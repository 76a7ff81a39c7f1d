//! Real root file systems and the images that real builders make of them. Made once, then kept below the build directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::tools::run;

/// Files of the Python tree.
const FILES: usize = 50_000;

/// An image in an OCI layout.
pub(crate) struct Image {
    pub(crate) layout: PathBuf,
}

impl Image {
    /// `LAYOUT:latest`, as the tools call it.
    pub(crate) fn name(&self) -> String {
        format!("{}:latest", self.layout.display())
    }
}

fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("real")
}

/// Makes `name` in the cache, unless that was done to the end before.
#[expect(clippy::disallowed_methods, reason = "a cache of the tests")]
fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let path = cache().join(name);
    let done = cache().join(format!("{name}.done"));
    if !done.exists() {
        fs::create_dir_all(cache()).unwrap();
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        make(&path);
        fs::write(done, "").unwrap();
    }
    path
}

/// The mirror that this machine's own packages come from.
fn mirror() -> Option<String> {
    let files = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"];
    let text: String = files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    words.find(|word| word.starts_with("http") && !word.contains("security")).map(str::to_owned)
}

/// Debian, minimal.
pub(crate) fn debian() -> PathBuf {
    cached("debian-root", |path| {
        let mirror = mirror().unwrap_or_else(|| "http://deb.debian.org/debian".to_owned());
        run("debootstrap", ["--variant=minbase", "stable", path.to_str().unwrap(), &mirror]);
    })
}

/// The machine's Python library, filled up with made modules; and files as only tests have them.
#[expect(clippy::disallowed_methods, reason = "a root file system made by the tests")]
pub(crate) fn python() -> PathBuf {
    cached("python-root", |path| {
        let library = path.join("usr/lib/python");
        fs::create_dir_all(&library).unwrap();
        for entry in fs::read_dir("/usr/lib").unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("python3") {
                run("cp", ["-a", entry.path().to_str().unwrap(), library.to_str().unwrap()]);
            }
        }
        let packages = library.join("made");
        let present = run("find", [library.to_str().unwrap(), "-type", "f"]).lines().count();
        for number in present..FILES {
            let package = packages.join(format!("package{:03}/part{}", number % 250, number % 7));
            fs::create_dir_all(&package).unwrap();
            // Sizes as those of Python's own modules: many small ones, some of 100 kB.
            let lines = 5 + number % 97 + if number.is_multiple_of(211) { 3000 } else { 0 };
            let text: String =
                (0..lines).map(|line| format!("value_{number}_{line} = {}\n", number * line)).collect();
            fs::write(package.join(format!("module{number}.py")), text).unwrap();
        }
        strange(&path.join("strange"));
    })
}

/// Every kind and attribute that layers can carry.
#[expect(clippy::disallowed_methods, reason = "a root file system made by the tests")]
fn strange(folder: &Path) {
    fs::create_dir_all(folder.join("deep/er")).unwrap();
    let text = |name: &str| {
        let path = folder.join(name);
        fs::write(&path, name).unwrap();
        path
    };
    fs::set_permissions(text("setuid"), fs::Permissions::from_mode(0o6755)).unwrap();
    std::os::unix::fs::chown(text("owned"), Some(1234), Some(100_000)).unwrap();
    fs::hard_link(text("deep/one"), folder.join("deep/er/two")).unwrap();
    symlink("../nowhere/at all", folder.join("dangling")).unwrap();
    symlink("/strange/deep", folder.join("absolute")).unwrap();
    fs::hard_link(folder.join("dangling"), folder.join("dangling-too")).unwrap();
    text(&"long-".repeat(40));
    text("newline\nand \u{e9}");
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (path, name, value) in [
        (text("capable"), "security.capability", capability.as_slice()),
        (text("noted"), "user.note", b"a=b\0c\n"),
        (folder.join("deep"), "user.folder", b"yes"),
    ] {
        rustix::fs::setxattr(&path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    }
    let sparse = fs::File::create(folder.join("sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 4 << 20).unwrap();
    run("mkfifo", [folder.join("fifo")]);
    run("mknod", [folder.join("zero").to_str().unwrap(), "c", "1", "5"]);
    fs::set_permissions(folder.join("deep/er"), fs::Permissions::from_mode(0o1555)).unwrap();
    run("touch", ["-d", "1969-12-31 23:59:58.25 UTC", text("old").to_str().unwrap()]);
}

/// Two layers by buildah: the root file system, and changes of every kind to it.
pub(crate) fn by_buildah(name: &str, root: &Path) -> Image {
    let layout = cached(&format!("{name}-buildah"), |layout| {
        let storage = tempfile::tempdir_in(cache()).unwrap();
        let at = |part: &str| storage.path().join(part).to_str().unwrap().to_owned();
        let (graph, state) = (at("graph"), at("run"));
        let buildah = |arguments: &[&str]| {
            let common = ["--root", &graph, "--runroot", &state, "--storage-driver", "overlay"];
            run("buildah", common.iter().chain(arguments))
        };
        let container = buildah(&["from", "scratch"]);
        let mounted = PathBuf::from(buildah(&["mount", &container]));
        run("cp", ["-a", &format!("{}/.", root.display()), mounted.to_str().unwrap()]);
        buildah(&["umount", &container]);
        let base = buildah(&["commit", "--quiet", &container]);
        let second = buildah(&["from", "--pull-never", &base]);
        let mounted = PathBuf::from(buildah(&["mount", &second]));
        change(&mounted);
        buildah(&["umount", &second]);
        buildah(&[
            "commit",
            "--quiet",
            "--disable-compression=false",
            &second,
            &format!("oci:{}:latest", layout.display()),
        ]);
        buildah(&["rm", "--all"]);
        buildah(&["rmi", "--all", "--force"]);
    });
    Image { layout }
}

/// The change of the second layer: removed, replaced, renewed, linked. Applies to either root file system.
#[expect(clippy::disallowed_methods, reason = "a root file system made by the tests")]
fn change(root: &Path) {
    let library = root.join("usr/lib");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let mut all: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.retain(|path| path.is_dir() && !path.is_symlink());
        all.sort();
        all
    };
    let first = folders(&library).remove(0);
    let inner = run("find", [first.to_str().unwrap(), "-type", "f"]);
    for (number, file) in inner.lines().take(40).enumerate() {
        match number % 4 {
            0 => fs::remove_file(file).unwrap(),
            1 => fs::write(file, "changed").unwrap(),
            2 => fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap(),
            _ => {
                fs::remove_file(file).unwrap();
                symlink("elsewhere", file).unwrap();
            }
        }
    }
    // A folder that goes and comes back is opaque in overlay's eyes.
    let renewed = root.join("usr/share");
    if renewed.exists() {
        fs::remove_dir_all(&renewed).unwrap();
    }
    fs::create_dir_all(renewed.join("new")).unwrap();
    fs::write(renewed.join("new/file"), "new").unwrap();
    fs::hard_link(renewed.join("new/file"), root.join("usr/linked")).unwrap();
}

/// The same image with layers in zstd.
pub(crate) fn by_skopeo(name: &str, image: &Image) -> Image {
    let layout = cached(&format!("{name}-zstd"), |layout| {
        let plain = tempfile::tempdir_in(cache()).unwrap();
        let plain = format!("dir:{}", plain.path().display());
        run("skopeo", ["copy", "--quiet", "--dest-decompress", &format!("oci:{}", image.name()), &plain]);
        let target = format!("oci:{}:latest", layout.display());
        run("skopeo", ["copy", "--quiet", "--dest-compress-format", "zstd", &plain, &target]);
    });
    Image { layout }
}

/// Layers by `docker build`, out of the daemon with `docker save`; and the file system that `docker export` gives.
pub(crate) fn by_docker(name: &str, root: &Path) -> (Image, PathBuf) {
    let exported = cache().join(format!("{name}-exported.tar"));
    let layout = cached(&format!("{name}-docker"), |layout| {
        let context = tempfile::tempdir_in(cache()).unwrap();
        let tar = context.path().join("root.tar");
        run(
            "tar",
            ["--xattrs", "--numeric-owner", "--sort=name", "-cf", tar.to_str().unwrap(), "-C"]
                .into_iter()
                .chain([root.to_str().unwrap(), "."]),
        );
        let steps = "FROM scratch\nADD root.tar /\n\
            RUN rm -rf /usr/share/doc && mkdir /usr/share/doc && echo new > /usr/share/doc/new && rm /etc/motd\n\
            RUN ln /usr/share/doc/new /usr/linked && mv /usr/share/man /usr/share/manuals && chmod 4711 /bin/ls\n\
            CMD [\"/bin/true\"]\n";
        write(&context.path().join("Dockerfile"), steps);
        let tag = format!("dockerloader-extract-{name}");
        run(
            "docker",
            ["build", "--quiet", "--network", "none", "--tag", &tag, context.path().to_str().unwrap()],
        );
        let saved = context.path().join("saved.tar");
        run("docker", ["save", "--output", saved.to_str().unwrap(), &tag]);
        let container = run("docker", ["create", "--network", "none", &tag]);
        run("docker", ["export", "--output", exported.to_str().unwrap(), &container]);
        run("docker", ["rm", &container]);
        run("docker", ["rmi", &tag]);
        let source = format!("docker-archive:{}", saved.display());
        run("skopeo", ["copy", "--quiet", &source, &format!("oci:{}:latest", layout.display())]);
    });
    (Image { layout }, exported)
}

#[expect(clippy::disallowed_methods, reason = "a file of the tests")]
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}
