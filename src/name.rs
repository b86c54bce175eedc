//! Names that mean the same in a definition, a build and a command. Owns one home for each rule; does not know who asks.

mod loopback;

pub use loopback::is_loopback;
