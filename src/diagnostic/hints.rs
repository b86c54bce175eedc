//! How a user writes a lock, for the messages and rules that say so. Owns these texts, and how they name the definition;
//! does not know what is wrong with a lock.

use super::Diagnostic;

/// The option that names the definition in the constants of hints.
const OPTION: &str = "-f kso.yaml ";
/// What a definition at the standard input is called.
const STDIN: &str = "<stdin>";

/// A hint for the definition with this name: its commands work when copied.
pub(crate) fn named(hint: &str, definition: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "./_-".contains(c);
    let argument = match definition {
        STDIN => "-".to_owned(),
        name if name.chars().all(plain) => name.to_owned(),
        name => format!("'{}'", name.replace('\'', r"'\''")),
    };
    hint.replace(OPTION, &format!("-f {argument} "))
}

/// [`named`], for the help of diagnostics.
pub(crate) fn name_definition<'a>(problems: impl IntoIterator<Item = &'a mut Diagnostic>, definition: &str) {
    for help in problems.into_iter().filter_map(|problem| problem.help.as_mut()) {
        *help = named(help, definition);
    }
}

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

/// The lock or the definition is of a later version.
pub(crate) const NEWER_KSO: &str =
    "use a newer kso: its version is set in the first line of the definition, `# syntax=…`";
/// The one that is named does not exist.
pub(crate) const CREATE_IT: &str = concat!("create it: `", lock_build!(), "`, or `kso lock`");
/// It is broken.
pub(crate) const UPDATE_LOCK: &str = concat!(update_lock!(), ", or `kso lock`");
/// One of its entries is old.
pub(crate) const UPDATE_ENTRY: &str = concat!(update_lock!(), ", or `kso lock --update NAME`");
/// A server sends something else than the lock says.
pub(crate) const ACCEPT_CONTENT: &str =
    concat!("if the new content is correct, ", update_lock!(), ", or `kso lock --update NAME`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_problems_names_it() {
        let mut problems = [Diagnostic::error("a").help(UPDATE_LOCK), Diagnostic::error("b")];
        name_definition(&mut problems, "my.yaml");
        assert_eq!(problems[0].help, Some(named(UPDATE_LOCK, "my.yaml")));
        assert_eq!(problems[1].help, None);
    }

    #[test]
    fn commands_name_the_definition() {
        let command = |definition| named(UPDATE_LOCK, definition);
        assert_eq!(command("kso.yaml"), UPDATE_LOCK);
        assert!(command("site/kubespray.yaml").contains("build -f site/kubespray.yaml --target lock"));
        assert!(command("it's here.yaml").contains(r"build -f 'it'\''s here.yaml' --target"));
        assert!(command(STDIN).contains("build -f - --target"));
    }
}
