//! Completions and manual pages, made from the definitions of the arguments.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::{SETTINGS, definitions};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::output;

pub(super) fn completion(shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definitions(), "deviced", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

pub(super) fn manual(directory: &Path) -> Result<Exit> {
    // Pages of the commands, and one of the program, which is then made anew with sections of its own.
    clap_mangen::generate_to(definitions(), directory).map_err(|error| Failure::file(directory, &error))?;
    let path = directory.join("deviced.1");
    let failed = |error| Failure::file(&path, &error);
    let mut page = Vec::new();
    program(&mut page).map_err(failed)?;
    File::create(&path).and_then(|mut file| file.write_all(&page)).map_err(failed)?;
    Ok(Exit::Done)
}

/// The page of the program. The tables that `--help` ends with would be filled like text: they become lists here.
fn program(page: &mut impl Write) -> io::Result<()> {
    let mut command = definitions().disable_help_subcommand(true);
    command.build();
    let man = Man::new(command);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    man.render_subcommands_section(page)?;
    writeln!(page, ".SH ENVIRONMENT")?;
    for (variable, meaning) in settings() {
        writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(variable), escaped(meaning))?;
    }
    writeln!(page, ".SH EXIT STATUS")?;
    for exit in Exit::ALL {
        writeln!(page, ".TP\n\\fB{}\\fR\n{}", exit.code(), escaped(&exit.meaning().replace('`', "")))?;
    }
    man.render_version_section(page)
}

/// Each setting with its meaning, out of the text of `--help`.
fn settings() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = SETTINGS.lines().filter_map(|line| line.strip_prefix("  "));
    lines.filter_map(|line| line.split_once(' ')).map(|(variable, meaning)| (variable, meaning.trim()))
}

/// Text that no macro, escape or typographic dash is seen in; it does not begin a line with a dot or an apostrophe here.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_and_exit_code_is_an_item_of_the_page() {
        let mut page = Vec::new();
        program(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for item in ["\\fBDEVICED_LOG\\fR", "\\fBDOCKER_HOST\\fR", "\\fB75\\fR", "deviced\\-rollback(1)"] {
            assert!(page.contains(item), "{item}: {page}");
        }
        assert_eq!(settings().count(), 10);
    }

    #[test]
    fn there_is_a_page_for_each_command() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(manual(directory.path()), Ok(Exit::Done));
        let page = |name: &str| std::fs::read_to_string(directory.path().join(name));
        assert!(page("deviced.1").unwrap().contains("EXIT STATUS"));
        assert!(page("deviced-apply.1").unwrap().contains("deviced apply device.yaml"));
        let nowhere = directory.path().join("nowhere");
        let failure = manual(&nowhere).unwrap_err();
        assert!(failure.exit == Exit::File && failure.message.contains("nowhere"), "{failure}");
    }
}
