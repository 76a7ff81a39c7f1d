//! Layers that another program made.

use std::process::Command;

use super::*;

/// Pushes an image to `to` as zstd:chunked; `None` when there is no skopeo.
fn push(image: &BuiltImage, to: &str) -> Option<()> {
    let from = Registry::start();
    from.put("x", "v1", image);
    let copied = Command::new("skopeo")
        .args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false"])
        .arg("--dest-compress-format=zstd:chunked")
        .arg(format!("docker://{}", from.reference("x", "v1")))
        .arg(format!("docker://{to}"))
        .output();
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{error}"),
    };
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    Some(())
}

#[test]
fn what_skopeo_made_is_put_together_from_what_skopeo_made() {
    let (old, new) = (image(Compression::Plain, |_| false), image(Compression::Plain, |n| n % 100 == 33));
    let scene = Scene::new();
    for (image, tag) in [(&old, "v1"), (&new, "v2")] {
        if push(image, &scene.registry.reference("app", tag)).is_none() {
            eprintln!("skipped: skopeo is not installed");
            return;
        }
        let version = digest(&scene.registry.tag("app", tag).unwrap());
        scene.registry.clear_requests();
        let outcome = scene.pull_from(&scene.registry.reference("app", tag)).unwrap();
        assert_eq!(outcome, Outcome::Staged { digest: version });
    }
    let (fetched, copied) = scene.assembled().unwrap();
    println!("{fetched} bytes fetched, {copied} copied");
    assert!(fetched < copied / 15, "{fetched} bytes fetched, {copied} copied");
    let tree = scene.layout.tree(&digest(&scene.registry.tag("app", "v2").unwrap()));
    for n in 0..FILES {
        let seed = if n % 100 == 33 { n + 1_000_000 } else { n };
        assert_eq!(fs::read(tree.join(format!("usr/{}/{n}", n / 10 * 10))).unwrap(), noise(seed, length(n)));
    }
}
