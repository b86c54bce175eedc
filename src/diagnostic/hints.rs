//! How a user writes a lock, for the messages and rules that say so. Owns these texts; does not know what is wrong with a lock.

/// The build that writes it. A macro, as the next ones, so that the compiler can put constants together.
macro_rules! lock_build {
    () => {
        "docker buildx build -f kso.yaml --target lock -o . ."
    };
}

/// Where no build can write it.
macro_rules! lock_command {
    () => {
        "create a lock with `kso lock`"
    };
}

/// Where there could be one.
macro_rules! create_lock {
    () => {
        concat!("create a lock: `", $crate::diagnostic::hints::lock_build!(), "`")
    };
}

/// Where it is old.
macro_rules! update_lock {
    () => {
        concat!("update the lock: `", $crate::diagnostic::hints::lock_build!(), "`")
    };
}

pub(crate) use {create_lock, lock_build, lock_command, update_lock};

/// The one that is named does not exist.
pub(crate) const CREATE_IT: &str = concat!("create it: `", lock_build!(), "`, or `kso lock`");
/// It is broken.
pub(crate) const UPDATE_LOCK: &str = concat!(update_lock!(), ", or `kso lock`");
/// One of its entries is old.
pub(crate) const UPDATE_ENTRY: &str = concat!(update_lock!(), ", or `kso lock --update NAME`");
/// A server sends something else than the lock says.
pub(crate) const ACCEPT_CONTENT: &str =
    concat!("if the new content is correct, ", update_lock!(), ", or `kso lock --update NAME`");
