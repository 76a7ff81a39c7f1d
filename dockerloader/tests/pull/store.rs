//! Trouble in the store, and who else uses it.

use super::*;

#[test]
fn half_a_tree_is_made_anew() {
    let image = large();
    let scene = Scene::with(&image);
    for name in [format!("tmp-{}", image.digest), "tmp-other".to_owned(), "removing-x".to_owned()] {
        fs::create_dir_all(scene.layout.extracted().join(name).join("a/b")).unwrap();
    }
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ground.list("extracted"), std::slice::from_ref(&image.digest));

    // A tree of this name that isn't what the image says: by whoever put it there, or by a damaged disk.
    let tree = scene.layout.tree(&digest(&image.digest));
    fs::remove_file(tree.join("data")).unwrap();
    scene.registry.clear_requests();
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.registry.count("GET", Kind::Blob), 0, "its blobs are here");
    assert!(tree.join("data").exists());
    assert_eq!(scene.ground.list("extracted"), std::slice::from_ref(&image.digest));

    // What it wrote into its own tree doesn't matter.
    fs::write(tree.join("cache"), "x").unwrap();
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert!(tree.join("cache").exists());
}

#[test]
fn a_damaged_blob_is_noticed_and_fetched_again() {
    let image = large();
    let scene = Scene::with(&image);
    scene.pull().unwrap();
    fs::remove_dir_all(scene.layout.tree(&digest(&image.digest))).unwrap();
    let blob = scene.layout.blob(&digest(&image.layers[1].digest));
    let mut bytes = fs::read(&blob).unwrap();
    bytes[1_500_000] ^= 1;
    fs::write(&blob, bytes).unwrap();
    scene.registry.clear_requests();
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.registry.count("GET", Kind::Blob), 1);
    assert_eq!(fixtures::sha256(&fs::read(&blob).unwrap()), image.layers[1].digest);
}

#[test]
fn a_tree_is_restored_without_a_registry() {
    let image = large();
    let scene = Scene::with(&image);
    scene.pull().unwrap();
    scene.registry.go_away();
    let version = digest(&image.digest);
    let program = scene.layout.tree(&version).join("entrypoint");
    let silent: Arc<dyn Progress> = Arc::new(dockerloader::progress::Silent);
    let restore =
        || pull::restore(&version, &RegistrySettings::default(), &scene.layout, Duration::ZERO, &silent);
    fs::write(&program, "damaged").unwrap();
    restore().unwrap();
    assert_eq!(fs::read(&program).unwrap(), SCRIPT);
    fs::remove_dir_all(scene.layout.tree(&version)).unwrap();
    fs::remove_file(scene.layout.seal(&version)).unwrap();
    restore().unwrap();
    assert_eq!(fs::read(&program).unwrap(), SCRIPT);
    assert_eq!(scene.counts(), [1, 1, 1, 1, 3]);

    let blob = scene.layout.blob(&digest(&image.layers[0].digest));
    fs::write(&blob, vec![0; image.layers[0].bytes.len()]).unwrap();
    let error = restore().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Corrupt, "{error}");
    assert_eq!(fs::read(&program).unwrap(), SCRIPT, "the tree is as it was");
    fs::remove_file(&blob).unwrap();
    assert_eq!(restore().unwrap_err().remedy(), Remedy::Corrupt);
}

#[test]
fn two_pulls_at_once_are_one_after_the_other() {
    let image = large();
    let scene = &Scene::with(&image);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(&image.layers[1].digest), 1000);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| scene.pull());
        gate.wait_reached();
        let error = scene.pull().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Later);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");

        let patient = Request { wait: Duration::from_secs(60), ..scene.request() };
        let second = scope.spawn(move || scene.pull_as(&patient));
        let waits = |event: &Event| matches!(event, Event::Waiting { .. });
        while !scene.events.lock().unwrap().iter().any(waits) {
            std::thread::yield_now();
        }
        gate.release();
        assert_eq!(first.join().unwrap().unwrap(), staged(&image));
        assert_eq!(second.join().unwrap().unwrap(), staged(&image));
    });
    assert_eq!(scene.registry.count("GET", Kind::Blob), 3, "each blob once");
}
