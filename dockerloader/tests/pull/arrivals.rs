//! What arrives, in which form.

use super::*;

#[test]
fn every_form_of_image_arrives_and_is_staged() {
    for flavour in [Flavour::Oci, Flavour::Docker] {
        for compression in
            [Compression::Plain, Compression::Gzip, Compression::GzipMembers(5), Compression::Zstd]
        {
            let image = Image::new()
                .flavour(flavour)
                .layer(Layer::new().file("entrypoint", 0o755, SCRIPT).file("etc/old", 0o644, b"old"))
                .layer(Layer::new().file("data", 0o644, &noise(2, 300_000)).compression(compression))
                .layer(Layer::new().whiteout("etc/old").compression(compression))
                .environment(&["A=1"])
                .working_directory("/etc")
                .set("StopSignal", "SIGINT".into())
                .build();
            let scene = Scene::with(&image);
            assert_eq!(scene.pull().unwrap(), staged(&image), "{flavour:?} {compression:?}");

            let version = digest(&image.digest);
            let tree = scene.layout.tree(&version);
            assert_eq!(fs::read_link(scene.layout.slot(Slot::Attempt)).unwrap(), tree.join("entrypoint"));
            assert_eq!(fs::read(tree.join("entrypoint")).unwrap(), SCRIPT);
            assert_eq!(fs::metadata(tree.join("entrypoint")).unwrap().permissions().mode() & 0o777, 0o755);
            assert_eq!(fs::read(tree.join("data")).unwrap(), noise(2, 300_000));
            assert!(!tree.join("etc/old").exists());
            assert_eq!(fs::read(scene.layout.image(&version)).unwrap(), image.manifest);
            let launch = Launch::parse(&fs::read(scene.layout.launch(&version)).unwrap()).unwrap();
            assert_eq!(launch.environment, [("A".to_owned(), "1".to_owned())]);
            assert_eq!(launch.working_directory.as_deref(), Some("etc"));
            assert_eq!(launch.stop_signal.as_deref(), Some("SIGINT"));
            assert_eq!(scene.counts(), [1, 1, 1, 1, 4]);
        }
    }
}

#[test]
fn the_image_of_this_platform_is_chosen() {
    let other = Image::with_entrypoint(b"#!/bin/sh\nexit 1\n").platform("linux", "s390x", "").build();
    let mine = Image::with_entrypoint(SCRIPT).build();
    let index = Index::new().image(&other).attestation(&other).image(&mine).build();
    let nested = Index::new().nested(&index).build();
    let list = Index::new().flavour(Flavour::Docker).image(&other).image(&mine).build();
    for content in [&index, &nested, &list] {
        let scene = Scene::with(content);
        assert_eq!(scene.pull().unwrap(), staged(&mine));
        assert_eq!(scene.counts(), [1, 1, 1, 1, 2]);
    }
    let scene = Scene::with(&other);
    let error = scene.pull().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Refuse);
    assert!(error.to_string().contains("s390x"), "{error}");
    assert_eq!(scene.slot(Slot::Attempt), None);
}

#[test]
fn a_tag_that_moves_meanwhile_changes_nothing_and_is_found_next_time() {
    let (first, second) = (large(), Image::with_entrypoint(b"#!/bin/sh\nexit 2\n").build());
    let scene = Scene::with(&first);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(&first.layers[1].digest), 1000);
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| scene.pull());
        gate.wait_reached();
        scene.registry.put("app", "v1", &second);
        gate.release();
        assert_eq!(pulling.join().unwrap().unwrap(), staged(&first));
    });
    assert_eq!(scene.pull().unwrap(), staged(&second));
    assert_eq!(scene.slot(Slot::Attempt), Some(second.digest));
}

#[test]
fn what_skopeo_pushes_is_pulled() {
    let image = large();
    let from = Registry::start();
    from.put("x", "v1", &image);
    for arguments in [&["--format=v2s2"][..], &["--format=oci"], &["--dest-compress-format=zstd"]] {
        let scene = Scene::new();
        let copied = std::process::Command::new("skopeo")
            .args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(arguments)
            .arg(format!("docker://{}", from.reference("x", "v1")))
            .arg(format!("docker://{}", scene.registry.reference("app", "v1")))
            .output();
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: skopeo is not installed");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let version = digest(&scene.registry.tag("app", "v1").unwrap());
        assert_eq!(scene.pull().unwrap(), Outcome::Staged { digest: version });
        assert_eq!(fs::read(scene.layout.tree(&version).join("data")).unwrap(), noise(1, 3_000_000));
    }
}

#[test]
fn a_layer_may_come_twice() {
    let layer = Layer::new().file("data", 0o644, b"1").build();
    let image = Image::with_entrypoint(SCRIPT).built_layer(layer.clone());
    let image = image.layer(Layer::new().whiteout("data")).built_layer(layer).build();
    let scene = Scene::with(&image);
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.counts(), [1, 1, 1, 1, 4]);
    assert!(scene.layout.tree(&digest(&image.digest)).join("data").exists());
}

#[test]
fn progress_ends_where_the_blobs_end() {
    let image = large();
    let scene = Scene::with(&image);
    scene.pull().unwrap();
    let events = scene.events.lock().unwrap();
    let mut done = BTreeMap::new();
    for event in events.iter() {
        if let Event::Blob { digest, done: now, total } = event {
            assert!(done.insert(*digest, *now).is_none_or(|before| before <= *now), "{event:?}");
            assert!(now <= total);
        }
    }
    for layer in &image.layers {
        assert_eq!(done[&digest(&layer.digest)], layer.bytes.len() as u64);
    }
    assert_eq!(events.last(), Some(&Event::Installed { digest: digest(&image.digest) }));
}
