//! Registries are asked, and images pulled, over real sockets on loopback; what is about Docker, by the real daemon.

mod docker;
mod http;
mod real;
mod relay;
mod scene;
mod survey;
