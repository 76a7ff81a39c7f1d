//! What may go wrong with any request.

use std::fmt;

/// Declares the faults, each with its name and what it is.
macro_rules! faults {
    ($($fault:ident $name:literal $what:literal,)*) => {
        /// What goes wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Fault {
            $(#[doc = $what] $fault,)*
        }

        impl Fault {
            pub(super) const ALL: &'static [Self] = &[$(Self::$fault,)*];

            /// As it is called on the command line.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)* }
            }

            /// What it is, in a sentence.
            pub(super) const fn what(self) -> &'static str {
                match self { $(Self::$fault => $what,)* }
            }
        }
    };
}

faults! {
    Refused "refused" "The host refuses connections.",
    UnknownHost "unknown-host" "The host has no address.",
    UnknownAuthority "tls-unknown-ca" "The certificate's authority is not trusted.",
    Expired "tls-expired" "The certificate's time is over.",
    OtherName "tls-wrong-host" "The certificate is for another host.",
    Silent "silent" "The host takes the connection and never says a word.",
    Closed "closed" "The first connection is closed before an answer.",
    ClosedAlways "closed-always" "Every connection is closed before an answer.",
    NoAnswer "no-answer" "No answer comes to any request.",
    HeadersOnly "stall-after-headers" "The headers come, and never a byte of the body.",
    StallOnce "stall-in-body" "The first body stops in the middle and stays open.",
    StallAlways "stall-in-body-always" "Every body stops after a few bytes and stays open.",
    Trickle "trickle" "The body comes byte by byte, five a second.",
    ResetOnce "reset-in-body" "The first connection is reset in the middle of the body.",
    ResetAlways "reset-in-body-always" "Every connection is reset after a few bytes of the body.",
    CutOnce "short-body" "The first body ends before its length.",
    CutAlways "short-body-always" "Every body ends a few bytes after its beginning, before its length.",
    EarlyEnd "short-body-no-length" "Every body without a length ends early, as if that were all.",
    Dropped "drop-every-64k" "Every connection is dropped after 64 KiB of the body.",
    Long "long-body" "More bytes than there should be, and Content-Length says so.",
    LongNoLength "long-body-no-length" "More bytes than there should be, without Content-Length.",
    WrongLength "wrong-content-length" "Fewer bytes than there should be, and Content-Length says so.",
    Huge "endless-body" "A body that never ends: 100 MB and more.",
    Page "html-page" "A page for browsers and status 200, as of a network that wants a login first.",
    HugeHeaders "huge-headers" "Headers of 1 MiB.",
    WrongDigest "wrong-digest-header" "Docker-Content-Digest names another digest.",
    WrongByteOnce "wrong-bytes" "The first answer has one wrong byte, and the right length.",
    WrongByteAlways "wrong-bytes-always" "Every answer has one wrong byte, and the right length.",
    Nested "nesting-bomb" "JSON with a hundred thousand brackets in each other, under its right digest.",
    OtherPlatform "no-platform" "Nothing is for this machine's platform.",
    Unauthorized "401-loop" "401 with a challenge, whatever is shown.",
    TokenServiceFails "token-500" "The token is not good any more, and the token service answers 500 to all that follow.",
    TokenExpires "token-expires" "The token is not good any more: one 401.",
    Forbidden "403" "403 to every request.",
    NotFound "404" "404 to every request.",
    TooManySeconds "429-seconds" "429 once, with Retry-After: 1.",
    TooManyDate "429-date" "429 once, with a Retry-After that is a date in two seconds.",
    TooManyAbsurd "429-absurd" "429 with a Retry-After of a year.",
    TooManyOverflow "429-overflow" "429 with a Retry-After of 20 digits, more than 64 bits hold.",
    TooManyAlways "429-always" "429 to every request, without Retry-After.",
    Status500 "500" "500 once.",
    Status500Always "500-always" "500 to every request.",
    Status502 "502" "502 once.",
    Status502Always "502-always" "502 to every request.",
    Status503 "503" "503 once.",
    Status503Always "503-always" "503 to every request.",
    Redirected "redirect-elsewhere" "A redirect to another host, which has it.",
    RedirectLoop "redirect-loop" "A redirect to the same address, again and again.",
    RedirectToHttp "redirect-to-http" "A redirect from HTTPS to plain HTTP.",
    RedirectToFile "redirect-to-file" "A redirect to a file: address.",
    RedirectExpired "redirect-expired" "A redirect to a signed address that is not good any more the first time.",
    RedirectDenied "redirect-denied" "A redirect to a host that answers 403 to every request.",
    RangeIgnored "range-200" "The body breaks off; the request for the rest is answered with 200 and all of it.",
    RangeWrong "range-wrong" "The body breaks off; the request for the rest is answered with another range.",
    RangeRefused "range-416" "The body breaks off; the request for the rest is answered with 416.",
    RangeOtherSize "range-changed" "The body breaks off; then the total is another one, as if the blob had changed.",
    TagMoves "tag-moves" "While the request waits for its answer, the tag is pointed to another image.",
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
