//! What the fake daemon of the unit tests finds around it in the crate, and that daemon. Knows nothing of what is asked of it.

pub(crate) use kso::gateway::*;

pub(crate) mod run {
    pub(crate) use kso::gateway::serve;
}

#[allow(dead_code, unused_imports, clippy::wildcard_imports, reason = "the unit tests use all of it")]
#[path = "../src/gateway/fake/mod.rs"]
pub(crate) mod fake;
