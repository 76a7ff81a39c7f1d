//! The commands of the real binary, against an API inside the test.

mod api;

mod acting;
mod applying;
mod documentation;
mod following;
mod showing;
