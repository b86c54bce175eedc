//! BuildKit's gateway as the world of a build: resolves base images and hands over graphs. Owns the reading of BuildKit's
//! error messages; does not decide what is asked, nor whether to ask again.

use std::cell::RefCell;
use std::collections::BTreeMap;

use buildkit::gateway::{
    BuildContext, CacheImport, Client, Error, Reference, ResolveMode, ResolvedImage, SolveRequest,
};
use buildkit::llb::State;

use super::Build;
use super::carried::Carried;
use super::lock::Locked;
use crate::base::{BaseImage, Resolver};
use crate::definition::Spec;
use crate::fetch::Failure;
use crate::lock::LockedBase;
use crate::lower::Lowering;
use crate::name::{ImageRef, Platform};
use crate::{base as resolve, secrets};

/// One build's way to the world.
pub(super) struct Bridge<'a> {
    client: &'a Client,
    context: &'a BuildContext,
    spec: &'a Spec,
    lock: Option<&'a Locked>,
    lowering: &'a Lowering,
    mode: ResolveMode,
    /// Where results may come from that this daemon has not (`--cache-from`): BuildKit looks only where it is told to.
    imports: Vec<CacheImport>,
    /// By platform: the images that the user put in the place of the base image (`--build-context`).
    replaced: RefCell<BTreeMap<Platform, State>>,
    /// What lies above the layers of a plan.
    carried: Carried,
}

impl<'a> Bridge<'a> {
    /// The world of a build. The error is a resolve mode or a cache import that cannot be understood.
    pub(super) fn new(build: &Build<'a>, lowering: &'a Lowering) -> Result<Self, Error> {
        let Build { client, options, context, spec, lock } = *build;
        let (mode, imports) = (options.resolve_mode()?, options.cache_imports()?);
        Ok(Self {
            client,
            context,
            spec,
            lock,
            lowering,
            mode,
            imports,
            replaced: RefCell::default(),
            carried: Carried::default(),
        })
    }

    /// The same world, with more layers for the images.
    pub(super) fn carrying(self, carried: Carried) -> Self {
        Self { carried, ..self }
    }

    /// Whether the user put an image of theirs in the place of a base image.
    pub(super) fn is_replaced(&self) -> bool {
        !self.replaced.borrow().is_empty()
    }

    /// Whether results may come from elsewhere than this daemon (`--cache-from`).
    pub(super) fn is_importing(&self) -> bool {
        !self.imports.is_empty()
    }

    /// Seconds since 1970 that everything is dated with.
    pub(super) fn epoch(&self) -> u64 {
        self.lowering.epoch
    }

    /// The bytes of the request that hands over the graph of one platform's image.
    pub(super) fn size_of(&self, base: &BaseImage, layers: &[State]) -> usize {
        self.request(&self.graph(base, layers)).size()
    }

    /// Hands over the graph of one platform's image.
    pub(super) async fn image_of(&self, base: &BaseImage, layers: &[State]) -> Result<Reference, Error> {
        let result = self.client.solve(self.request(&self.graph(base, layers))).await?;
        result.reference.ok_or_else(|| Error::new("BuildKit returned no result"))
    }

    fn graph(&self, base: &BaseImage, layers: &[State]) -> State {
        let replaced = self.replaced.borrow().get(&base.platform).cloned();
        let all: Vec<State> = layers.iter().cloned().chain(self.carried.layers(&base.platform)).collect();
        let base = replaced.unwrap_or_else(|| self.lowering.base(base));
        self.lowering.image(&base, &all)
    }

    pub(super) fn request(&self, state: &State) -> SolveRequest {
        SolveRequest::new(&state.marshal()).cache_imports(self.imports.iter().cloned())
    }

    /// What the user put in the place of an image, if anything; the error is a sentence.
    async fn replaced(&self, image: &ImageRef, platform: &Platform) -> Result<Option<BaseImage>, String> {
        let named = self.context.named(image.as_str(), &platform.into()).await;
        let Some(context) = named.map_err(|error| error.message().to_owned())? else { return Ok(None) };
        let (Some(state), Some(resolved)) = (context.state, context.image) else {
            return Err("the build context that replaces it is not an image".into());
        };
        self.replaced.borrow_mut().insert(platform.clone(), state);
        Ok(Some(base_image(image, platform, resolved)))
    }

    /// Whether an image is asked for at other places than its own registry.
    fn is_mirrored(&self, image: &ImageRef) -> bool {
        self.spec.mirrors.of_image(image).is_some()
    }
}

impl Resolver for Bridge<'_> {
    async fn image(&self, reference: &ImageRef, platform: &Platform) -> Result<BaseImage, String> {
        if let Some(base) = self.replaced(reference, platform).await? {
            return Ok(base);
        }
        let locked = self.lock.and_then(|lock| lock.lock().base(reference));
        let base = locked.and_then(|locked| locked.base(platform));
        if let Some(base) = base.as_ref().filter(|_| !self.is_mirrored(reference)) {
            return Ok(base.clone());
        }
        // A platform that was not locked is a part of the same index.
        let pinned = locked.map(LockedBase::pinned);
        let reference = pinned.as_ref().unwrap_or(reference);
        let ask = async |place: ImageRef| {
            let name = format!("[internal] load metadata for {place} ({platform})");
            let image =
                self.client.resolve_image_config(place.as_str(), Some(&platform.into()), self.mode, &name).await?;
            Ok::<_, Error>(base_image(&place, platform, image))
        };
        match (resolve::first_of(&self.spec.mirrors, reference, ask).await, base) {
            // With a lock the answer tells only which mirror has it.
            (Ok(image), Some(base)) => Ok(BaseImage { reference: image.reference, ..base }),
            (Ok(image), None) => Ok(image),
            // It may be that nothing of it needs to be fetched.
            (Err(_), Some(base)) => Ok(base),
            (Err(why), None) => Err(why),
        }
    }
}

/// What BuildKit resolved `asked` to. It may name another image than was asked for, where a policy of the daemon says so.
pub(super) fn base_image(asked: &ImageRef, platform: &Platform, image: ResolvedImage) -> BaseImage {
    let reference = image.pinned().parse().unwrap_or_else(|_| asked.clone());
    BaseImage { platform: platform.clone(), reference, config: image.config }
}

/// What asking again cannot help against.
const FINAL: [&str; 6] = [
    "denied by policy",
    "not allowed by policy",
    "x509:",
    "unsupported protocol scheme",
    "no such host",
    "context canceled",
];

/// What a daemon says that cannot store what it was sent.
pub(super) const FULL: &str = "no space left on device";

/// What is told then.
pub(super) fn full() -> Failure {
    Failure::Other(format!("the disk of the builder is full ({FULL}); `docker buildx prune` makes room"))
}

/// What a message of BuildKit's http source (`source/http/source.go`, v0.32) says. There is nothing but the message.
pub(super) fn classify(error: &Error) -> Failure {
    let message = error.message();
    if error.is_own() || error.is_disconnected() {
        return Failure::Other(message.to_owned());
    }
    if let Some((_, rest)) = message.split_once("invalid response status ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(status) = digits.parse() {
            return Failure::Status(status);
        }
    }
    if message.contains("digest mismatch") {
        let mut digests = digests(message);
        let got = digests.next().unwrap_or_default();
        let expected = digests.next_back().unwrap_or_default();
        return Failure::Mismatch { got, expected };
    }
    if let Some((_, rest)) = message.split_once("failed to retrieve HTTP auth secret ") {
        let id = rest.split_once(": ").map_or(rest, |(id, _)| id);
        return Failure::Secret(id.to_owned());
    }
    // Go's client says so before it sends anything, and does not say the value.
    if message.contains("invalid header field value for \"Authorization\"") {
        return Failure::Other(secrets::unfit(None));
    }
    if message.contains(FULL) {
        return full();
    }
    // What Go's client says after ten of them.
    if message.contains("stopped after 10 redirects") {
        return Failure::Other("the server redirects in a loop".into());
    }
    let message = last_cause(message);
    if FINAL.iter().any(|known| message.contains(known)) { Failure::Other(message) } else { unanswered(message) }
}

/// What Go's client says where no connection can be made.
const UNREACHABLE: [&str; 2] = ["dial tcp", "connection refused"];

/// A failure of a connection, from the message of Go's client.
pub(super) fn unanswered(message: String) -> Failure {
    let is_unreachable = UNREACHABLE.iter().any(|known| message.contains(known));
    if is_unreachable { Failure::Unreachable(message) } else { Failure::Connection(message) }
}

/// Every `sha256:…` of a message.
fn digests(message: &str) -> impl DoubleEndedIterator<Item = String> {
    message
        .match_indices("sha256:")
        .map(|(at, _)| {
            let hex = message[at + 7..].chars().take_while(char::is_ascii_hexdigit).count();
            message[at..at + 7 + hex].to_owned()
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// A message without the names that BuildKit and Go put before it.
fn last_cause(message: &str) -> String {
    let message = message.strip_prefix("failed to load cache key: ").unwrap_or(message);
    let message = message.strip_prefix("failed to compute cache key: ").unwrap_or(message);
    let message = message.strip_prefix("failed to solve: ").unwrap_or(message);
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildkit::gateway::Code;

    /// An error that came from BuildKit.
    fn told(code: Code, message: &str) -> Error {
        Error::received(code, message, Vec::new())
    }

    #[test]
    fn messages_of_the_http_source() {
        let (a, b) = (format!("sha256:{}", "a".repeat(64)), format!("sha256:{}", "b".repeat(64)));
        let mismatch = Failure::Mismatch { got: a.clone(), expected: b.clone() };
        for (message, expected) in [
            ("failed to load cache key: invalid response status 404".to_owned(), Failure::Status(404)),
            (format!("digest mismatch {a}: {b}"), mismatch.clone()),
            (format!("digest mismatch for https://x/y: {a} (expected: {b})"), mismatch),
            (
                "failed to load cache key: failed to retrieve HTTP auth secret files.token-1: secret files.token-1: not found"
                    .into(),
                Failure::Secret("files.token-1".into()),
            ),
            (
                "failed to load cache key: Get \"https://x/y\": net/http: invalid header field value for \"Authorization\""
                    .into(),
                Failure::Other(secrets::unfit(None)),
            ),
            ("write /var/lib/x: no space left on device".into(), full()),
            (
                "failed to load cache key: Get \"/x\": stopped after 10 redirects".into(),
                Failure::Other("the server redirects in a loop".into()),
            ),
            ("unexpected EOF".into(), Failure::Connection("unexpected EOF".into())),
            (
                "failed to load cache key: Get \"https://x/\": dial tcp 192.0.2.1:443: i/o timeout".into(),
                Failure::Unreachable("Get \"https://x/\": dial tcp 192.0.2.1:443: i/o timeout".into()),
            ),
            (
                "failed to load cache key: Get \"https://x/\": tls: x509: expired".into(),
                Failure::Other("Get \"https://x/\": tls: x509: expired".into()),
            ),
        ] {
            assert_eq!(classify(&told(Code::Unknown, &message)), expected, "{message}");
        }
    }

    #[test]
    fn what_the_server_of_a_file_did_not_cause_is_not_tried_again() {
        let own = Error::new("the definition has 17 MiB");
        let gone = told(Code::Unavailable, "the connection is closed");
        for error in [own, gone] {
            assert_eq!(classify(&error), Failure::Other(error.message().to_owned()));
        }
    }
}
