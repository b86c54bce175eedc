//! kso's own build arguments. Owns what each may be; does not know what a build does with it.

use buildkit::gateway::Options;

use crate::decode::{KSO_EXEC, KSO_LOCK};
use crate::diagnostic::{Diagnostic, quoted};

/// What `--build-arg KSO_LOCK=…` and `--build-arg KSO_EXEC=…` ask for. An empty value is the default, as with a Dockerfile's
/// arguments that a script leaves empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) lock: UseLock,
    /// Whether a step may run a program: not with `KSO_EXEC=never`.
    pub(super) may_run_steps: bool,
}

/// How a build uses a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UseLock {
    /// Where there is one.
    IfPresent,
    /// It must be there.
    Required,
    /// Not at all.
    Never,
}

impl Settings {
    /// The settings of a build. The error is a value that kso does not know.
    pub(super) fn of(options: &Options) -> Result<Self, Diagnostic> {
        let lock = match options.build_arg(KSO_LOCK) {
            None | Some("") => UseLock::IfPresent,
            Some("required") => UseLock::Required,
            Some("ignore") => UseLock::Never,
            Some(other) => return Err(unknown(KSO_LOCK, other, "`required` or `ignore`")),
        };
        let may_run_steps = match options.build_arg(KSO_EXEC) {
            None | Some("") => true,
            Some("never") => false,
            Some(other) => return Err(unknown(KSO_EXEC, other, "`never`")),
        };
        Ok(Self { lock, may_run_steps })
    }
}

fn unknown(name: &str, value: &str, known: &str) -> Diagnostic {
    let problem = Diagnostic::error(format!("unknown value {} for the build argument {name}", quoted(value)));
    problem.help(format!("use {known}, or remove the build argument"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_value_is_an_error() {
        let of = |name: &str, value: &str| {
            let option = format!("build-arg:{name}={value}");
            let options = Options::from_env([("BUILDKIT_FRONTEND_OPT_0".to_owned(), option)]);
            Settings::of(&options)
                .map_err(|problem| format!("{}: {}", problem.message, problem.help.unwrap_or_default()))
        };
        let default = Settings { lock: UseLock::IfPresent, may_run_steps: true };
        for (name, value, expected) in [
            ("OTHER", "x", default),
            ("KSO_LOCK", "", default),
            ("KSO_LOCK", "required", Settings { lock: UseLock::Required, ..default }),
            ("KSO_LOCK", "ignore", Settings { lock: UseLock::Never, ..default }),
            ("KSO_EXEC", "", default),
            ("KSO_EXEC", "never", Settings { may_run_steps: false, ..default }),
        ] {
            assert_eq!(of(name, value), Ok(expected), "{name}={value}");
        }
        let unknown = "unknown value `true` for the build argument KSO_LOCK: use `required` or `ignore`, or remove the build \
            argument";
        assert_eq!(of("KSO_LOCK", "true"), Err(unknown.into()));
        let unknown = "unknown value `0` for the build argument KSO_EXEC: use `never`, or remove the build argument";
        assert_eq!(of("KSO_EXEC", "0"), Err(unknown.into()));
    }
}
