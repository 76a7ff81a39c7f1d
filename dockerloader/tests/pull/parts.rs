//! Blobs that come in parts, and layers that are extracted while they come in.

use super::*;

const CHUNK: u64 = 8 << 20;

/// A layer of a little more than five chunks, not compressed so that it is quickly made.
pub(super) fn huge() -> BuiltImage {
    let layer = Layer::new().file("data", 0o644, &noise(5, 43_000_000)).compression(Compression::Plain);
    Image::with_entrypoint(SCRIPT).layer(layer).build()
}

/// The ranges that were asked for, without what stands before the digits.
fn asked(scene: &Scene, layer: &str) -> Vec<(u64, u64)> {
    let number = |text: &str| text.parse::<u64>().unwrap();
    let mut ranges: Vec<_> = scene
        .ranges(layer)
        .into_iter()
        .map(|range| {
            let range = range.expect("a range");
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            (number(first), if last.is_empty() { u64::MAX } else { number(last) + 1 })
        })
        .collect();
    ranges.sort_unstable();
    ranges
}

/// Waits for an event; the registry holds back what would let the test end without it. A client that gets no bytes would
/// ask again after 30 seconds.
fn wait_for_event(scene: &Scene, wanted: impl Fn(&Event) -> bool) {
    let begin = std::time::Instant::now();
    while !scene.events.lock().unwrap().iter().any(&wanted) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", scene.events.lock().unwrap());
        std::thread::yield_now();
    }
}

#[test]
fn a_large_blob_comes_in_parts_once_the_first_one_has_come() {
    let image = huge();
    let (layer, size) = (&image.layers[1].digest, image.layers[1].bytes.len() as u64);
    let scene = Scene::with(&image);
    let gate = Gate::new();
    let first = Rule::on(Kind::Blob).path(layer).times(1);
    scene.registry.fault(first, Fault::HoldHeaders { gate: gate.clone() });
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| scene.pull());
        gate.wait_reached();
        // The small layer is complete: nothing but the first part is left to ask for.
        wait_for_event(&scene, |event| {
            let size = image.layers[0].bytes.len() as u64;
            matches!(event, Event::Extracting { digest: found, done, .. }
                if *found == digest(&image.layers[0].digest) && *done == size)
        });
        assert!(scene.ranges(layer).is_empty(), "requests are noted down when they are answered");
        gate.release();
        assert_eq!(pulling.join().unwrap().unwrap(), staged(&image));
    });
    let expected: Vec<_> = (0..size.div_ceil(CHUNK))
        .map(|n| (n * CHUNK, if n == 5 { u64::MAX } else { (n + 1) * CHUNK }))
        .collect();
    assert_eq!(asked(&scene, layer), expected, "each part once");
    assert_eq!(scene.ranges(layer)[0].as_deref(), Some("bytes=0-8388607"));
    assert_eq!(fs::read(scene.layout.blob(&digest(layer))).unwrap(), image.layers[1].bytes);
    assert_eq!(scene.counts(), [1, 1, 1, 1, 3]);
}

#[test]
fn a_registry_that_cannot_send_parts_is_asked_once() {
    let image = huge();
    let layer = &image.layers[1].digest;
    let scene = Scene::with(&image);
    scene.registry.fault(Rule::on(Kind::Blob), Fault::IgnoreRange);
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), [Some("bytes=0-8388607".to_owned())]);

    // It changes its mind: what it sends whole is put where it is missing.
    let scene = Scene::with(&image);
    scene.registry.fault(Rule::on(Kind::Blob).path(layer).skip(2), Fault::IgnoreRange);
    assert_eq!(scene.pull().unwrap(), staged(&image));
}

#[test]
fn a_part_whose_connection_breaks_is_gone_on_with_where_it_broke() {
    let image = huge();
    let layer = &image.layers[1].digest;
    let scene = Scene::with(&image);
    let second = Rule::on(Kind::Blob).path(layer).skip(1).times(1);
    scene.registry.fault(second, Fault::Truncate { after: 1_000_000 });
    assert_eq!(scene.pull().unwrap(), staged(&image));
    let asked = asked(&scene, layer);
    assert_eq!(asked.len(), 7, "{asked:?}");
    // A block of the file system that was begun is fetched anew.
    assert!(asked.contains(&(CHUNK + 1_000_000 / 4096 * 4096, 2 * CHUNK)), "{asked:?}");
}

#[test]
fn a_wrong_byte_in_one_part_makes_all_of_it_be_fetched_from_elsewhere() {
    let image = huge();
    let layer = &image.layers[1].digest;
    let scene = Scene::with(&image);
    let mirror = Registry::start();
    mirror.put("app", "v1", &image);
    mirror.fault(Rule::on(Kind::Blob).path(layer), Fault::WrongByte { at: 20_000_000 });
    let settings = RegistrySettings {
        mirrors: vec![Mirror { registry: scene.registry.host(), host: mirror.host(), prefix: String::new() }],
        ..RegistrySettings::default()
    };
    assert_eq!(scene.pull_with(&scene.request(), &settings).unwrap(), staged(&image));
    assert_eq!(fs::read(scene.layout.blob(&digest(layer))).unwrap(), image.layers[1].bytes);
    let of_mirror = mirror.requests().into_iter().filter(|request| request.path.contains(layer)).count();
    assert_eq!((of_mirror, scene.ranges(layer).len()), (6, 6), "each once from each");
    assert_eq!(scene.counts(), [1, 1, 1, 1, 3]);
}

#[test]
fn a_layer_is_extracted_while_it_comes_in() {
    let image = large();
    let layer = &image.layers[1].digest;
    let scene = Scene::with(&image);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(layer), 2_000_000);
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| scene.pull());
        gate.wait_reached();
        wait_for_event(&scene, |event| {
            matches!(event, Event::Extracting { digest: found, done, .. }
                if *found == digest(layer) && *done >= 1 << 20)
        });
        gate.release();
        assert_eq!(pulling.join().unwrap().unwrap(), staged(&image));
    });
}

#[test]
fn a_download_that_ends_badly_ends_the_extraction_behind_it() {
    let image = large();
    let layer = &image.layers[1].digest;
    let scene = Scene::with(&image);
    let rule = Rule::on(Kind::Blob).path(layer);
    scene.registry.fault(rule.clone().times(1), Fault::Truncate { after: 2_000_000 });
    scene.registry.fault(rule, Fault::status(404));
    let error = scene.pull().unwrap_err();
    assert!(error.to_string().contains("not found"), "{error}");
    assert_eq!(scene.ground.list("extracted"), [""; 0]);
    scene.registry.clear_faults();
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer).last().unwrap().as_deref(), Some("bytes=2000000-"));
}

fn hostile() -> Layer {
    Layer::new().literal(b"../../../escape", fixtures::image::EntryType::Regular, b"", b"x")
}

#[test]
fn a_refused_layer_does_not_wait_for_those_above_it() {
    let image = Image::new().layer(hostile()).layer(Layer::new().file("data", 0o644, &noise(1, 3_000_000)));
    let image = image.build();
    let scene = Scene::with(&image);
    // Never released.
    let _gate = scene.registry.gate(Rule::on(Kind::Blob).path(&image.layers[1].digest), 1_000_000);
    let error = scene.pull().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Refuse, "{error}");
    assert_eq!(scene.ground.list("extracted"), [""; 0]);
}

#[test]
fn a_layer_is_refused_only_when_its_bytes_are_known_to_be_the_images() {
    let layer = hostile().file("data", 0o644, &noise(1, 3_000_000)).compression(Compression::Plain);
    let image = Image::new().layer(layer).build();
    let scene = Scene::with(&image);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(&image.layers[0].digest), 1_000_000);
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| scene.pull());
        gate.wait_reached();
        assert!(!pulling.is_finished());
        gate.release();
        assert_eq!(pulling.join().unwrap().unwrap_err().remedy(), Remedy::Refuse);
    });

    // The same refusal from bytes that are not the image's.
    let good = large();
    let layer = &good.layers[1];
    let scene = Scene::with(&good);
    let mut forged = image.layers[0].bytes.to_vec();
    forged.resize(layer.bytes.len(), 0);
    scene.registry.fault(Rule::on(Kind::Blob).path(&layer.digest).times(1), Fault::Replace(forged.into()));
    assert_eq!(scene.pull().unwrap(), staged(&good));
    assert_eq!(scene.ranges(&layer.digest).len(), 2);
}

#[test]
fn a_pull_that_is_given_up_leaves_nothing_that_hangs() {
    let image = large();
    let layer = &image.layers[1].digest;
    let scene = Scene::with(&image);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(layer), 2_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (request, settings) = (scene.request(), RegistrySettings::default());
    let silent = Arc::new(dockerloader::progress::Silent);
    runtime.block_on(async {
        tokio::select! {
            ended = pull::pull(&request, &settings, &scene.layout, silent) => panic!("{ended:?}"),
            () = gate.reached() => {}
        }
    });
    // The thread holds the lock until it has noticed.
    let patient = Request { wait: Duration::from_secs(60), ..scene.request() };
    assert_eq!(scene.pull_as(&patient).unwrap(), staged(&image));
}

#[test]
fn what_was_verified_is_not_fetched_again_after_a_refusal() {
    let image =
        Image::new().layer(Layer::new().file("data", 0o644, b"x").diff_id(&fixtures::sha256(b"another")));
    let image = image.build();
    let scene = Scene::with(&image);
    scene.pull().unwrap_err();
    scene.registry.clear_requests();
    let again = Request { again: true, ..scene.request() };
    scene.pull_as(&again).unwrap_err();
    assert_eq!(scene.registry.count("GET", Kind::Blob), 0);
}

#[test]
fn a_blob_of_another_size_is_fetched_from_elsewhere() {
    let image = large();
    let layer = &image.layers[1].digest;
    let scene = Scene::with(&image);
    let mirror = Registry::start();
    mirror.put("app", "v1", &image);
    mirror.fault(Rule::on(Kind::Blob).path(layer), Fault::Oversize { extra: 10 });
    let settings = RegistrySettings {
        mirrors: vec![Mirror { registry: scene.registry.host(), host: mirror.host(), prefix: String::new() }],
        ..RegistrySettings::default()
    };
    assert_eq!(scene.pull_with(&scene.request(), &settings).unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), [None]);
}
