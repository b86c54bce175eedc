//! Git repositories as users name them for a build context: `https://host/repo.git#ref:folder`, `git@host:repo`, and the
//! form with a query. Follows `frontend/dockerfile/dfgitutil` of BuildKit; does not fetch anything.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::Error;
use super::options::boolean;
use super::path::clean;
use crate::llb;

/// A repository, and what of it is meant. [`Display`](std::fmt::Display) shows it as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitRef {
    written: String,
    /// As git takes it.
    remote: String,
    /// What BuildKit calls it, whatever the protocol: host and path.
    name: String,
    reference: String,
    subdir: String,
    /// Attribute, value and needed capability of all else.
    attributes: Vec<(&'static str, String, &'static str)>,
}

impl GitRef {
    /// The repository that `text` names; none if it names none, an error if it does and something is wrong with it.
    pub fn parse(text: &str) -> Option<Result<Self, Error>> {
        let with_scheme;
        let url = if text.starts_with("github.com/") {
            with_scheme = format!("https://{text}");
            with_scheme.as_str()
        } else {
            text
        };
        let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (remote, host, path, ssh) = if let Some((scheme, location)) = rest.split_once("://") {
            let scheme = scheme.to_lowercase();
            let (authority, path) = location.split_at(location.find('/').unwrap_or(location.len()));
            let path = decoded(path)?;
            let known = match scheme.as_str() {
                "http" | "https" => path.strip_suffix(".git").is_some() || url != text,
                "git" | "ssh" => true,
                _ => false,
            };
            if !known {
                return None;
            }
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            (format!("{scheme}://{location}"), host, path, scheme == "ssh")
        } else {
            let (host, path) = rest.split_once(':')?;
            let (user, host) = host.split_once('@')?;
            let word = |text: &str, more: &[u8]| {
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
            };
            if !word(user, b"-_") || !word(host, b"-.") {
                return None;
            }
            (rest.to_owned(), host, path.to_owned(), true)
        };
        let fragment = decoded(fragment)?;
        let (reference, subdir) = fragment.split_once(':').unwrap_or((&fragment, ""));
        let mut git = Self {
            written: text.to_owned(),
            remote,
            name: format!("{host}/{}", clean(&path)),
            reference: reference.to_owned(),
            subdir: clean(subdir),
            attributes: Vec::new(),
        };
        git.set("git.authtokensecret", "GIT_AUTH_TOKEN", "source.git");
        git.set("git.authheadersecret", "GIT_AUTH_HEADER", "source.git");
        if ssh {
            git.set("git.mountsshsock", "default", "source.git.mountsshsock");
        }
        Some(git.read_query(query).map(|()| git))
    }

    /// The repository, as git takes it.
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// The branch, tag or commit; empty for what the repository has by default.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The directory that is meant; empty for the whole.
    pub fn subdir(&self) -> &str {
        &self.subdir
    }

    fn set(&mut self, key: &'static str, value: &str, capability: &'static str) {
        self.attributes.push((key, value.to_owned(), capability));
    }

    fn read_query(&mut self, query: &str) -> Result<(), Error> {
        let mut seen: Vec<String> = Vec::new();
        let mut named = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |text: &str| decoded(&text.replace('+', " "));
            let (Some(key), Some(value)) = (plain(key), plain(value)) else {
                return Err(Error::new(format!("invalid query `{pair}`")));
            };
            if seen.contains(&key) {
                return Err(Error::new(format!("query `{key}` has multiple values")));
            }
            let flag = || match value.as_str() {
                "" => Ok(true),
                value => boolean(value).ok_or_else(|| Error::new(format!("invalid {key} value: `{value}`"))),
            };
            match key.as_str() {
                "keep-git-dir" if flag()? => self.set("git.keepgitdir", "true", "source.git.keepgitdir"),
                "submodules" if !flag()? => self.set("git.skipsubmodules", "true", "source.git.skipsubmodules"),
                "fetch-by-commit" if flag()? => self.set("git.fetchbycommit", "true", "source.git.fetchbycommit"),
                "keep-git-dir" | "submodules" | "fetch-by-commit" => {}
                _ if value.is_empty() => return Err(Error::new(format!("query `{key}` has no value"))),
                "ref" => named.push(value),
                "tag" => named.push(within("refs/tags/", &value)),
                "branch" => named.push(within("refs/heads/", &value)),
                "subdir" if !self.subdir.is_empty() && self.subdir != value => {
                    return Err(Error::new(format!("subdir conflicts: `{}` and `{value}`", self.subdir)));
                }
                "subdir" => self.subdir = value,
                "checksum" | "commit" => self.set("git.checksum", &value, "source.git.checksum"),
                "mtime" if matches!(value.as_str(), "checkout" | "commit") => {
                    self.set("git.mtime", &value, "source.git.mtime");
                }
                "mtime" => return Err(Error::new(format!("invalid mtime value: `{value}`"))),
                _ => return Err(Error::new(format!("unexpected query `{key}`"))),
            }
            seen.push(key);
        }
        for reference in named {
            if !self.reference.is_empty() && self.reference != reference {
                return Err(Error::new(format!("ref conflicts: `{}` and `{reference}`", self.reference)));
            }
            self.reference = reference;
        }
        Ok(())
    }

    /// The vertex, the same as of BuildKit's own frontends, so that they share its cache. `keep_git_dir` is what the
    /// build argument `BUILDKIT_CONTEXT_KEEP_GIT_DIR` says.
    pub(super) fn state(&self, keep_git_dir: bool) -> llb::State {
        let mut identifier = self.name.clone();
        if !self.reference.is_empty() || !self.subdir.is_empty() {
            identifier = format!("{identifier}#{}", self.reference);
        }
        if !self.subdir.is_empty() {
            identifier = format!("{identifier}:{}", self.subdir);
        }
        let mut git = llb::Git::new(&identifier, &self.remote);
        for (key, value, capability) in &self.attributes {
            git = git.attribute(key, value, capability);
        }
        if keep_git_dir {
            git = git.attribute("git.keepgitdir", "true", "source.git.keepgitdir");
        }
        git.state()
    }
}

impl std::fmt::Display for GitRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.written)
    }
}

fn within(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

/// Text without percent-encoding; none if it is not text then, or if a `%` is not followed by two hex digits.
fn decoded(text: &str) -> Option<String> {
    let valid = |after: &str| after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(valid) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `dockerui.DetectGitContext` of BuildKit v0.32 makes of each.
    #[test]
    fn vertices_are_those_of_buildkit() {
        for (text, digest) in [
            ("https://example.com/foo.git", "76a32de9d6ce10dfcd1d609e9e451f11b898b8b7a15960d0f3a837edc528035b"),
            ("HTTPS://example.com/foo.git", "76a32de9d6ce10dfcd1d609e9e451f11b898b8b7a15960d0f3a837edc528035b"),
            (
                "https://example.com/foo.git#release/1.2:sub/dir",
                "d778ae9b58f4a065fdbd33fdb97a57ca1eacaa6e180383c083739d88d482edbf",
            ),
            (
                "https://example.com:8443/a//b/../foo.git#:sub/../x",
                "41f7980973d00d1830e068d2416eae33d153a9f93bf03faedcb7a106a8ff0abe",
            ),
            ("https://u:p@example.com/foo.git#v1", "dd9d29ffb4e190264f1cdce20100c1026937f8a29692fed7cb0ee269cb4cefdf"),
            ("github.com/moby/buildkit#master", "d4f475766496132a33e3e6ce90ffc6dcc9747258fba3357fe5728ee4c688e4a2"),
            ("github.com/moby/buildkit?tag=v1.0.0", "413d75ecc722510ec64d77a688741988be4bab9303d5321e5a09d0574c57ad77"),
            (
                "git@github.com:moby/buildkit.git#v1:x",
                "cda8e2d3a038373cd084127f7bf2e8baea77e36aed09057fda9644ba14ff94e9",
            ),
            ("ssh://git@example.com:22/foo.git", "950daa950814c9dfa39ba32a804360b7cd530ce27889a76d342379c3acac8038"),
            ("git://example.com/foo", "d912aeaa35d1cbfb866c454516ee4378e82a4f858ba56931fbdd8745e277eebd"),
            (
                "https://example.com/foo.git?tag=v1.0.0&subdir=/sub&submodules=false&keep-git-dir=1",
                "80966167a77c30643905baab53237f2af29ff6207bc0ab10393ee96505672666",
            ),
            (
                "https://example.com/foo.git?branch=a%2Fb&checksum=0123456789012345678901234567890123456789",
                "d92b4a38b2ad1af6649a7bd852f4445fdef4752dd0e5f1da4942ec8f8a488c24",
            ),
            ("https://example.com/f%20o.git#a%20b", "0b7100296e78e62cde8b43acbb7054d4a01db40a55bb4d2f0c1cfc403b02467d"),
            (
                "https://example.com/foo.git?fetch-by-commit&commit=0123456789012345678901234567890123456789",
                "ba10c43b23a26676a1bd750f5290438f78d9418662e0fd7067e5dbb24c268db0",
            ),
            (
                "https://example.com/foo.git?mtime=commit",
                "34cec73a63c3a62f958655272a10bf29e32f617888f7f247da6980b123dbf88e",
            ),
        ] {
            let git = GitRef::parse(text).expect("a repository").expect("a good one");
            assert_eq!(*git.state(false).digest(), format!("sha256:{digest}"), "{text}");
        }
    }

    #[test]
    fn other_names_are_not_git() {
        for text in [
            "https://example.com/foo",
            "https://example.com/foo.git/",
            "./x.git",
            ".git",
            "ftp://example.com/x.git",
            "custom.xyz/moby/buildkit.git",
            "docker-image://alpine",
            "local:context",
            "",
        ] {
            assert_eq!(GitRef::parse(text), None, "{text}");
        }
    }

    #[test]
    fn bad_queries_are_errors() {
        for (query, message) in [
            ("ref=a#b", "ref conflicts: `b` and `a`"),
            ("x=a", "unexpected query `x`"),
            ("ref=", "query `ref` has no value"),
            ("ref=a&ref=b", "query `ref` has multiple values"),
            ("submodules=maybe", "invalid submodules value: `maybe`"),
            ("ref=a&tag=b", "ref conflicts: `a` and `refs/tags/b`"),
            ("branch=a&tag=b", "ref conflicts: `refs/heads/a` and `refs/tags/b`"),
            ("mtime=now", "invalid mtime value: `now`"),
            ("ref=%zz", "invalid query `ref=%zz`"),
        ] {
            let error = GitRef::parse(&format!("https://example.com/foo.git?{query}")).expect("a repository");
            assert_eq!(error.expect_err("a bad one").message(), message, "{query}");
        }
    }
}
