// The examples of the README use the fake daemon.
#![cfg_attr(feature = "testing", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "testing"),
    doc = "BuildKit frontends in Rust: the build graph as plain values, and the conversation with BuildKit."
)]
#![warn(missing_docs)]

pub mod gateway;
pub mod llb;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
