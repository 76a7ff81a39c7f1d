//! The supervisor as process 1 of a process namespace, beside the inits that people know: what each is documented, or known,
//! to do is asserted as well, so that the tests are proven able to tell a difference.
#![expect(clippy::disallowed_methods, reason = "a test plants files and starts programs")]

mod ends;

mod signals;

mod orphans;

mod stopping;

mod terminal;

mod elsewhere;
