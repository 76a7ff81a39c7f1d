//! A registry's error -> a sentence for who writes documents. Pure.

use dockerloader::registry::Error;

/// The error's own text, but where that names a variable of dockerloader's it names what stands in a document.
pub(super) fn say(error: &Error) -> String {
    match error {
        Error::Certificate { host, problem, advice } => {
            let advice = if advice.contains("DOCKERLOADER_CA_FILE") {
                "if its authority is a private one, name the file with that authority's certificate as `ca` of this registry"
            } else {
                advice
            };
            format!("registry {host}: its certificate is not trusted: {problem}; {advice}")
        }
        Error::NoTls { host, problem } => format!(
            "registry {host}: it does not speak TLS: {problem}; if it speaks plain HTTP, write `plainHttp: true` for this registry"
        ),
        Error::CaFile { path, problem } => {
            format!("`ca` {}: {problem}; expected certificates in PEM form", path.display())
        }
        Error::Unauthorized { host, repository, credentials, said } => format!(
            "registry {host}: not authorized to pull {repository}, {credentials}; name others as `credentials` of this registry{said}"
        ),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variable_of_dockerloader_is_named() {
        let (host, problem) = (|| "r.example".to_owned(), || "bad".to_owned());
        let unknown =
            "if its authority is a private one, set DOCKERLOADER_CA_FILE to the authority's certificate";
        let expired = "check the clocks of this machine and of the registry, or renew the certificate";
        for (error, hint) in [
            (Error::Certificate { host: host(), problem: problem(), advice: unknown }, "as `ca`"),
            (Error::Certificate { host: host(), problem: problem(), advice: expired }, "check the clocks"),
            (Error::NoTls { host: host(), problem: problem() }, "`plainHttp: true`"),
            (Error::CaFile { path: "/etc/ca.pem".into(), problem: problem() }, "`ca` /etc/ca.pem: bad"),
            (
                Error::Unauthorized {
                    host: host(),
                    repository: "web".to_owned(),
                    credentials: "as user \"u\"".to_owned(),
                    said: "; it says no".to_owned(),
                },
                "as user \"u\"; name others as `credentials` of this registry; it says no",
            ),
            (Error::Refused { host: host() }, "connection refused"),
        ] {
            let text = say(&error);
            assert!(text.contains(hint) && !text.contains("DOCKERLOADER"), "{text}");
        }
    }
}
