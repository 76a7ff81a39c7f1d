//! A panic of the supervisor itself. There is no way on, so it ends, with its own code, for the container's restart policy; and
//! with all that it has started, so that the next start finds a quiet data directory.

use tests::preload::Preload;
use tests::process::{children, is_alive};
use tests::supervised::Stage;
use tests::wait::eventually;

use crate::scene::APP;

/// The exit code of a defect, in the README's table.
const DEFECT: i32 = 70;

#[test]
fn a_panic_of_the_supervisor_ends_it_with_its_own_code_and_the_application_with_it() {
    let Some(preload) = Preload::new() else { return };
    // An orphan in a session of its own, which nothing but its parent's death signal or the supervisor reaches.
    let stage = Stage::with_current(&format!(
        "setsid sh -c 'trap \"\" TERM HUP; echo $$ > @notes/daemon; exec sleep 600' &\n\
         until [ -s @notes/daemon ]; do sleep 0.01; done\n{APP}"
    ));
    let environment = preload.environment();
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut running = stage.supervise(&environment);
    let (app, daemon) = (stage.noted_pid("app"), stage.noted_pid("daemon"));
    running.event("run", 1);
    preload.say("who=- monotonic=fail");
    // Any event makes it look at its clock.
    running.signal(28);
    assert_eq!(running.ended(), DEFECT, "{}", running.stderr());
    let panic = running.event("internal", 1)["message"].to_string();
    assert!(panic.contains("a defect of dockerloader at ") && panic.contains("unwrap()"), "{panic}");
    eventually("the end of what it started", || (!is_alive(app) && !is_alive(daemon)).then_some(()));
    // The next start finds everything in order.
    preload.say("");
    std::fs::remove_file(stage.note_path("app")).unwrap();
    let environment = [environment, vec![("DOCKERLOADER_STOP_GRACE_MS", "300")]].concat();
    let mut running = stage.supervise(&environment);
    let app = stage.noted_pid("app");
    let status = stage.status();
    assert_eq!(
        (&status["supervisor"]["app_pid"], &status["findings"]),
        (&app.into(), &serde_json::json!([]))
    );
    assert_eq!(running.stop(15), 4);
}

#[test]
fn a_panic_of_process_1_empties_its_namespace_and_a_trial_under_way_is_tried_again() {
    let Some(preload) = Preload::new() else { return };
    let Some(init) = tests::namespace::Init::own() else { return };
    let stage = Stage::with_current(APP);
    let new = stage.plant("entrypoint-attempt", "new", &format!("echo trial >> @notes/trials\n{APP}"));
    let environment = preload.environment();
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut running = init.run_with(&stage, &environment);
    running.event("try", 1);
    stage.note("trials");
    let app = children(running.pid)[0];
    preload.say("who=- monotonic=fail");
    running.signal(28);
    assert_eq!(running.ended(), DEFECT, "{}", running.stderr());
    assert!(!is_alive(app));
    preload.say("");
    // The trial was interrupted, which is no verdict (I5): it goes on.
    let mut running = init.run_with(&stage, &environment);
    running.event("try", 1);
    eventually("a second trial", || (stage.note("trials").lines().count() == 2).then_some(()));
    let output = stage.command(&["ready"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stage.ground.read_slot("entrypoint"), Some(new));
    running.signal(9);
    running.ended();
}
