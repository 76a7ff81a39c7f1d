//! Layers in, file systems out: what the image specification asks for, what builders write, and what an attacker would.
#![cfg(feature = "loader")]

mod sandbox;

mod escapes;
mod limits;
mod links;
mod metadata;
mod parser;
mod verify;
mod whiteouts;
