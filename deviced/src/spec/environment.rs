//! The environment of a container: what the document says, files on the device, and what deviced has itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::document::run::Run;

/// What a spec takes from outside the document. Its values are nobody else's business: `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// deviced's own environment, for names without a value.
    pub variables: BTreeMap<String, String>,
    /// The contents of the files that [`files`] names, or why they can't be read.
    pub files: BTreeMap<String, Result<String, String>>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.len())
            .field("files", &self.files.keys())
            .finish()
    }
}

impl Environment {
    /// A file's content.
    pub(super) fn file(&self, path: &str) -> Result<&str, String> {
        match self.files.get(path) {
            Some(Ok(content)) => Ok(content),
            Some(Err(problem)) => Err(format!("{path} can't be read: {problem}")),
            None => Err(format!("{path} was not read")),
        }
    }
}

/// The device's files that a spec is made from: environment files, and profiles of system calls.
pub fn files(run: &Run) -> BTreeSet<String> {
    let profiles = run.security_opt.iter().filter_map(|option| profile(option));
    run.env_file.0.iter().map(String::as_str).chain(profiles).map(str::to_owned).collect()
}

/// The file of a `seccomp=` option: the engine wants its content, and knows two words besides.
pub(super) fn profile(option: &str) -> Option<&str> {
    let value = option.strip_prefix("seccomp=").or_else(|| option.strip_prefix("seccomp:"))?;
    value.starts_with('/').then_some(value)
}

/// `NAME=VALUE` for each variable, by name.
pub(super) fn environment(run: &Run, environment: &Environment) -> Result<Vec<String>, String> {
    let mut variables = BTreeMap::new();
    for path in &run.env_file.0 {
        let wrong = |problem: String| format!("`env_file`: {problem}");
        let content = environment.file(path).map_err(wrong)?;
        variables.extend(read(content).map_err(|problem| wrong(format!("{path}, {problem}")))?);
    }
    variables.extend(run.environment.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    let value =
        |name: &String, value: Option<String>| value.or_else(|| environment.variables.get(name).cloned());
    // A name that has no value anywhere stays as the image has it.
    let pairs = variables.into_iter().filter_map(|(name, own)| value(&name, own).map(|value| (name, value)));
    Ok(pairs.map(|(name, value)| format!("{name}={value}")).collect())
}

/// Reads an environment file: `NAME=VALUE` or `NAME` in a line, `#` begins a comment, `export` before a name is skipped. A value in single quotes is
/// taken as it is, in double quotes `\n`, `\t`, `\"` and `\\` are replaced. Nothing else is: a `$` is a `$`.
fn read(content: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let mut variables = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, text) = match line.split_once('=') {
            Some((name, text)) => (name.trim_end(), Some(text.trim_start())),
            None => (line, None),
        };
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        let value = text.map(value).transpose();
        // The line itself is not shown: it may hold a secret.
        let (true, Ok(value)) = (is_name, value) else {
            return Err(format!(
                "line {}: write NAME=VALUE; a value with quotation marks has two",
                index + 1
            ));
        };
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

fn value(text: &str) -> Result<String, ()> {
    let (inside, is_literal) = match (text.strip_prefix('\''), text.strip_prefix('"')) {
        (Some(inside), _) => (inside, true),
        (None, Some(inside)) => (inside, false),
        (None, None) => {
            let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
            return Ok(text.get(..end).unwrap_or(text).trim_end().to_owned());
        }
    };
    let mut value = String::new();
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if is_literal => return is_over(letters.as_str()).then_some(value).ok_or(()),
            '"' if !is_literal => return is_over(letters.as_str()).then_some(value).ok_or(()),
            '\\' if !is_literal => match letters.next().ok_or(())? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                same @ ('"' | '\\' | '$') => value.push(same),
                other => value.extend(['\\', other]),
            },
            letter => value.push(letter),
        }
    }
    Err(())
}

/// After the closing mark there may be a comment.
fn is_over(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_compose_reads_them() {
        let content = "\n# comment\nA=1\nexport B = two words # said\nC='$x \\n'\nD=\"a \\\"b\\\"\\n\" # said\nE=\nF\nG=a#b\n";
        let expected = [
            ("A", Some("1")),
            ("B", Some("two words")),
            ("C", Some("$x \\n")),
            ("D", Some("a \"b\"\n")),
            ("E", Some("")),
            ("F", None),
            ("G", Some("a#b")),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(read(content).unwrap(), expected);
        for wrong in ["=1", "A B=1", "A='1", "A=\"1", "A='1'2", "A=\"\\"] {
            let problem = read(&format!("OK=1\n{wrong}")).unwrap_err();
            assert!(problem.contains("line 2") && !problem.contains(wrong), "{problem}");
        }
    }

    #[test]
    fn the_document_counts_for_more_than_files_and_later_files_for_more_than_earlier_ones() {
        let run: Run = serde_json::from_value(serde_json::json!({
            "environment": {"A": "document", "OURS": null, "NOBODYS": null},
            "env_file": ["/one", "/two"],
        }))
        .unwrap();
        let given = Environment {
            variables: BTreeMap::from([
                ("OURS".to_owned(), "ours".to_owned()),
                ("HOME".to_owned(), "/".to_owned()),
            ]),
            files: BTreeMap::from([
                ("/one".to_owned(), Ok("A=1\nB=1\nC=1".to_owned())),
                ("/two".to_owned(), Ok("B=2".to_owned())),
            ]),
        };
        assert_eq!(environment(&run, &given).unwrap(), ["A=document", "B=2", "C=1", "OURS=ours"]);
        assert_eq!(files(&run), BTreeSet::from(["/one".to_owned(), "/two".to_owned()]));

        let unreadable = Environment {
            files: BTreeMap::from([("/one".to_owned(), Err("no such file".to_owned()))]),
            ..given.clone()
        };
        assert_eq!(
            environment(&run, &unreadable).unwrap_err(),
            "`env_file`: /one can't be read: no such file"
        );
        assert!(!format!("{given:?}").contains("ours"), "{given:?}");
    }
}
