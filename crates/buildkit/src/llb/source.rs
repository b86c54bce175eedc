//! Source vertices: what comes from outside the graph. Owns the identifiers and attributes of BuildKit's source
//! schemes (`solver/pb/attr.go`); does not fetch anything.

use std::collections::BTreeMap;

use bollard_buildkit_proto::pb;

use super::{Platform, State};

/// Identifier, attributes and needed capabilities of a source under construction.
#[derive(Debug, Clone)]
struct Op {
    identifier: String,
    attrs: BTreeMap<String, String>,
    capabilities: Vec<&'static str>,
}

impl Op {
    fn new(identifier: String, capability: &'static str) -> Self {
        Self { identifier, attrs: BTreeMap::new(), capabilities: vec![capability] }
    }

    /// Sets an attribute; an empty value means that it is not set (Go's client never writes one).
    fn set(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.attrs.insert(key.into(), value);
        }
    }

    fn needs(&mut self, capability: &'static str) {
        self.capabilities.push(capability);
    }

    fn state(self, platform: Option<&Platform>) -> State {
        let op = pb::SourceOp { identifier: self.identifier, attrs: self.attrs };
        State::new(pb::op::Op::Source(op), platform, Vec::new(), &self.capabilities)
    }
}

/// An image of a registry, as a root filesystem: `docker-image://`.
#[derive(Debug, Clone)]
pub struct Image(Op, Platform);

impl Image {
    /// The image of `platform` that the normalized reference names (`docker.io/library/alpine@sha256:…`).
    ///
    /// Image sources always carry a platform: without it another platform's build would silently get the daemon's.
    pub fn new(reference: &str, platform: &Platform) -> Self {
        Self(Op::new(format!("docker-image://{reference}"), "source.image"), platform.clone())
    }

    /// Whether the daemon's local copy may do: `default`, `pull`, `local`.
    #[must_use]
    pub fn resolve_mode(mut self, mode: &str) -> Self {
        if mode != "default" && !mode.is_empty() {
            self.0.set("image.resolvemode", mode);
            self.0.needs("source.image.resolvemode");
        }
        self
    }

    /// An image of the user's OCI layout instead of a registry: `oci-layout://` (`--build-context x=oci-layout://…`).
    pub fn oci_layout(reference: &str, store: &str, session: &str, platform: &Platform) -> Self {
        let mut op = Op::new(format!("oci-layout://{reference}"), "source.ocilayout");
        op.set("oci.store", store);
        op.set("oci.session", session);
        Self(op, platform.clone())
    }

    /// The vertex.
    pub fn state(self) -> State {
        self.0.state(Some(&self.1))
    }
}

/// One file by URL: `http://`, `https://`.
#[derive(Debug, Clone)]
pub struct Http(Op);

impl Http {
    /// The body of the answer to a GET of `url`.
    pub fn new(url: &str) -> Self {
        Self(Op::new(url.into(), "source.http"))
    }

    /// The digest that the body must have (`sha256:…`). It, not the URL, then makes the cache key.
    #[must_use]
    pub fn checksum(mut self, digest: &str) -> Self {
        self.0.set("http.checksum", digest);
        self.0.needs("source.http.checksum");
        self
    }

    /// The name of the file in the vertex's root.
    #[must_use]
    pub fn filename(mut self, name: &str) -> Self {
        self.0.set("http.filename", name);
        self
    }

    /// The mode bits of the file.
    #[must_use]
    pub fn perm(mut self, mode: u32) -> Self {
        self.0.set("http.perm", format!("0{mode:o}"));
        self.0.needs("source.http.perm");
        self
    }

    /// A header of the request: BuildKit sends `accept` and `user-agent`, in lower case here, and no other.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0.set(&format!("http.header.{name}"), value);
        self.0.needs("source.http.header");
        self
    }

    /// The id of the secret, of the client's session, that is the value of the `Authorization` header. BuildKit's client
    /// does not send it on where the server redirects to another domain.
    #[must_use]
    pub fn authorization(mut self, secret: &str) -> Self {
        self.0.set("http.authheadersecret", secret);
        self.0.needs("source.http.auth");
        self
    }

    /// An attribute that BuildKit does not know: the vertex is another one, its cache key the same.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: &str) -> Self {
        self.0.set(key, value);
        self
    }

    /// The vertex.
    pub fn state(self) -> State {
        self.0.state(None)
    }
}

/// One blob of a registry, or of an OCI layout of the user's, as a file: `docker-image+blob://`, `oci-layout+blob://`.
/// BuildKit 0.28 or newer.
#[derive(Debug, Clone)]
pub struct ImageBlob(Op);

impl ImageBlob {
    /// The blob that `repository@sha256:…` names.
    pub fn new(reference: &str) -> Self {
        Self(Op::new(format!("docker-image+blob://{reference}"), "source.imageblob"))
    }

    /// The blob with the digest of `reference`, whose name is only shown, in the layout that the client offers as `store`.
    pub fn oci_layout(reference: &str, store: &str, session: &str) -> Self {
        let mut op = Op::new(format!("oci-layout+blob://{reference}"), "source.imageblob");
        op.set("oci.store", store);
        op.set("oci.session", session);
        Self(op)
    }

    /// The name of the file in the vertex's root.
    #[must_use]
    pub fn filename(mut self, name: &str) -> Self {
        self.0.set("http.filename", name);
        self
    }

    /// The mode bits of the file.
    #[must_use]
    pub fn perm(mut self, mode: u32) -> Self {
        self.0.set("http.perm", format!("0{mode:o}"));
        self
    }

    /// The vertex.
    pub fn state(self) -> State {
        self.0.state(None)
    }
}

/// Files of the client: `local://`.
#[derive(Debug, Clone)]
pub struct Local(Op);

impl Local {
    /// The directory that the client shares as `name` (`context`, `dockerfile`).
    pub fn new(name: &str) -> Self {
        Self(Op::new(format!("local://{name}"), "source.local"))
    }

    /// The session that shares it.
    #[must_use]
    pub fn session(mut self, id: &str) -> Self {
        self.0.set("local.session", id);
        self.0.needs("source.local.sessionid");
        self
    }

    /// Makes the vertex differ from others of the same name.
    #[must_use]
    pub fn unique(mut self, id: &str) -> Self {
        self.0.set("local.unique", id);
        self.0.needs("source.local.unique");
        self
    }

    /// Only these paths, and what they link to.
    #[must_use]
    pub fn follow_paths<S: AsRef<str>>(mut self, paths: &[S]) -> Self {
        self.0.set("local.followpaths", json_list(paths));
        self.0.needs("source.local.followpaths");
        self
    }

    /// Only what matches one of these patterns.
    #[must_use]
    pub fn include_patterns<S: AsRef<str>>(mut self, patterns: &[S]) -> Self {
        if !patterns.is_empty() {
            self.0.set("local.includepattern", json_list(patterns));
            self.0.needs("source.local.includepatterns");
        }
        self
    }

    /// All but what matches these patterns.
    #[must_use]
    pub fn exclude_patterns<S: AsRef<str>>(mut self, patterns: &[S]) -> Self {
        if !patterns.is_empty() {
            self.0.set("local.excludepatterns", json_list(patterns));
            self.0.needs("source.local.excludepatterns");
        }
        self
    }

    /// What earlier transfers it may be compared with.
    #[must_use]
    pub fn shared_key_hint(mut self, hint: &str) -> Self {
        self.0.set("local.sharedkeyhint", hint);
        self.0.needs("source.local.sharedkeyhint");
        self
    }

    /// Transfers the files without comparing them with earlier ones: right for a few small files.
    #[must_use]
    pub fn differ_none(mut self) -> Self {
        self.0.set("local.differ", "none");
        self.0.needs("source.local.differ");
        self
    }

    /// The vertex.
    pub fn state(self) -> State {
        self.0.state(None)
    }
}

/// A git repository: `git://`.
#[derive(Debug, Clone)]
pub struct Git(Op);

impl Git {
    /// The tree that `remote` (`github.com/org/name.git`, without its scheme, and `#ref[:subdir]` after it) names;
    /// `full_url` is the remote as the user wrote it.
    pub fn new(remote: &str, full_url: &str) -> Self {
        let mut op = Op::new(format!("git://{remote}"), "source.git");
        if !full_url.is_empty() {
            op.set("git.fullurl", full_url);
            op.needs("source.git.fullurl");
        }
        Self(op)
    }

    /// Sets one of the `git.…` attributes of BuildKit, with the capability that it needs.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: &str, capability: &'static str) -> Self {
        self.0.set(key, value);
        self.0.needs(capability);
        self
    }

    /// The vertex.
    pub fn state(self) -> State {
        self.0.state(None)
    }
}

/// A JSON list of strings, as Go writes it.
fn json_list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&items).expect("a list of strings has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_attribute_is_never_written() {
        let plain = Http::new("https://example.com/x").state();
        let empty = Http::new("https://example.com/x").filename("").state();
        assert_eq!(plain.digest(), empty.digest());
    }

    #[test]
    fn an_unknown_attribute_makes_another_vertex() {
        let first = Http::new("https://example.com/x").state();
        let retry = Http::new("https://example.com/x").attribute("x.retry", "1").state();
        assert_ne!(first.digest(), retry.digest());
    }
}
