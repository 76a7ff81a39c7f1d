//! The whole of it in containers: images built by `docker build` and pushed to the CNCF distribution, the supervisor's own
//! image as PID 1, and an application that updates itself.
//!
//! ```text
//! cargo test -p dockerloader --test dockerloader_test -- --no-capture
//! ```

mod containers;

use std::time::Duration;

use containers::{Case, Registry, Snapshot};

/// What the application writes before it fails on purpose.
const FAILURE: &str = "intentional failure for testing";

#[test]
fn an_app_moves_to_the_next_version_and_back_from_a_bad_one() {
    let case = Case::new("workflow", Registry::Plain);
    let first = case.push("1.0", &[]);
    let container = case.run(&[]);
    container.wait_for("Version: 1.0");
    container.wait_for("trial mode: false");
    container.wait_for_data("the first version runs", |data| data.runs(&first));

    let second = case.push("2.0", &[]);
    container.wait_for("Version: 2.0");
    container.wait_for("trial mode: true");
    container.wait_for("update available");
    container.wait_for("trial successful");
    let committed =
        |data: &Snapshot| data.runs(&second) && data.can_go_back_to(&first) && data.rejected().is_none();
    container.wait_for_data("the second version is committed, the first is the way back", committed);

    let third = case.push("3.0", &["FAIL_INIT=1"]);
    assert!(third != second && second != first, "three versions, three digests");
    container.wait_for(FAILURE);
    container.wait_for_times("Version: 2.0", 2);
    let rolled_back = |data: &Snapshot| data.runs(&second) && data.rejected() == Some(third.as_str());
    container.wait_for_data("the second version is back, the third is rejected", rolled_back);

    container.wait_for_check("skipped");
    container.wait_for("skipping update");
    assert_eq!(container.count("Version: 3.0"), 1, "a rejected version is not tried again");
    let rejected = container.status()["rejected"][0].clone();
    assert_eq!((&rejected["digest"], &rejected["kind"]), (&third.as_str().into(), &"app".into()));
    assert!(rejected["output"].to_string().contains(FAILURE), "its last words are kept: {rejected:#}");

    let fourth = case.push("3.1", &[]);
    container.wait_for("Version: 3.1");
    let fixed =
        |data: &Snapshot| data.runs(&fourth) && data.can_go_back_to(&second) && data.rejected().is_none();
    container.wait_for_data("the fix is committed, and nothing is rejected any more", fixed);
    container.assert_never_restarted();
}

#[test]
fn a_version_that_hangs_is_rolled_back() {
    let case = Case::new("timeout", Registry::Plain);
    let first = case.push("1.0", &[]);
    let container = case.run(&[("DOCKERLOADER_TRIAL_TIMEOUT_MS", "500")]);
    container.wait_for("Version: 1.0");
    container.wait_for_data("the first version runs", |data| data.runs(&first));

    let second = case.push("2.0", &["TIMEOUT_INIT=1"]);
    container.wait_for("Version: 2.0");
    container.wait_for_times("Version: 1.0", 2);
    let rolled_back = |data: &Snapshot| data.runs(&first) && data.rejected() == Some(second.as_str());
    container.wait_for_data("the first version is back, the second is rejected", rolled_back);
    container.assert_never_restarted();
}

#[test]
fn the_background_loop_updates_by_itself() {
    let case = Case::new("loop", Registry::Plain);
    let first = case.push("1.0", &["LONG_RUNNING=1"]);
    let container = case.run(&[("DOCKERLOADER_POLL", "never")]);
    container.wait_for("starting update loop");
    container.wait_for_data("the first version runs", |data| data.runs(&first));
    let second = case.push("2.0", &["LONG_RUNNING=1"]);
    container.wait_for("Version: 2.0");
    container.wait_for_data("the second version is committed", |data| data.runs(&second));
    container.assert_never_restarted();
}

#[test]
fn storage_keeps_the_current_and_the_previous_version_and_a_spare_tree() {
    let case = Case::new("storage", Registry::Plain);
    let first = case.push("1.0", &[]);
    let container = case.run(&[]);
    let data = container.wait_for_data("the first version runs", |data| data.runs(&first));
    assert!(data.holds_exactly(&[&first], None), "{data:#?}");
    let of_the_first = data.blobs;

    let left = tempfile::tempdir().expect("there is room");
    let (file, directory) = (left.path().join("tmp-testfile"), left.path().join("tmp-testdir"));
    write(&file);
    std::fs::create_dir(&directory).expect("there is room");
    write(&directory.join("file"));
    for place in ["blobs", "images", "extracted"] {
        container.plant(&file, &format!("/data/dockerloader/storage/v1/{place}/"));
        container.plant(&directory, &format!("/data/dockerloader/storage/v1/{place}/"));
    }
    let planted = |data: &Snapshot| {
        [&data.blobs, &data.images, &data.extracted]
            .map(|names| names.iter().any(|name| name.starts_with("tmp-test")))
    };
    container.wait_for_data("the files are there", |data| planted(data) == [true; 3]);

    let second = case.push("2.0", &[]);
    container.wait_for_data("what the second needs is kept, and the way back", |data| {
        data.runs(&second) && data.holds_exactly(&[&first, &second], None) && planted(data) == [false; 3]
    });
    let third = case.push("3.0", &[]);
    let data =
        container.wait_for_data("of the first version at most its tree is left, as the spare one", |data| {
            data.runs(&third)
                && data.can_go_back_to(&second)
                && data.holds_exactly(&[&second, &third], Some(&first))
        });
    let only_of_the_first = of_the_first.difference(&data.blobs).count();
    assert!(only_of_the_first > 0, "the config of the first version is gone: {data:#?}");
}

#[test]
fn the_command_line_of_the_running_version_is_reachable() {
    let case = Case::new("cli", Registry::Plain);
    let first = case.push("1.0", &[]);
    let container = case.run(&[]);
    container.wait_for_data("the first version runs", |data| data.runs(&first));
    let printed = container.execute(&["/bin/cli", "hello", "two words"]);
    assert!(printed.contains("Version: 1.0") && printed.contains(r#"["hello", "two words"]"#), "{printed}");

    let second = case.push("2.0", &[]);
    container.wait_for_data("the second version is committed", |data| data.runs(&second));
    let printed = container.execute(&["/dockerloader", "cli"]);
    assert!(printed.contains("Version: 2.0"), "{printed}");
}

#[test]
fn stopping_takes_less_than_a_second_and_exits_with_zero() {
    let case = Case::new("stop", Registry::Plain);
    let first = case.push("1.0", &[]);
    // The best of three: whatever else the machine does is not the supervisor's delay.
    let stop = || {
        let container = case.run(&[]);
        container.wait_for("ready: ");
        container.wait_for_data("the first version runs", |data| data.runs(&first));
        let (took, code) = container.stop();
        assert_eq!(code, 0, "the application exits with 0 on SIGTERM");
        took
    };
    let best = [stop(), stop(), stop()].into_iter().min().unwrap_or_default();
    assert!(best < Duration::from_secs(1), "docker stop took {best:?}");
}

#[test]
fn what_is_on_disk_starts_without_a_registry() {
    let case = Case::new("offline", Registry::Plain);
    let first = case.push("1.0", &[]);
    let container = case.run(&[]);
    container.wait_for_data("the first version runs", |data| data.runs(&first));
    container.stop();

    // Port 1 of loopback refuses.
    let container = case.run(&[("DOCKERLOADER_TARGET", "127.0.0.1:1/test/offline:latest")]);
    container.wait_for("Version: 1.0");
    container.wait_for("ready: ");
    container.wait_for_check("failed");
    container.assert_never_restarted();
}

#[test]
fn variables_come_from_the_image_and_the_operator_wins() {
    let case = Case::new("environment", Registry::Plain);
    case.push("1.0", &[]);
    // The image's .env asks for two lines; the application writes as many to each of its outputs.
    let container = case.run(&[("DOCKERLOADED_MODE", "spam")]);
    container.wait_for("ready: ");
    container.stop();
    assert_eq!((container.count(" ooooo"), container.count(" eeeee")), (2, 2));

    let variables =
        [("DOCKERLOADED_MODE", "spam"), ("DOCKERLOADED_SPAM_LINES", "3"), ("DOCKERLOADED_VERSION", "9")];
    let container = case.run(&variables);
    container.wait_for("ready: ");
    container.stop();
    assert_eq!(
        (container.count(" ooooo"), container.count(" eeeee"), container.count("Version: 9")),
        (3, 3, 1)
    );
}

#[test]
fn a_private_registry_with_tls_and_a_password() {
    let case = Case::new("tls", Registry::Tls);
    updates_with_credentials(&case);
}

#[test]
fn a_private_registry_with_bearer_tokens() {
    let case = Case::new("bearer", Registry::Bearer);
    updates_with_credentials(&case);
}

fn updates_with_credentials(case: &Case) {
    let first = case.push("1.0", &[]);
    let container = case.run_with_credentials(&[]);
    container.wait_for_data("the first version runs", |data| data.runs(&first));
    let second = case.push("2.0", &[]);
    container.wait_for_data("the second version is committed", |data| {
        data.runs(&second) && data.can_go_back_to(&first)
    });
    container.stop();
    assert_eq!(container.count("correct horse"), 0, "a password is never written");
}

#[test]
fn without_trust_or_credentials_nothing_is_installed() {
    for (name, registry, reason) in
        [("untrusted", Registry::Tls, "certificate"), ("anonymous", Registry::Bearer, "credentials")]
    {
        let case = Case::new(name, registry);
        case.push("1.0", &[]);
        let container = case.run(&[]);
        container.wait_for(reason);
        container.assert_never_restarted();
        let (took, _) = container.stop();
        assert!(took < Duration::from_secs(5), "it had to be killed: {took:?}");
        assert_eq!(container.count("Version: "), 0, "nothing runs");
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of the test's own, to be copied into a container")]
fn write(path: &std::path::Path) {
    std::fs::write(path, "left by a crash").expect("there is room");
}
