//! Who asks, and whether that is for us.

use std::fmt;
use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, Uri};

use super::call::single;
use super::kinds;
use super::problem::Problem;
use super::token::Token;

/// Where a request came from.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// The Unix socket, whose file says who may use it: this user.
    Socket(u32),
    /// The loopback, where anybody on the device can connect; the token that they have to have.
    Loopback(Token),
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// A user of the device.
    User(u32),
    /// Somebody who has the token.
    Token,
    /// Anybody, where anybody may ask.
    Anybody,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "socket:{id}"),
            Self::Token => f.write_str("token"),
            Self::Anybody => f.write_str("anybody"),
        }
    }
}

/// Lets a request in. `open`: what is asked for is for anybody.
pub(super) fn admit(peer: &Peer, uri: &Uri, headers: &HeaderMap, open: bool) -> Result<Who, Problem> {
    let token = match peer {
        Peer::Socket(user) => return Ok(Who::User(*user)),
        Peer::Loopback(token) => token,
    };
    is_for_us(uri, headers)?;
    let given = single(headers, &AUTHORIZATION)?.map(|text| text.split_once(' ').unwrap_or((text, "")));
    match given {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") && token.is(text.trim()) => {
            Ok(Who::Token)
        }
        _ if open => Ok(Who::Anybody),
        None => Err(Problem::unauthorized("there is no token in the header Authorization")),
        Some((scheme, _)) if !scheme.eq_ignore_ascii_case("bearer") => {
            Err(Problem::unauthorized("the header Authorization has to begin with Bearer"))
        }
        Some(_) => Err(Problem::unauthorized("that is not the token")),
    }
}

/// A web page may let its own name lead to the loopback, and then ask us in its visitor's browser. The name gives it away.
fn is_for_us(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let named = single(headers, &HOST)?;
    for host in [named, uri.authority().map(|authority| authority.as_str())].into_iter().flatten() {
        if !is_loopback(host) {
            let shown: String = host.chars().take(128).collect();
            return Err(Problem::new(
                &kinds::WRONG_HOST,
                format!("{shown:?} is not this device; ask for localhost, 127.0.0.1 or [::1]"),
            ));
        }
    }
    if named.is_none() && uri.authority().is_none() {
        return Err(Problem::new(&kinds::MALFORMED, "there is no header Host"));
    }
    Ok(())
}

/// `host[:port]`, where the host is a name or address of the loopback.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':').or(port.is_empty().then_some(""))),
        None => host.split_once(':').map_or((host, Some("")), |(name, port)| (name, Some(port))),
    };
    let port_is_one = port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok());
    let is_local = name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    port_is_one && is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn names_of_the_loopback_are_ours_and_no_others() {
        for host in
            ["localhost", "LocalHost:80", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:65535", "localhost:"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:80",
            "10.0.0.1",
            "[::1",
            "[::1]x",
            "[::2]",
            "localhost:x",
            "localhost:65536",
            "localhost:80:80",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "127.1",
            "user@localhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn over_tcp_only_who_has_the_token_is_let_in() {
        let peer = Peer::Loopback(Token::new("0123456789abcdef"));
        let uri = Uri::from_static("/v1/status");
        let host = ("host", "localhost:8080");
        for (pairs, expected) in [
            (vec![host], Err("unauthorized")),
            (vec![host, ("authorization", "Bearer 0123456789abcdef")], Ok(Who::Token)),
            (vec![host, ("authorization", "bearer  0123456789abcdef")], Ok(Who::Token)),
            (vec![host, ("authorization", "Basic 0123456789abcdef")], Err("unauthorized")),
            (vec![host, ("authorization", "Bearer 0123456789abcdee")], Err("unauthorized")),
            (vec![host, ("authorization", "Bearer")], Err("unauthorized")),
            (vec![host, ("authorization", "0123456789abcdef")], Err("unauthorized")),
            (vec![("host", "evil.example"), ("authorization", "Bearer 0123456789abcdef")], Err("wrong-host")),
            (vec![("authorization", "Bearer 0123456789abcdef")], Err("malformed")),
            (vec![host, host, ("authorization", "Bearer 0123456789abcdef")], Err("malformed")),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &pairs {
                map.append(*name, value.parse().unwrap());
            }
            let admitted = admit(&peer, &uri, &map, false).map_err(|problem| problem.name());
            assert_eq!(admitted, expected, "{pairs:?}");
        }
        let evil = Uri::from_static("http://evil.example/v1/status");
        assert_eq!(admit(&peer, &evil, &headers(&[host]), true).unwrap_err().name(), "wrong-host");
        assert_eq!(admit(&peer, &uri, &headers(&[host]), true), Ok(Who::Anybody));
    }

    #[test]
    fn over_the_socket_it_is_the_user() {
        let who = admit(&Peer::Socket(1000), &Uri::from_static("/"), &HeaderMap::new(), false).unwrap();
        assert_eq!(who.to_string(), "socket:1000");
    }
}
