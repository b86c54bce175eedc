//! How far a command goes for what a definition names. Does not know what that is.

/// How far a command goes for what a definition names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Files of the build context.
    Files,
    /// The network, too.
    Network,
}
