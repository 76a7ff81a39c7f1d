//! The steps: what is done, and what must be seen from outside after it.

use nix::sys::signal::Signal;

use super::document::{ALL, DATABASE, EMPTY, WEB, document};
use super::images::{BAD_CODE, BAD_LINE, Nature, page};
use super::seen::{self, Container, one};
use super::stage::Stage;
use crate::failure::{Failure, Result};

/// One step. Doing it gives what was verified, for people.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) story: &'static str,
    pub(super) act: fn(&mut Stage) -> Result<String>,
}

pub(super) const STEPS: &[Step] = &[
    Step {
        title: "install",
        story: "one document: a database, a web shop that starts after it, and a sensor in the shop's network",
        act: install,
    },
    Step { title: "nothing to do", story: "the same document again changes nothing", act: nothing_to_do },
    Step { title: "update", story: "web 1.1.0 is pushed; it replaces 1.0.0 and proves itself", act: update },
    Step {
        title: "bad update",
        story: "web 1.2.0 is pushed; it crashes at its start, and 1.1.0 is back",
        act: bad_update,
    },
    Step {
        title: "it is remembered",
        story: "1.2.0 is still the newest, but it is not tried again",
        act: remembered,
    },
    Step {
        title: "fall through",
        story: "1.3.0 crashes too; the next acceptable version, 1.2.1, is taken instead",
        act: fall_through,
    },
    Step { title: "why", story: "why is web not at 1.3.0?", act: why },
    Step {
        title: "another tag",
        story: "web follows the tag 2.0.0-beta, which the document does not have",
        act: tag,
    },
    Step {
        title: "restart of deviced",
        story: "deviced is killed and started again: nothing is touched, and the tag is still followed",
        act: restarted,
    },
    Step { title: "back to the document", story: "the document's versions again", act: untag },
    Step {
        title: "rollback by hand",
        story: "the registry is gone; web goes back all the same, and stays there",
        act: rollback,
    },
    Step { title: "release", story: "web follows the document again", act: release },
    Step {
        title: "somebody removes it",
        story: "`docker rm --force`: it is made anew, without any registry",
        act: removed,
    },
    Step {
        title: "refused",
        story: "a document that would remove all, a document with a mistake, a stop of what is protected",
        act: refused,
    },
    Step { title: "the end", story: "all may go, if that is said", act: end },
];

fn install(stage: &mut Stage) -> Result<String> {
    let file = stage.write("device.yaml", &document(&stage.registry.host()))?;
    stage.start()?;
    stage.deviced(&["apply", &file], 0)?;
    let seen = stage.settle("1.0.0")?;
    ensure(seen.len() == ALL.len(), || format!("there are {} containers", seen.len()))?;
    let (database, web) = (one(&seen, DATABASE)?, one(&seen, WEB)?);
    ensure(database.started < web.started, || format!("{WEB} was started before {DATABASE}"))?;
    ensure_page(stage, &seen, "1.0.0")?;
    Ok("three containers run the manifests that the registry has; the database started first; the sensor reads the shop's page in the network that they share".into())
}

fn nothing_to_do(stage: &mut Stage) -> Result<String> {
    let before = stage.settle("1.0.0")?;
    let file = stage.write("device.yaml", &document(&stage.registry.host()))?;
    stage.deviced(&["plan", "--exit-code", &file], 0)?;
    stage.deviced(&["apply", &file], 0)?;
    ensure_untouched(&before, &stage.settle("1.0.0")?, &ALL)?;
    Ok("the same containers, started at the same times".into())
}

fn update(stage: &mut Stage) -> Result<String> {
    let before = stage.settle("1.0.0")?;
    stage.push(WEB, "1.1.0", Nature::Serves);
    stage.deviced(&["update", WEB], 0)?;
    let seen = stage.settle("1.1.0")?;
    ensure_untouched(&before, &seen, &[DATABASE])?;
    ensure_page(stage, &seen, "1.1.0")?;
    Ok("a new container with the pushed manifest; the old one is gone; the sensor shares the network of the new one; the database was not touched".into())
}

fn bad_update(stage: &mut Stage) -> Result<String> {
    let before = stage.settle("1.1.0")?;
    stage.push(WEB, "1.2.0", Nature::Bad);
    stage.deviced(&["update", WEB], 1)?;
    let seen = stage.settle("1.1.0")?;
    ensure(one(&seen, WEB)?.id == one(&before, WEB)?.id, || "it is another container than before".into())?;
    ensure_untouched(&before, &seen, &[DATABASE])?;
    ensure_page(stage, &seen, "1.1.0")?;
    let why = stage.deviced(&["why", WEB], 0)?;
    ensure_says(&why, BAD_LINE)?;
    ensure_says(&why, &BAD_CODE.to_string())?;
    let told = why.lines().find(|line| line.contains(BAD_LINE)).unwrap_or_default().trim().to_owned();
    Ok(format!(
        "the same container of 1.1.0 runs again, none of 1.2.0 is left; the reason and its last line are kept: {told}"
    ))
}

fn remembered(stage: &mut Stage) -> Result<String> {
    let before = stage.settle("1.1.0")?;
    stage.deviced(&["update", WEB], 0)?;
    ensure_untouched(&before, &stage.settle("1.1.0")?, &ALL)?;
    Ok("the same containers, started at the same times".into())
}

fn fall_through(stage: &mut Stage) -> Result<String> {
    stage.push(WEB, "1.2.1", Nature::Serves);
    stage.push(WEB, "1.3.0", Nature::Bad);
    // 1.3.0 fails, which is a no; what matters is where it ends.
    stage.deviced(&["update", WEB], 1)?;
    let seen = stage.settle("1.2.1")?;
    ensure_page(stage, &seen, "1.2.1")?;
    Ok("web runs 1.2.1, and nothing is left of 1.3.0".into())
}

fn why(stage: &mut Stage) -> Result<String> {
    let why = stage.deviced(&["why", WEB], 0)?;
    ensure_says(&why, "1.3.0")?;
    ensure_says(&why, BAD_LINE)?;
    ensure_says(&why, &format!("deviced forget {WEB}"))?;
    Ok(format!("it says:\n{}", why.trim_end()))
}

fn tag(stage: &mut Stage) -> Result<String> {
    stage.push(WEB, "2.0.0-beta", Nature::Serves);
    stage.deviced(&["tag", WEB, "2.0.0-beta"], 0)?;
    let seen = stage.settle("2.0.0-beta")?;
    ensure_page(stage, &seen, "2.0.0-beta")?;
    Ok("web runs 2.0.0-beta".into())
}

fn restarted(stage: &mut Stage) -> Result<String> {
    let before = stage.settle("2.0.0-beta")?;
    stage.end(Signal::SIGKILL)?;
    stage.start()?;
    ensure_says(&stage.deviced(&["tag", WEB], 0)?, "2.0.0-beta")?;
    ensure_untouched(&before, &stage.settle("2.0.0-beta")?, &ALL)?;
    Ok("the same containers, started at the same times".into())
}

fn untag(stage: &mut Stage) -> Result<String> {
    stage.deviced(&["tag", WEB, "--document"], 0)?;
    let seen = stage.settle("1.2.1")?;
    ensure_page(stage, &seen, "1.2.1")?;
    Ok("web runs 1.2.1".into())
}

fn rollback(stage: &mut Stage) -> Result<String> {
    let history = stage.deviced(&["history", WEB], 0)?;
    let number = number(&history, "1.1.0")?;
    stage.registry.go_away();
    stage.deviced(&["rollback", WEB, "--to", &number], 0)?;
    let seen = stage.settle("1.1.0")?;
    ensure_page(stage, &seen, "1.1.0")?;
    stage.registry.come_back();
    stage.deviced(&["update", WEB], 0)?;
    ensure_untouched(&seen, &stage.settle("1.1.0")?, &ALL)?;
    Ok("web runs 1.1.0 without a registry; with the registry and 1.2.1 there again it still does".into())
}

fn release(stage: &mut Stage) -> Result<String> {
    stage.deviced(&["release", WEB], 0)?;
    let seen = stage.settle("1.2.1")?;
    ensure_page(stage, &seen, "1.2.1")?;
    Ok("web runs 1.2.1".into())
}

fn removed(stage: &mut Stage) -> Result<String> {
    let before = stage.settle("1.2.1")?;
    stage.registry.go_away();
    stage.docker.call(["rm", "--force", &one(&before, WEB)?.id]).read()?;
    stage.commands.push(format!("docker rm --force {WEB}"));
    let seen = stage.settle("1.2.1")?;
    stage.registry.come_back();
    ensure(one(&seen, WEB)?.id != one(&before, WEB)?.id, || "it is the removed container".into())?;
    ensure_untouched(&before, &seen, &[DATABASE])?;
    ensure_page(stage, &seen, "1.2.1")?;
    Ok("a new container of 1.2.1; the sensor shares its network; the database was not touched".into())
}

fn refused(stage: &mut Stage) -> Result<String> {
    let before = stage.settle("1.2.1")?;
    let empty = stage.write("empty.yaml", EMPTY)?;
    ensure_says(&stage.deviced(&["apply", &empty], 1)?, "--remove-all")?;
    let wrong = stage.write("wrong.yaml", &document(&stage.registry.host()).replace("image:", "imgae:"))?;
    let told = stage.deviced(&["apply", &wrong], 1)?;
    ensure_says(&told, "did you mean")?;
    ensure_says(&stage.deviced(&["stop", DATABASE], 1)?, "protected")?;
    ensure_untouched(&before, &stage.settle("1.2.1")?, &ALL)?;
    let place = told.lines().find(|line| line.contains("did you mean")).unwrap_or_default();
    let place = place.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(format!("the same containers, started at the same times; of the mistake it says: {place}"))
}

fn end(stage: &mut Stage) -> Result<String> {
    let empty = stage.write("empty.yaml", EMPTY)?;
    stage.deviced(&["apply", "--remove-all", &empty], 0)?;
    let left = stage.look()?;
    ensure(left.is_empty(), || format!("{} containers are left", left.len()))?;
    stage.clear()?;
    Ok("no container and no image of the demo is left".into())
}

/// The number of the newest version in the history with this tag.
fn number(history: &str, version: &str) -> Result<String> {
    let rows = history.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = rows
        .filter(|row| row.get(1) == Some(&version))
        .filter_map(|row| row.first().map(|number| (*number).to_owned()));
    found.next().ok_or_else(|| Failure::new(format!("`deviced history` does not list {version}:\n{history}")))
}

fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Result {
    if is_so { Ok(()) } else { Err(Failure::new(otherwise())) }
}

fn ensure_says(text: &str, part: &str) -> Result {
    ensure(text.contains(part), || format!("it does not say {part:?}, but:\n{text}"))
}

/// The very same containers, never stopped in between.
fn ensure_untouched(before: &[Container], now: &[Container], names: &[&str]) -> Result {
    for name in names {
        let (before, now) = (one(before, name)?, one(now, name)?);
        ensure(before.id == now.id, || format!("{name} is another container than before"))?;
        ensure(before.started == now.started, || format!("{name} was started again at {}", now.started))?;
    }
    Ok(())
}

/// The program that runs is of this version, also seen from the sensor.
fn ensure_page(stage: &Stage, seen: &[Container], version: &str) -> Result {
    let expected = page("web", version);
    let inside = &one(seen, WEB)?.page;
    ensure(*inside == expected, || format!("in {WEB} is {inside:?}, not {expected:?}"))?;
    let shared = seen::page_in_shared_network(&stage.docker, seen)?;
    ensure(shared == expected, || format!("the sensor reads {shared:?}, not {expected:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_version_is_read_out_of_the_table() {
        let history =
            "NUMBER  VERSION  DIGEST\n4       1.1.0    aaaa\n3       1.0.0    bbbb\n2       1.1.0    aaaa\n";
        assert_eq!(number(history, "1.1.0").unwrap(), "4");
        assert!(number(history, "9").unwrap_err().to_string().contains("does not list 9"));
    }

    #[test]
    fn a_container_that_was_touched_is_noticed() {
        let container = |id: &str, started: &str| Container {
            id: id.into(),
            name: WEB.into(),
            version: String::new(),
            digest: String::new(),
            running: true,
            started: started.into(),
            network: String::new(),
            image: Vec::new(),
            page: String::new(),
        };
        let before = [container("a", "1")];
        assert!(ensure_untouched(&before, &[container("a", "1")], &[WEB]).is_ok());
        for now in [container("b", "1"), container("a", "2")] {
            assert!(ensure_untouched(&before, &[now], &[WEB]).is_err());
        }
        assert!(ensure_untouched(&before, &[], &[WEB]).is_err());
    }
}
