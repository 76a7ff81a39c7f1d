//! What a registry asks for with a 401: `WWW-Authenticate` -> [`Challenge`] (RFC 9110, 11.6.1), pure.

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token of a token service (distribution, "Token Authentication Specification").
    Bearer {
        /// The token service's address.
        realm: String,
        /// How the registry is called there.
        service: Option<String>,
        /// What the token is to be good for.
        scope: Option<String>,
    },
}

/// The challenge to answer, of all that the headers hold: a bearer one if there is one, since it works without
/// credentials as well. `None` when there is none that is known.
pub(super) fn choose<'h>(headers: impl IntoIterator<Item = &'h str>) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, parameters) in headers.into_iter().flat_map(parse) {
        let parameter = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = parameter("realm")
        {
            return Some(Challenge::Bearer {
                realm,
                service: parameter("service"),
                scope: parameter("scope"),
            });
        }
    }
    basic
}

/// The challenges in one header: each a scheme with its parameters.
fn parse(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut challenges: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return challenges;
        }
        match after.trim_start().strip_prefix('=') {
            Some(value) => {
                let (value, after) = read_value(value.trim_start());
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                rest = after;
            }
            None => {
                challenges.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// A token or a quoted string, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            character => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_in_every_spelling() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.into(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        for (headers, expected) in [
            (&["Basic realm=\"x\""][..], Some(Challenge::Basic)),
            (&["basic"], Some(Challenge::Basic)),
            (
                &[
                    "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:library/a:pull,push\"",
                ],
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/a:pull,push"),
                ),
            ),
            (&["bearer  realm=https://a/b , SERVICE = s"], bearer("https://a/b", Some("s"), None)),
            (&["Basic realm=\"a, b=c\", Bearer realm=\"r\""], bearer("r", None, None)),
            (&["Basic realm=x", "Bearer realm=r"], bearer("r", None, None)),
            (&["Negotiate", "Digest realm=\"x\", nonce=\"Basic\""], None),
            (&["Bearer realm=\"a\\\"b\\\\\""], bearer("a\"b\\", None, None)),
            (&["Bearer realm=\"open"], bearer("open", None, None)),
            (&["Bearer service=x"], None),
            (&["Bearer error=\"invalid_token\", Basic"], Some(Challenge::Basic)),
            (&["realm=x, =, ==,"], None),
            (&["", " , ,"], None),
            (&["Bearer é=\"ü\", realm=\"ö\""], bearer("ö", None, None)),
        ] {
            assert_eq!(choose(headers.iter().copied()), expected, "{headers:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_the_parser_panic_or_hang(header in "[ -~é\"\\\\,=]{0,80}") {
            let _ = choose([header.as_str()]);
        }
    }
}
