use std::sync::Arc;
use std::time::Duration;

use deviced::sources::Sources;
use dockerloader::config::RegistrySettings;
use fixtures::registry::{Auth, Fault, Kind, Refusing, Registry, Rule, Silent};
use serde_json::json;

use crate::scene::*;

#[tokio::test]
async fn a_poll_is_one_head_request() {
    let registry = Registry::start();
    registry.put("app", "v1", &image(1));
    let sources = sources(&plain(&[&registry]));
    for poll in 1..=3 {
        let survey = ask(&sources, &container(&["v1", "^1"])).await;
        assert_eq!(shown(&survey), [("v1", registry.origin().as_str())]);
        assert_eq!(survey.offers[0].digest, digest(&image(1)));
        assert_eq!(survey.offers[0].repository, format!("{}/app", registry.host()));
        assert_eq!(survey.problems, []);
        assert_eq!((heads(&registry), requests(&registry)), (poll, poll));
    }
    assert_eq!(registry.count("GET", Kind::Ping), 1, "how far away it is has been measured once");
    let state = &sources.states()[0];
    assert!(state.up && state.latency.is_some() && state.rank == 1 && state.requests == 4, "{state:?}");
}

#[tokio::test]
async fn many_polls_at_once_measure_once() {
    let registry = Registry::start();
    registry.put("app", "v1", &image(1));
    let sources = Arc::new(sources(&plain(&[&registry])));
    let polls = (0..20).map(|_| {
        let sources = Arc::clone(&sources);
        tokio::spawn(async move { ask(&sources, &container(&["v1"])).await.offers.len() })
    });
    for poll in polls.collect::<Vec<_>>() {
        assert_eq!(poll.await.unwrap(), 1);
    }
    assert_eq!((registry.count("GET", Kind::Ping), heads(&registry)), (1, 20));
}

#[tokio::test]
async fn the_closest_is_asked_and_the_next_one_when_it_fails() {
    let (near, far) = (Registry::start(), Registry::start());
    for registry in [&near, &far] {
        registry.put("app", "v1", &image(1));
    }
    let sources = in_order(&[&near, &far]);
    let app = container(&["v1"]);
    assert_eq!(shown(&ask(&sources, &app).await), [("v1", near.origin().as_str())]);
    assert_eq!(requests(&far), 0);
    near.go_away();
    let survey = ask(&sources, &app).await;
    assert_eq!(shown(&survey), [("v1", far.origin().as_str())]);
    assert!(survey.problems[0].text.contains("connection refused"), "{:?}", survey.problems);
    let survey = ask(&sources, &app).await;
    assert_eq!((shown(&survey), heads(&far)), (vec![("v1", far.origin().as_str())], 2));
    assert!(survey.problems[0].text.contains("left alone for another"), "{:?}", survey.problems);
    near.come_back();
    let states = sources.states();
    assert_eq!((states[0].up, states[1].up), (false, true));
    // Another process takes this over, and begins with what it knows.
    let restarted = Sources::new(&plain(&[&near, &far]), &states, &RegistrySettings::default(), &[].into());
    near.clear_requests();
    assert_eq!(shown(&ask(&restarted, &app).await), [("v1", far.origin().as_str())]);
    assert_eq!(near.requests(), []);
}

#[tokio::test]
async fn the_best_version_wins_over_the_closest_registry() {
    let (near, far) = (Registry::start(), Registry::start());
    for minor in 0..3 {
        near.put("app", &format!("1.{minor}.0"), &image(minor));
    }
    far.put("app", "1.3.0", &image(3));
    far.put("app", "1.2.0", &image(2));
    let sources = in_order(&[&near, &far]);
    let survey = ask(&sources, &container(&["^1"])).await;
    assert_eq!(shown(&survey), [("1.3.0", far.origin().as_str())]);
    assert_eq!((near.count("GET", Kind::Tags), far.count("GET", Kind::Tags)), (1, 1));
    assert_eq!((heads(&near), heads(&far)), (0, 1));
    // When that one is rejected: the next one, from the closest that has it.
    let bad = digest(&image(3));
    let survey = sources.survey(&container(&["^1"]), None, &|digest| *digest == bad).await;
    let (near, far) = (near.origin(), far.origin());
    assert_eq!(shown(&survey), [("1.3.0", far.as_str()), ("1.2.0", near.as_str())]);
}

#[tokio::test]
async fn what_was_set_comes_first_and_the_fallback_last() {
    let registry = Registry::start();
    registry.put("app", "latest", &image(1));
    registry.put("app", "beta", &image(2));
    let sources = sources(&plain(&[&registry]));
    let mut app = container(&["v1"]);
    app.fallback = Some("latest".to_owned());
    let survey = sources.survey(&app, Some("beta"), &|_| false).await;
    assert_eq!((survey.offers[0].entry, survey.offers[0].version.as_str()), (None, "beta"));
    let survey = sources.survey(&app, Some("gamma"), &|_| false).await;
    assert_eq!((survey.offers[0].entry, survey.offers[0].version.as_str()), (Some(1), "latest"));
    let texts: Vec<_> = survey.problems.iter().map(|problem| problem.text.as_str()).collect();
    assert!(texts.len() == 2 && texts[0].contains("gamma") && texts[1].contains("v1"), "{texts:?}");
}

#[tokio::test]
async fn a_tag_that_is_nowhere_is_said_and_keeps_nothing_waiting() {
    let (near, far) = (Registry::start(), Registry::start());
    near.put("app", "v1", &image(1));
    let sources = in_order(&[&near, &far]);
    let survey = ask(&sources, &container(&["v2"])).await;
    assert_eq!((survey.offers.len(), survey.problems.len()), (0, 2));
    for problem in &survey.problems {
        assert!(problem.text.contains("the manifest v2 of app not found"), "{problem:?}");
    }
    assert_eq!((heads(&near), heads(&far)), (1, 1), "and is not asked for twice");
    assert!(sources.states().iter().all(|state| state.up), "it was an answer");
    assert_eq!(shown(&ask(&sources, &container(&["v1"])).await).len(), 1);
}

#[tokio::test]
async fn a_moving_tag_is_followed_and_one_answer_has_one_digest() {
    let registry = Registry::start();
    for number in [1, 2] {
        registry.put("app", &format!("v{number}"), &image(number));
    }
    registry.put("app", "latest", &image(1));
    let sources = sources(&plain(&[&registry]));
    let app = container(&["latest"]);
    assert_eq!(ask(&sources, &app).await.offers[0].digest, digest(&image(1)));
    // It moves while it is asked for: whatever the answer is, the pull is by that digest.
    let retag = |number: usize| Fault::Retag { tag: "latest".to_owned(), digest: image(number).digest };
    registry.fault(Rule::on(Kind::Manifest).method("HEAD").times(1), retag(2));
    let survey = ask(&sources, &app).await;
    assert_eq!(survey.offers[0].digest, digest(&image(2)));
    registry.put("app", "latest", &image(1));
    let pulling = sources.for_pull("app", None, &survey.offers[0], 0).await.unwrap();
    assert_eq!(pulling.pull.digest, image(2).digest);
    assert_eq!(pulling.pull.repository, format!("{}/app", registry.host()));
}

#[tokio::test]
async fn a_mirror_that_lags_behind_brings_no_old_version_back() {
    let (origin, mirror) = (Registry::start(), Registry::start());
    origin.put("app", "latest", &image(2));
    mirror.put("app", "latest", &image(1));
    let sources = in_order(&[&origin, &mirror]);
    let app = container(&["latest"]);
    assert_eq!(ask(&sources, &app).await.offers[0].digest, digest(&image(2)));
    origin.go_away();
    for _ in 0..2 {
        let survey = ask(&sources, &app).await;
        assert_eq!(survey.offers[0].digest, digest(&image(2)), "what was said last stands");
        let texts: Vec<_> = survey.problems.iter().map(|problem| problem.text.as_str()).collect();
        assert!(texts.iter().any(|text| text.contains("said last that it is")), "{texts:?}");
    }
    // Nor after a restart with nobody there but the mirror.
    let restarted = Sources::new(
        &plain(&[&origin, &mirror]),
        &sources.states(),
        &RegistrySettings::default(),
        &[].into(),
    );
    assert_eq!(ask(&restarted, &app).await.offers[0].digest, digest(&image(2)));
    // The mirror has caught up: both agree.
    mirror.put("app", "latest", &image(2));
    let survey = ask(&sources, &app).await;
    assert_eq!(survey.offers[0].digest, digest(&image(2)));
    assert_eq!(survey.offers[0].registry, mirror.origin());
}

#[tokio::test]
async fn whatever_goes_wrong_at_one_registry_the_next_one_is_asked() {
    for (fault, up, hint) in [
        (Fault::status(401), true, "not authorized"),
        (Fault::status(403), true, "denied"),
        (Fault::status(404), true, ""),
        (Fault::too_many_requests("7"), false, "answers 429"),
        (Fault::status(500), false, "answers 500"),
        (Fault::status(503), false, "answers 503"),
        (Fault::Close, false, "the connection broke"),
        (Fault::Redirect("ftp://elsewhere".to_owned()), false, "redirected"),
    ] {
        let (near, far) = (Registry::start(), Registry::start());
        for registry in [&near, &far] {
            registry.put("app", "v1", &image(1));
        }
        near.fault(Rule::on(Kind::Manifest).any_method(), fault.clone());
        let sources = in_order(&[&near, &far]);
        let survey = ask(&sources, &container(&["v1"])).await;
        assert_eq!(shown(&survey), [("v1", far.origin().as_str())], "{fault:?}");
        assert!(survey.problems.iter().any(|one| one.text.contains(hint)) || hint.is_empty(), "{survey:?}");
        assert_eq!(sources.states()[0].up, up, "{fault:?}");
        assert_eq!(sources.states()[0].pause.is_some(), !up, "{fault:?}");
        // Only a connection that broke may have been an old one.
        assert_eq!(heads(&near), if matches!(fault, Fault::Close) { 2 } else { 1 }, "{fault:?}");
    }
}

#[tokio::test]
async fn registries_that_are_not_there_take_their_time_and_no_more() {
    let (refusing, silent, good) = (Refusing::new().unwrap(), Silent::new().unwrap(), Registry::start());
    good.put("app", "v1", &image(1));
    let urls = [format!("http://{}", refusing.host()), format!("http://{}", silent.host()), good.origin()];
    let declared: Vec<_> = urls.iter().map(|url| declared(url, json!({}))).collect();
    let settings = RegistrySettings { timeout: Duration::from_millis(300), ..RegistrySettings::default() };
    let sources = Sources::new(&declared, &[], &settings, &[].into());
    let survey = ask(&sources, &container(&["v1"])).await;
    assert_eq!(shown(&survey), [("v1", good.origin().as_str())]);
    assert_eq!(survey.problems.len(), 2, "{:?}", survey.problems);
    let states = sources.states();
    assert_eq!(states[0].url, good.origin(), "the only one that answers is the closest");
    assert!(states.iter().skip(1).all(|state| !state.up && state.failures == 1), "{states:?}");
}

#[tokio::test]
async fn a_pause_that_a_registry_asks_for_is_kept() {
    let registry = Registry::start();
    registry.put("app", "v1", &image(1));
    registry.fault(Rule::on(Kind::Manifest).method("HEAD").times(1), Fault::too_many_requests("3000"));
    let sources = sources(&plain(&[&registry]));
    for _ in 0..3 {
        let survey = ask(&sources, &container(&["v1", "v2"])).await;
        assert_eq!((survey.offers.len(), survey.problems.len()), (0, 1));
    }
    assert_eq!(heads(&registry), 1);
    let pause = sources.states()[0].pause.unwrap();
    assert!(pause > Duration::from_secs(2900) && pause <= Duration::from_secs(3000), "{pause:?}");
}

#[tokio::test]
async fn a_thousand_tags_on_many_pages_are_read() {
    let registry = Registry::start();
    registry.page_tags(99);
    for number in 0..1000 {
        registry.put("app", &format!("1.{number}.0"), &image(number % 7));
    }
    let sources = sources(&plain(&[&registry]));
    let survey = ask(&sources, &container(&["^1"])).await;
    assert_eq!(shown(&survey), [("1.999.0", registry.origin().as_str())]);
    assert_eq!((registry.count("GET", Kind::Tags), heads(&registry)), (11, 1));
}

#[tokio::test]
async fn a_digest_is_looked_for_and_not_resolved() {
    let (near, far) = (Registry::start(), Registry::start());
    far.put("app", "v1", &image(1));
    near.put("app", "v1", &image(2));
    let sources = in_order(&[&near, &far]);
    let app = container(&[&image(1).digest]);
    let survey = ask(&sources, &app).await;
    assert_eq!(shown(&survey), [(image(1).digest.as_str(), far.origin().as_str())]);
    assert_eq!((requests(&near), requests(&far)), (1, 1));
    let bad = digest(&image(1));
    let survey = sources.survey(&app, None, &|digest| *digest == bad).await;
    assert_eq!(survey.offers, []);
    assert_eq!((requests(&near), requests(&far)), (1, 1));
}

#[tokio::test]
async fn credentials_headers_and_authorities_of_a_document_are_used_and_never_shown() {
    let auth = Auth::Basic { user: "box".to_owned(), password: "hunter2".to_owned() };
    let registry = Registry::builder().auth(auth).header("X-Site", "7").tls().start();
    registry.put("mirror/app", "v1", &image(1));
    let directory = tempfile::tempdir().unwrap();
    let ca = file(&directory, "ca.pem", registry.ca_pem().unwrap());
    let password = file(&directory, "password", "wrong1\n");
    let declared = declared(
        &registry.origin(),
        json!({
            "prefix": "mirror/", "ca": ca, "headers": {"X-Site": "7"},
            "credentials": {"username": "box", "passwordFile": password},
        }),
    );
    let sources = sources(&[declared]);
    let app = container(&["v1"]);
    let refused = ask(&sources, &app).await;
    assert!(refused.problems[0].text.contains("as user \"box\""), "{refused:?}");
    // Somebody mends the file: it is read again because it was refused.
    file(&directory, "password", "hunter2\n");
    let survey = ask(&sources, &app).await;
    assert_eq!(shown(&survey), [("v1", registry.origin().as_str())], "{survey:?}");
    let all = format!("{refused:?} {survey:?} {sources:?} {:?}", sources.states());
    assert!(!all.contains("hunter2") && !all.contains("wrong1"), "{all}");
}

#[tokio::test]
async fn settings_that_can_not_be_used_are_said_and_spare_the_others() {
    let good = Registry::start();
    good.put("app", "v1", &image(1));
    let bad =
        declared("https://127.0.0.1:1", json!({"credentials": {"username": "u", "passwordEnv": "NOT_SET"}}));
    let ca = declared("https://127.0.0.1:2", json!({"ca": "/nonexistent/ca.pem"}));
    let sources = sources(&[bad, ca, declared(&good.origin(), json!({}))]);
    let survey = ask(&sources, &container(&["v1"])).await;
    assert_eq!(shown(&survey), [("v1", good.origin().as_str())]);
    let texts: Vec<_> = survey.problems.iter().map(|problem| problem.text.as_str()).collect();
    assert!(texts.len() == 2 && texts[0].contains("NOT_SET") && texts[1].contains("ca.pem"), "{texts:?}");
}

#[tokio::test]
async fn mirrors_come_before_the_registry_that_a_name_says() {
    let (mirror, origin) = (Registry::start(), Registry::start());
    mirror.put("cache/acme/web", "v1", &image(1));
    origin.put("acme/web", "v1", &image(1));
    origin.put("acme/web", "v2", &image(2));
    let more = json!({"prefix": "cache", "mirrors": [origin.host()]});
    let sources = sources(&[declared(&mirror.origin(), more)]);
    let web = |version| with_image(&format!("{}/acme/web", origin.host()), &[version]);
    let survey = ask(&sources, &web("v1")).await;
    assert_eq!((shown(&survey), requests(&origin)), (vec![("v1", mirror.origin().as_str())], 0));
    let survey = ask(&sources, &web("v2")).await;
    assert_eq!(shown(&survey), [("v2", format!("https://{}", origin.host()).as_str())]);
    assert_eq!(survey.problems, []);
}
