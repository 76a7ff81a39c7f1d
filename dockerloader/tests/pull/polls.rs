//! What is asked for when there is little or nothing to bring.

use super::*;

#[test]
fn a_poll_that_finds_nothing_new_is_one_head() {
    let image = Image::with_entrypoint(SCRIPT).build();
    let index = Index::new().image(&image).build();
    for as_index in [false, true] {
        let scene = Scene::new();
        if as_index {
            scene.registry.put("app", "v1", &index);
        } else {
            scene.registry.put("app", "v1", &image);
        }
        scene.pull().unwrap();
        let version = digest(&image.digest);
        let current = Request { current: Some(version), ..scene.request() };
        let rejected = Request { rejected: [(version, "it hung".to_owned())].into(), ..scene.request() };
        for (request, outcome) in [
            (scene.request(), Outcome::Staged { digest: version }),
            (current, Outcome::UpToDate { digest: version }),
            (rejected, Outcome::Skipped { digest: version, reason: "it hung".to_owned() }),
        ] {
            scene.registry.clear_requests();
            assert_eq!(scene.pull_as(&request).unwrap(), outcome);
            let requests = scene.registry.requests();
            assert_eq!(requests.len(), 1, "{requests:?}");
            assert_eq!((requests[0].method.as_str(), requests[0].kind), ("HEAD", Kind::Manifest));
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_downloaded() {
    let image = large();
    let scene = Scene::with(&Index::new().image(&image).build());
    let version = digest(&image.digest);
    let rejected = Request { rejected: [(version, "it crashed".to_owned())].into(), ..scene.request() };
    for requests in [3, 1] {
        scene.registry.clear_requests();
        let outcome = scene.pull_as(&rejected).unwrap();
        assert_eq!(outcome, Outcome::Skipped { digest: version, reason: "it crashed".to_owned() });
        assert_eq!(scene.registry.requests().len(), requests, "HEAD, index and manifest; then HEAD alone");
    }
    assert_eq!(scene.counts(), [0; 5]);
}

#[test]
fn what_was_refused_is_not_downloaded_and_extracted_again_at_every_poll() {
    let image = Image::new().layer(Layer::new().file("entrypoint", 0o644, SCRIPT)).build();
    let scene = Scene::with(&image);
    let first = scene.pull().unwrap_err().to_string();
    for _ in 0..2 {
        scene.events.lock().unwrap().clear();
        scene.registry.clear_requests();
        let error = scene.pull().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Refuse);
        assert!(error.to_string().contains(&first), "{error}");
        assert_eq!(scene.registry.requests().len(), 1);
        let extracts = |event: &Event| matches!(event, Event::Extracting { .. });
        assert!(!scene.events.lock().unwrap().iter().any(extracts));
    }
    let again = Request { again: true, ..scene.request() };
    assert_eq!(scene.pull_as(&again).unwrap_err().to_string(), first, "looked at again");

    // An interpreter may be there when the container is another one.
    let scene = Scene::with(&Image::with_entrypoint(b"#!/no/such/python\n").build());
    let first = scene.pull().unwrap_err().to_string();
    assert_eq!(scene.pull().unwrap_err().to_string(), first, "looked at again");
}

#[test]
fn a_version_that_is_fetched_for_a_repair_does_not_make_the_target_forgotten() {
    let (target, other) = (large(), Image::with_entrypoint(SCRIPT).build());
    let scene = Scene::with(&target);
    scene.registry.put("app", "old", &other);
    scene.pull().unwrap();
    let pinned = format!("{}/app@{}", scene.registry.host(), other.digest).parse().unwrap();
    let repair = Request { reference: pinned, stage: false, ..scene.request() };
    let outcome = scene.pull_as(&repair).unwrap();
    assert_eq!(outcome, Outcome::Installed { digest: digest(&other.digest) });
    assert_eq!(scene.slot(Slot::Attempt), Some(target.digest.clone()));
    scene.registry.clear_requests();
    assert_eq!(scene.pull().unwrap(), staged(&target));
    assert_eq!(scene.registry.requests().len(), 1);
}

#[test]
fn what_was_staged_is_withdrawn_when_the_tag_goes_back() {
    let (good, bad) = (Image::with_entrypoint(SCRIPT).build(), large());
    let scene = Scene::with(&good);
    let running = Request { current: Some(digest(&good.digest)), ..scene.request() };
    scene.registry.put("app", "v1", &bad);
    assert_eq!(scene.pull_as(&running).unwrap(), staged(&bad));
    scene.registry.put("app", "v1", &good);
    let outcome = Outcome::UpToDate { digest: digest(&good.digest) };
    assert_eq!(scene.pull_as(&running).unwrap(), outcome);
    assert_eq!(scene.slot(Slot::Attempt), None);
}
