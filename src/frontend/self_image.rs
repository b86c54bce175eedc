//! kso itself as a step of the build: where it is, and what its exit code said. Does not know what the
//! steps do.

use buildkit::gateway::{Error, Options};
use buildkit::llb::{Proxy, State};

use crate::lower::images::Runner;
use crate::manifests::Cause;

/// Where BuildKit puts the graph that the frontend itself came from.
const OWN_DEFINITION: &str = "/run/config/buildkit/metadata/frontend.bin";

/// kso as BuildKit got it for this build; `None` where BuildKit does not tell.
pub(super) fn image(options: &Options) -> Option<Runner> {
    let definition = std::fs::read(OWN_DEFINITION).ok()?;
    let root = State::from_bytes(&definition).ok()?;
    let program = std::env::args_os().next()?.into_string().ok()?;
    Some(Runner { root, platform: options.default_platform(), program })
}

/// The proxies that the client gives to steps, as to those of a Dockerfile: build arguments, which Docker's own
/// configuration may hold.
pub(super) fn proxy(options: &Options) -> Proxy {
    let of = |name: &str| {
        let given = options.build_arg(name).or_else(|| options.build_arg(&name.to_ascii_lowercase()));
        given.unwrap_or_default().to_owned()
    };
    Proxy {
        http: of("HTTP_PROXY"),
        https: of("HTTPS_PROXY"),
        ftp: of("FTP_PROXY"),
        no: of("NO_PROXY"),
        all: of("ALL_PROXY"),
    }
}

/// Why a step failed, from BuildKit's message: `… did not complete successfully: exit code: 10`.
pub(super) fn cause(error: &Error) -> Option<Cause> {
    let (_, rest) = error.message().rsplit_once("exit code: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Cause::of_code(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_in_messages() {
        for (message, expected) in [
            ("process \"/kso manifests a\" did not complete successfully: exit code: 10", Some(Cause::NoLogin)),
            ("process \"/kso\" did not complete successfully: exit code: 16: unknown", Some(Cause::Corrupt)),
            ("process \"/kso\" did not complete successfully: exit code: 1", None),
            ("no network", None),
        ] {
            assert_eq!(cause(&Error::new(message)), expected, "{message}");
        }
    }

    #[test]
    fn proxies_are_build_arguments() {
        let pairs = [("build-arg:HTTPS_PROXY", "http://p:1"), ("build-arg:no_proxy", "x")];
        let pairs = pairs.iter().enumerate();
        let options = Options::from_env(
            pairs.map(|(n, (key, value))| (format!("BUILDKIT_FRONTEND_OPT_{n}"), format!("{key}={value}"))),
        );
        assert_eq!(proxy(&options), Proxy { https: "http://p:1".into(), no: "x".into(), ..Proxy::default() });
    }
}
