//! A problem (RFC 9457) that the API answered with -> what to say, and the exit code. Pure.

use serde::Deserialize;

use super::exit::Exit;
use super::failure::Failure;
use crate::document::Pointer;

/// What a problem says. Whatever is missing is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    /// `/problems/KIND`.
    r#type: String,
    title: String,
    detail: String,
    /// What is wrong with a document.
    errors: Vec<Finding>,
}

/// One thing that is wrong with a document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Finding {
    /// JSON Pointer (RFC 6901).
    pointer: String,
    line: Option<u64>,
    column: Option<u64>,
    detail: String,
    advice: Option<String>,
}

/// What a problem means for who asked.
pub(super) fn failure(status: u16, body: &[u8]) -> Failure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let kind = problem.r#type.rsplit('/').next().unwrap_or_default();
    let said = [&problem.detail, &problem.title].into_iter().find(|text| !text.is_empty());
    let said = said.map(|text| text.trim_end_matches(['.', ':'])).unwrap_or_default();
    let message = match kind {
        // The findings are told one by one.
        "document-refused" if !problem.errors.is_empty() => {
            "the document is refused; nothing has changed".to_owned()
        }
        // What is said to those who ask over HTTP is said in other words here.
        "removes-all" => said.replace("?remove_all=true", "`deviced apply --remove-all FILE`"),
        "unauthorized" => format!("{said}; DEVICED_TOKEN_FILE has to be the file of the deviced that runs"),
        "stale" => format!("{said}; somebody else changed it meanwhile: look at `deviced plan FILE` again"),
        _ if said.is_empty() => {
            format!("deviced answered with status {status}, and did not say why; its log may")
        }
        _ => said.to_owned(),
    };
    let exit = match (status, kind) {
        (401 | 403, _) => Exit::Forbidden,
        (408 | 429, _) | (_, "busy" | "key-running" | "storage" | "not-ready" | "too-many-streams") => {
            Exit::Later
        }
        (503 | 504, _) => Exit::Unreachable,
        _ => Exit::No,
    };
    let findings = problem.errors.iter().map(Finding::line).collect();
    Failure { exit, kind: kind.to_owned(), findings, message }
}

impl Finding {
    /// `line:column: which: what; advice`, as `check` has it.
    fn line(&self) -> String {
        let mut text = String::new();
        if let (Some(line), Some(column)) = (self.line, self.column) {
            text = format!("{line}:{column}: ");
        }
        let spoken = Pointer::from(self.pointer.as_str()).spoken();
        if !spoken.is_empty() {
            text.push_str(&format!("{spoken}: "));
        }
        text.push_str(&self.detail);
        self.advice.iter().for_each(|advice| text.push_str(&format!("; {advice}")));
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(status: u16, body: &Value) -> (Exit, String) {
        let failure = failure(status, body.to_string().as_bytes());
        (failure.exit, failure.message)
    }

    #[test]
    fn the_code_says_what_kind_of_no_it_is() {
        for (status, kind, exit) in [
            (400, "malformed", Exit::No),
            (401, "unauthorized", Exit::Forbidden),
            (403, "", Exit::Forbidden),
            (404, "unknown-container", Exit::No),
            (409, "protected", Exit::No),
            (409, "removes-all", Exit::No),
            (409, "busy", Exit::Later),
            (412, "stale", Exit::No),
            (422, "document-refused", Exit::No),
            (429, "", Exit::Later),
            (500, "internal", Exit::No),
            (502, "engine-refused", Exit::No),
            (503, "engine-away", Exit::Unreachable),
            (503, "", Exit::Unreachable),
            (503, "storage", Exit::Later),
            (503, "not-ready", Exit::Later),
        ] {
            let body = json!({"type": format!("/problems/{kind}"), "detail": "so it is."});
            let (found, message) = told(status, &body);
            assert_eq!(found, exit, "{status} {kind}");
            assert!(message.starts_with("so it is"), "{message}");
        }
    }

    #[test]
    fn the_detail_is_said_and_else_the_title_and_else_the_status() {
        let near = "no container \"wbe\"; did you mean \"web\"?";
        assert_eq!(told(404, &json!({"title": "Not Found", "detail": near})).1, near);
        assert_eq!(told(404, &json!({"title": "Not Found"})).1, "Not Found");
        assert!(told(500, &Value::Null).1.contains("status 500"));
        assert!(failure(502, b"<html>").message.contains("status 502"));
    }

    #[test]
    fn what_to_do_is_said_in_the_words_of_the_command_line() {
        let all = json!({"type": "/problems/removes-all", "detail": "if all of them shall go, say so: ?remove_all=true"});
        assert_eq!(told(409, &all).1, "if all of them shall go, say so: `deviced apply --remove-all FILE`");
        let token = json!({"type": "/problems/unauthorized", "detail": "a token is needed"});
        assert!(told(401, &token).1.contains("DEVICED_TOKEN_FILE"));
        let stale = json!({"type": "/problems/stale", "detail": "revision 2 is in force, not 1"});
        assert!(told(412, &stale).1.contains("deviced plan"));
    }

    #[test]
    fn findings_are_told_as_check_tells_them() {
        let body = json!({
            "type": "/problems/document-refused",
            "detail": "3:5: containers[0].imgae: is no field; did you mean image?\nis empty",
            "errors": [
                {"pointer": "/containers/0/imgae", "line": 3, "column": 5, "detail": "is no field", "advice": "did you mean image?"},
                {"pointer": "", "detail": "is empty"},
            ],
        });
        let failure = failure(422, body.to_string().as_bytes());
        assert_eq!(
            failure.findings,
            ["3:5: containers[0].imgae: is no field; did you mean image?", "is empty"]
        );
        assert_eq!(
            (failure.exit, failure.message.as_str()),
            (Exit::No, "the document is refused; nothing has changed")
        );
    }
}
