//! Trouble on the way.

use super::*;

#[test]
fn a_broken_connection_is_gone_on_with_where_it_broke() {
    let image = large();
    let layer = &image.layers[1].digest;
    for fault in [Fault::Truncate { after: 1_000_000 }, Fault::EndEarly { after: 1_000_000 }] {
        let scene = Scene::with(&image);
        scene.registry.fault(Rule::on(Kind::Blob).path(layer).times(1), fault);
        assert_eq!(scene.pull().unwrap(), staged(&image));
        assert_eq!(scene.ranges(layer), [None, Some("bytes=1000000-".to_owned())]);
        let events = scene.events.lock().unwrap();
        assert!(events.iter().any(|event| matches!(event, Event::Retrying { .. })));
    }
    // A reset may take bytes with it that were sent: where it goes on is up to the kernel.
    let scene = Scene::with(&image);
    scene.registry.fault(Rule::on(Kind::Blob).path(layer).times(1), Fault::Reset { after: 1_000_000 });
    assert_eq!(scene.pull().unwrap(), staged(&image));
}

/// Puts a partial download of the image's second layer in place.
fn leave_partial(scene: &Scene, image: &BuiltImage, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = image.layers[1].bytes[..500_000].to_vec();
    change(&mut bytes);
    fs::create_dir_all(scene.layout.blobs()).unwrap();
    let path = scene.layout.blobs().join(format!("partial-{}", image.layers[1].digest));
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn an_earlier_download_is_gone_on_with_and_not_trusted() {
    let image = large();
    let layer = &image.layers[1].digest;
    let resumed = Some("bytes=500000-".to_owned());

    let scene = Scene::with(&image);
    leave_partial(&scene, &image, |_| {});
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), std::slice::from_ref(&resumed));

    let scene = Scene::with(&image);
    leave_partial(&scene, &image, |bytes| bytes[7] ^= 1);
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), [resumed.clone(), None], "a wrong prefix: once more from the start");

    let scene = Scene::with(&image);
    scene.registry.fault(Rule::on(Kind::Blob), Fault::IgnoreRange);
    leave_partial(&scene, &image, |_| {});
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), [resumed], "all of it comes in one answer");
    assert_eq!(scene.counts(), [1, 1, 1, 1, 3]);
}

#[test]
fn wrong_bytes_are_fetched_once_more_and_then_refused() {
    let image = large();
    for fault in [
        Fault::WrongByte { at: 2_000_000 },
        Fault::Oversize { extra: 10 },
        Fault::OversizeChunked { extra: 10 },
        Fault::Replace("something else".into()),
    ] {
        let rule = Rule::on(Kind::Blob).path(&image.layers[1].digest);
        let scene = Scene::with(&image);
        scene.registry.fault(rule.clone().times(1), fault.clone());
        match scene.pull() {
            Ok(outcome) => assert_eq!(outcome, staged(&image)),
            Err(error) => panic!("{fault:?}, once: {error}"),
        }

        if matches!(fault, Fault::Replace(_)) {
            // Too short looks like a broken connection, which is tried again and again, with pauses.
            continue;
        }
        let scene = Scene::with(&image);
        scene.registry.fault(rule, fault.clone());
        let error = scene.pull().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Corrupt, "{fault:?}: {error}");
        assert!(error.to_string().contains(&image.layers[1].digest), "{error}");
        assert_eq!(scene.ranges(&image.layers[1].digest).len(), 2, "asked for twice, not more");
        assert_eq!(scene.slot(Slot::Attempt), None);
        assert_eq!(scene.ground.list("extracted"), [""; 0]);
        let blobs = scene.ground.list("blobs");
        assert!(!blobs.iter().any(|name| name.contains(&image.layers[1].digest)), "{blobs:?}");
        scene.registry.clear_faults();
        assert_eq!(scene.pull().unwrap(), staged(&image), "and then it works");
    }
}

#[test]
fn a_blob_that_is_gone_may_come_back() {
    let image = large();
    let scene = Scene::with(&image);
    scene.registry.remove("app", &image.layers[1].digest);
    let error = scene.pull().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Later, "{error}");
    scene.registry.put("app", "v1", &image);
    assert_eq!(scene.pull().unwrap(), staged(&image));
}

#[test]
fn tokens_may_expire_in_the_middle() {
    let credentials = ("robot".to_owned(), "secret".to_owned());
    let auth = Auth::Bearer { credentials: Some(credentials), lifetime: Duration::from_secs(300) };
    let registry = Registry::builder().auth(auth).tls().start();
    let image = large();
    registry.put("app", "v1", &image);
    let config = tempfile::tempdir().unwrap();
    // robot:secret
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"cm9ib3Q6c2VjcmV0"}}}}}}"#, registry.host());
    fs::write(config.path().join("config.json"), auths).unwrap();
    let ca_file = config.path().join("ca.pem");
    fs::write(&ca_file, registry.ca_pem().unwrap()).unwrap();
    let settings = RegistrySettings {
        docker_config: Some(config.path().to_owned()),
        ca_file: Some(ca_file),
        ..RegistrySettings::default()
    };
    let scene = Scene { registry, ..Scene::new() };
    let layer = Rule::on(Kind::Blob).path(&image.layers[1].digest);
    let gate = scene.registry.gate(layer.clone(), 1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let silent = Arc::new(dockerloader::progress::Silent);
    let request = scene.request();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            gate.wait_reached();
            // The rest of this answer is cut off, and the token is no longer good for the next request.
            scene.registry.revoke_tokens();
            scene.registry.go_away();
            scene.registry.come_back();
        });
        runtime.block_on(pull::pull(&request, &settings, &scene.layout, silent))
    });
    assert_eq!(outcome.unwrap(), staged(&image));
    assert_eq!(scene.registry.count("GET", Kind::Token), 2);
}

/// Mirrors of the scene's registry, in this order.
fn mirrors(scene: &Scene, mirrors: &[&Registry]) -> RegistrySettings {
    let mirror = |mirror: &&Registry| Mirror {
        registry: scene.registry.host(),
        host: mirror.host(),
        prefix: String::new(),
    };
    RegistrySettings { mirrors: mirrors.iter().map(mirror).collect(), ..RegistrySettings::default() }
}

#[test]
fn every_mirror_with_wrong_bytes_is_passed_over() {
    let image = large();
    let layer = &image.layers[1].digest;
    let scene = Scene::with(&image);
    // What an earlier download left is wrong as well.
    leave_partial(&scene, &image, |bytes| bytes[7] = !bytes[7]);
    let bad = [Registry::start(), Registry::start()];
    for mirror in &bad {
        mirror.put("app", "v1", &image);
        mirror.fault(Rule::on(Kind::Blob).path(layer), Fault::WrongByte { at: 1_000_000 });
    }
    let settings = mirrors(&scene, &[&bad[0], &bad[1]]);
    assert_eq!(scene.pull_with(&scene.request(), &settings).unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), [None], "all of it from the registry");
}

#[test]
fn wrong_bytes_are_told_with_whoever_sent_them() {
    let image = large();
    let scene = Scene::with(&image);
    let rule = Rule::on(Kind::Blob).path(&image.layers[1].digest);
    scene.registry.fault(rule, Fault::WrongByte { at: 1_000_000 });
    let error = scene.pull().unwrap_err().to_string();
    assert!(error.contains(&scene.registry.host()) && error.contains("have the digest"), "{error}");
}
