//! The API over real sockets, with a device manager that is as simple as can be behind it.

mod client;
mod device;
mod schema;

mod access;
mod contract;
mod crowd;
mod document;
mod keys;
mod malformed;
mod random;
mod streams;
