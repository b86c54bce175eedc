//! What an entry is, whatever its version: the key of its place among the layers. Does not know the layout's rule.

/// The host, the directories and the file name of a path, with all that changes from release to release taken out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(String);

/// Words with digits that are no versions.
const ARCHITECTURES: [&str; 8] = ["amd64", "arm64", "x86", "i386", "s390x", "ppc64le", "riscv64", "aarch64"];

impl Identity {
    /// The identity of a stored path (`host[:port]/folder/file`).
    ///
    /// Taken out are numbers (`1.29.10`, also after a `v`), pre-releases after them (`-rc.1`), and hex of twelve
    /// digits and more (commits, digests).
    pub fn of(path: &str) -> Self {
        // The host is never a version, though it may be an address.
        let (host, rest) = path.split_once('/').unwrap_or((path, ""));
        let mut identity = host.to_owned();
        for segment in rest.split('/') {
            let kept = without_version(segment);
            if !kept.is_empty() {
                identity.push('/');
                identity.push_str(&kept);
            }
        }
        Self(identity)
    }

    /// The identity of what has no versions: a digest, the repository of an image.
    pub fn exact(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn without_version(segment: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut after_version = false;
    for word in segment.split(['-', '.', '_', '+', '~', '@', ':', '=']) {
        let number = word.strip_prefix('v').unwrap_or(word);
        let digits = number.trim_start_matches(|c: char| c.is_ascii_digit());
        let version = digits.len() < number.len() && (digits.is_empty() || is_pre_release(digits));
        if version || is_hex(word) || (after_version && is_pre_release(word)) {
            after_version = true;
        } else if !word.is_empty() {
            // `k3s1` in `v1.29.1+k3s1`: the build counts too.
            let build = after_version && !ARCHITECTURES.contains(&word);
            kept.push(if build { word.trim_end_matches(|c: char| c.is_ascii_digit()) } else { word });
            after_version = false;
        }
    }
    kept.join("-")
}

/// `rc`, `beta2`, `alpha`, as they follow a number.
fn is_pre_release(word: &str) -> bool {
    let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
    ["rc", "alpha", "beta", "pre", "dev", "a", "b"].contains(&name)
}

/// A commit or a digest: twelve hex digits or more, and not a word.
fn is_hex(word: &str) -> bool {
    word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit()) && word.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(path: &str) -> String {
        Identity::of(path).0
    }

    #[test]
    fn versions_are_taken_out() {
        for (path, expected) in [
            ("dl.k8s.io/release/v1.29.10/bin/linux/amd64/kubelet", "dl.k8s.io/release/bin/linux/amd64/kubelet"),
            ("get.helm.sh/helm-v3.14.2-linux-arm64.tar.gz", "get.helm.sh/helm-linux-arm64-tar-gz"),
            ("storage.example/cri-o.amd64.v1.29.1.tar.gz", "storage.example/cri-o-amd64-tar-gz"),
            (
                "github.com/k3s-io/k3s/releases/download/v1.29.1+k3s2/k3s",
                "github.com/k3s-io/k3s/releases/download/k3s/k3s",
            ),
            ("a.example:8080/x-1.30.0-rc.1.tgz", "a.example:8080/x-tgz"),
            ("a.example/x-1.30.0rc1-3f2a9c1b7d4e55aa", "a.example/x"),
            ("10.0.0.1/tool", "10.0.0.1/tool"),
        ] {
            assert_eq!(identity(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_version_stays() {
        for path in ["a/7zip-rc", "a/tool2-x", "a/3f/deadbeefcafe/configuration", "a/k3s1/x"] {
            assert_eq!(identity(path), path);
        }
        assert_eq!(Identity::exact("quay.io/a-1.0").as_str(), "quay.io/a-1.0");
    }

    #[test]
    fn architectures_stay_apart() {
        let amd64 = identity("a.example/v1.2/runc-1.1-amd64");
        let arm64 = identity("a.example/v1.2/runc-1.1-arm64");
        assert_ne!(amd64, arm64);
        assert_ne!(identity("a/x-1.0-x86_64.tgz"), identity("a/x-1.0-aarch64.tgz"));
    }

    #[test]
    fn two_versions_have_one_identity() {
        for (old, new) in [
            ("a/etcd-v3.5.10-linux-amd64.tar.gz", "a/etcd-v3.6.0-rc.0-linux-amd64.tar.gz"),
            ("a/v0.9/x", "a/v0.10.1/x"),
            ("a/download/20240101/x", "a/download/20250909/x"),
        ] {
            assert_eq!(identity(old), identity(new), "{old}");
        }
    }
}
