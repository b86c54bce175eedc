//! Which host names are this machine. Owns the rule; does not know what is sent there.

use std::net::Ipv4Addr;

/// Whether a host name, without its port, is this machine: `localhost`, `[::1]` or an address in 127.0.0.0/8. The rule of
/// containerd's `MatchLocalhost` for registries without TLS. `127.0.0.1.example` is somebody else's.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.1.2.3", true),
            ("[::1]", true),
            ("127.example", false),
            ("127.0.0.1.example", false),
            ("localhost.example", false),
            ("128.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
