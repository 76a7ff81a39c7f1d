//! Completions and manual pages, made from the definitions of the arguments.

use std::io::{self, Write};
use std::path::Path;

use clap_mangen::Man;

use super::arguments::{SETTINGS, definitions};
use super::exit::Exit;
use super::failure::Failure;
use super::output;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definitions(), "dockerloader", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

pub(super) fn manual(directory: &Path) -> Result<Exit, Failure> {
    let failed = |path: &Path, error| Failure::file(path, &error);
    // Pages of the commands, and one of the program, which is then made anew with sections of its own.
    clap_mangen::generate_to(definitions(), directory).map_err(|error| failed(directory, error))?;
    let path = directory.join("dockerloader.1");
    let mut page = Vec::new();
    program(&mut page).map_err(|error| failed(&path, error))?;
    let mut file = std::fs::File::create(&path).map_err(|error| failed(&path, error))?;
    file.write_all(&page).map_err(|error| failed(&path, error))?;
    Ok(Exit::Success)
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
    writeln!(page, ".SH EXIT STATUS\nThe supervisor ends with the application's own code, commands with:")?;
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
        assert!(
            page.contains(".TP\n\\fBDOCKERLOADER_DATA_DIR\\fR\nwhere everything is kept [/data]\n"),
            "{page}"
        );
        assert_eq!(settings().count(), SETTINGS.matches("\n  DOCKER").count());
        for exit in Exit::ALL {
            assert!(page.contains(&format!(".TP\n\\fB{}\\fR\n", exit.code())), "{exit:?}");
        }
        assert!(page.contains("dockerloader\\-verify(1)") && !page.contains("completions"), "{page}");
    }
}
