//! Which signals reach the application.

use std::collections::BTreeSet;

use tests::namespace::Init;
use tests::process::{self, children, state, status_field};
use tests::programs::{built, text};
use tests::supervised::Stage;
use tests::wait::eventually;

const KILL: i32 = 9;
const STOP: i32 = 19;
const CONT: i32 = 18;
const TSTP: i32 = 20;
/// ILL TRAP ABRT BUS FPE SEGV SYS
const FAULTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];
/// CHLD TTIN TTOU
const OWN: [i32; 3] = [17, 21, 22];
/// The C library keeps these two to itself (`nptl(7)`).
const INTERNAL: [i32; 2] = [32, 33];
/// These end the recorder, or begin the stop.
const LAST: [i32; 3] = [15, 2, 3];

fn recorder() -> Stage {
    Stage::with_current(&format!("exec {} @notes/signals", text(&built("signal-recorder"))))
}

#[test]
fn every_signal_that_can_be_passed_on_is() {
    for init in Init::available() {
        let stage = recorder();
        let mut running = init.run(&stage);
        stage.note("signals");
        let mut spared = BTreeSet::from([KILL, STOP]);
        spared.extend(INTERNAL);
        if init == Init::DumbInit {
            // It passes on faults as well, and makes these three a stop that nothing ends: asked for below.
            spared.extend([TSTP, 21, 22, 17]);
        }
        let mut expected: BTreeSet<i32> = (1..=64).filter(|number| !spared.contains(number)).collect();
        if init != Init::DumbInit {
            expected.retain(|number| !FAULTS.contains(number) && !OWN.contains(number));
        }
        if init == Init::Catatonit {
            expected.remove(&TSTP);
        }
        // One by one, since a stop signal takes back a CONT that nobody has received yet; those that stay away come first.
        let (passed, swallowed): (Vec<i32>, Vec<i32>) =
            (1..=64).filter(|number| !spared.contains(number)).partition(|number| expected.contains(number));
        swallowed.into_iter().for_each(|number| running.signal(number));
        for number in passed.into_iter().filter(|number| !LAST.contains(number)).chain(LAST) {
            running.signal(number);
            let line = format!("\n{number}\n");
            eventually(&format!("{init:?} passes on {number}"), || {
                stage.note("signals").contains(&line).then_some(())
            });
        }
        assert_eq!(running.ended(), 7, "{init:?}");
        let recorded: BTreeSet<i32> =
            stage.note("signals").lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(recorded, expected, "{init:?}");
    }
}

/// dumb-init makes TSTP a STOP, which no application can defer; the others pass it on as it is.
#[test]
fn a_terminal_stop_is_passed_on_as_it_is() {
    for init in Init::available().into_iter().filter(|init| *init != Init::Catatonit) {
        let stage = recorder();
        let mut running = init.run(&stage);
        stage.note("signals");
        running.signal(TSTP);
        let app = children(running.pid)[0];
        if init == Init::DumbInit {
            eventually("the application stands still", || (state(app) == Some('T')).then_some(()));
            // It sends itself a STOP after that, which takes a CONT away that comes before it (signal(7)), though process 1 does not stop.
            eventually("it goes on", || {
                running.signal(CONT);
                (state(app) != Some('T')).then_some(())
            });
        } else {
            eventually("TSTP", || stage.note("signals").contains("\n20\n").then_some(()));
        }
        running.signal(3);
        assert_eq!(running.ended(), 7, "{init:?}");
    }
}

#[test]
fn the_application_starts_with_no_signal_blocked_or_ignored_and_in_a_group_of_its_own() {
    for init in Init::available() {
        let stage = Stage::with_current("echo $$ > @notes/pid; exec sleep 600");
        let mut running = init.run(&stage);
        stage.note("pid");
        let app = eventually("the application", || {
            children(running.pid)
                .into_iter()
                .find(|pid| status_field(*pid, "Name").as_deref() == Some("sleep"))
        });
        let mask = |name: &str| u64::from_str_radix(&status_field(app, name).unwrap(), 16).unwrap();
        // TSTP, TTIN and TTOU stay blocked below catatonit.
        let blocked = if init == Init::Catatonit { 0b111 << (TSTP - 1) } else { 0 };
        // What whoever started the tests ignores of the C library's own two is none of ours.
        let ignored = mask("SigIgn") & !(0b11 << (INTERNAL[0] - 1));
        assert_eq!((mask("SigBlk"), ignored), (blocked, 0), "{init:?}");
        assert_eq!(process::stat(app)[2], app.to_string(), "{init:?}: its group");
        running.signal(KILL);
        running.ended();
    }
}
