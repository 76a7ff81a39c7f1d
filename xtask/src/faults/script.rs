//! How a fault is made to happen: fault x phase -> what the hosts do.

use std::time::{Duration, SystemTime};

use fixtures::image::Index;
use fixtures::registry::{Certificate, Fault as Answer, Gate, Refusing, Silent};
use fixtures::sha256;

use super::content::{self, NEXT, VERSION};
use super::fault::Fault;
use super::phase::Phase;
use super::world::{SIGNATURE, Shape, World};
use crate::failure::{Context as _, Result};

/// The hosts that a fault needs.
pub(super) fn shape(fault: Fault) -> Shape {
    match fault {
        Fault::UnknownAuthority => Shape { second: Some((Certificate::Good, false)), ..Shape::default() },
        Fault::Expired => Shape { second: Some((Certificate::Expired, true)), ..Shape::default() },
        Fault::OtherName => Shape { second: Some((Certificate::OtherHost, true)), ..Shape::default() },
        Fault::RedirectToHttp => Shape { tls: true, ..Shape::default() },
        _ => Shape::default(),
    }
}

/// Sets the scene.
pub(super) fn set(world: &mut World, fault: Fault, phase: Phase) -> Result {
    let rule = || World::rule(phase);
    let always = |world: &World, answer| world.registry.fault(rule(), answer);
    let once = |world: &World, answer| world.registry.fault(rule().times(1), answer);
    // Enough of a body to be in its middle, and never as much as counts for progress.
    let few = if phase == Phase::Blob { 1000 } else { 20 };
    match fault {
        Fault::Refused => {
            let host = Refusing::new().context("bind a port")?;
            world.lead_away(phase, &format!("http://{}", host.host()));
            world.kept.push(Box::new(host));
        }
        // RFC 6761, 6.4: never resolves.
        Fault::UnknownHost => world.lead_away(phase, "https://nowhere.invalid"),
        Fault::Silent => {
            let host = Silent::new().context("listen")?;
            world.lead_away(phase, &format!("http://{}", host.host()));
            world.kept.push(Box::new(host));
        }
        Fault::UnknownAuthority | Fault::Expired | Fault::OtherName => {
            let origin = world.second.origin();
            world.lead_away(phase, &origin);
        }
        Fault::Closed => once(world, Answer::Close),
        Fault::ClosedAlways => always(world, Answer::Close),
        Fault::NoAnswer => always(world, Answer::HoldHeaders { gate: Gate::new() }),
        Fault::HeadersOnly => always(world, Answer::Hold { after: 0, gate: Gate::new() }),
        Fault::StallOnce => once(world, Answer::Hold { after: few, gate: Gate::new() }),
        Fault::StallAlways => always(world, Answer::Hold { after: few, gate: Gate::new() }),
        Fault::Trickle => always(world, Answer::Drip { bytes: 1, pause: Duration::from_millis(200) }),
        Fault::ResetOnce => once(world, Answer::Reset { after: few }),
        Fault::ResetAlways => always(world, Answer::Reset { after: few }),
        Fault::CutOnce => once(world, Answer::Truncate { after: few }),
        Fault::CutAlways => always(world, Answer::Truncate { after: few }),
        Fault::EarlyEnd => always(world, Answer::EndEarly { after: few }),
        Fault::Dropped => always(world, Answer::Truncate { after: 64 << 10 }),
        Fault::Long => always(world, Answer::Oversize { extra: 100 }),
        Fault::LongNoLength => always(world, Answer::OversizeChunked { extra: 100 }),
        Fault::WrongLength => always(world, Answer::Undersize { missing: 10 }),
        Fault::Huge => always(world, Answer::Endless),
        Fault::Page => {
            let page = b"<!doctype html><title>Welcome</title>Please log in".to_vec();
            always(world, Answer::Replace(page.into()));
        }
        Fault::HugeHeaders => always(world, Answer::Header("X-Huge".to_owned(), Some("x".repeat(1 << 20)))),
        Fault::WrongDigest => always(world, Answer::digest_header(Some(&sha256(b"something else")))),
        Fault::WrongByteOnce => once(world, Answer::WrongByte { at: few }),
        Fault::WrongByteAlways => always(world, Answer::WrongByte { at: few }),
        Fault::Nested => nested(world, phase),
        Fault::OtherPlatform => other_platform(world, phase),
        Fault::Unauthorized => {
            let realm = format!("Bearer realm=\"{}/token\",service=\"fixtures\"", world.registry.origin());
            let headers = vec![("WWW-Authenticate".to_owned(), realm)];
            always(world, Answer::Status { code: 401, headers, body: br#"{"errors":[]}"#.to_vec().into() });
        }
        Fault::TokenServiceFails => {
            let first = u64::from(phase != Phase::Token);
            world.registry.fault(World::rule(Phase::Token).skip(first), Answer::status(500));
            if phase != Phase::Token {
                once(world, Answer::Expire);
            }
        }
        Fault::TokenExpires => once(world, Answer::Expire),
        Fault::Forbidden => always(world, Answer::status(403)),
        Fault::NotFound => always(world, Answer::status(404)),
        Fault::TooManySeconds => once(world, Answer::too_many_requests("1")),
        Fault::TooManyDate => {
            once(
                world,
                Answer::too_many_requests(&httpdate::fmt_http_date(
                    SystemTime::now() + Duration::from_secs(2),
                )),
            );
        }
        Fault::TooManyAbsurd => always(world, Answer::too_many_requests("31536000")),
        Fault::TooManyOverflow => always(world, Answer::too_many_requests("99999999999999999999")),
        Fault::TooManyAlways => always(world, Answer::status(429)),
        Fault::Status500 => once(world, Answer::status(500)),
        Fault::Status500Always => always(world, Answer::status(500)),
        Fault::Status502 => once(world, Answer::status(502)),
        Fault::Status502Always => always(world, Answer::status(502)),
        Fault::Status503 => once(world, Answer::status(503)),
        Fault::Status503Always => always(world, Answer::status(503)),
        Fault::Redirected => redirect(world, phase),
        Fault::RedirectLoop => {
            let location = format!("{}{{path}}", world.registry.origin());
            always(world, Answer::Redirect(location));
        }
        Fault::RedirectToHttp => redirect(world, phase),
        Fault::RedirectToFile => always(world, Answer::Redirect("file:///etc/passwd".to_owned())),
        Fault::RedirectExpired => {
            world.second.fault(rule().times(1), Answer::status(403));
            redirect(world, phase);
        }
        Fault::RedirectDenied => {
            world.second.fault(rule(), Answer::status(403));
            redirect(world, phase);
        }
        Fault::RangeIgnored => broken_off(world, phase, few, Answer::IgnoreRange),
        Fault::RangeWrong => {
            let range = format!("bytes 1-{}/{}", size(phase) - 1, size(phase));
            broken_off(world, phase, few, Answer::content_range(Some(&range)));
        }
        Fault::RangeRefused => broken_off(world, phase, few, Answer::status(416)),
        Fault::RangeOtherSize => {
            let range = format!("bytes {few}-{}/{}", size(phase), size(phase) + 1);
            broken_off(world, phase, few, Answer::content_range(Some(&range)));
        }
        Fault::TagMoves => {
            world.registry.put("app", "next", &NEXT.index);
            once(world, Answer::Retag { tag: "v".to_owned(), digest: NEXT.index.digest.clone() });
        }
    }
    Ok(())
}

/// A redirect to the second host, in the way of object stores: with a signed query.
fn redirect(world: &mut World, phase: Phase) {
    let host = world.second.host();
    let location = format!("{}{{path}}?{SIGNATURE}", world.second.origin());
    world.registry.fault(World::rule(phase), Answer::Redirect(location));
    world.at_fault.push(host);
}

/// The first body breaks off; the answer to the request for the rest has this fault.
fn broken_off(world: &World, phase: Phase, after: u64, answer: Answer) {
    world.registry.fault(World::rule(phase).times(1), Answer::Truncate { after });
    world.registry.fault(World::rule(phase).times(1), answer);
}

fn size(phase: Phase) -> u64 {
    let layer = VERSION.image.layers.first().map_or(0, |layer| layer.bytes.len());
    (if phase == Phase::Blob { layer } else { VERSION.image.config.len() }) as u64
}

/// Brackets in each other: what fits into a document of the largest size that is read.
const DEPTH: usize = 100_000;

/// A bomb in the place of a document, under its own digest.
fn nested(world: &World, phase: Phase) {
    let image = &VERSION.image;
    let index = |entry: serde_json::Value| Index::new().entry(entry).build();
    match phase {
        Phase::Token => {
            let body = content::nested("application/json", 10_000);
            world.registry.fault(World::rule(phase), Answer::Replace(body.into()));
        }
        Phase::Index => {
            let bomb = content::nested(&VERSION.index.media_type, DEPTH);
            world.registry.put_manifest("app", "v", &sha256(&bomb), &VERSION.index.media_type, bomb);
        }
        Phase::Manifest => {
            let bomb = content::nested(&image.media_type, DEPTH);
            let index = index(serde_json::json!({
                "mediaType": image.media_type, "digest": sha256(&bomb), "size": bomb.len(),
                "platform": { "os": "linux", "architecture": fixtures::image::host_architecture() },
            }));
            world.registry.put_manifest("app", "bomb", &sha256(&bomb), &image.media_type, bomb);
            world.registry.put("app", "v", &index);
        }
        _ => {
            let bomb = content::nested("application/vnd.oci.image.config.v1+json", DEPTH);
            let mut manifest: serde_json::Value =
                serde_json::from_slice(&image.manifest).expect("the fixture's own JSON");
            manifest["config"]["digest"] = sha256(&bomb).into();
            manifest["config"]["size"] = bomb.len().into();
            let manifest = manifest.to_string();
            world.registry.put_blob("app", &sha256(&bomb), bomb);
            world.registry.put_manifest(
                "app",
                "v",
                &sha256(manifest.as_bytes()),
                &image.media_type,
                manifest,
            );
        }
    }
}

/// Nothing for this machine: by the index, or by the config where there is no index.
fn other_platform(world: &World, phase: Phase) {
    let foreign = content::foreign();
    if phase == Phase::Index {
        world.registry.put("app", "v", &Index::new().image(&foreign).build());
    } else {
        world.registry.put("app", "v", &foreign);
    }
}
