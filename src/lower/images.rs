//! From the plan of a registry image to the graph. Owns how a layer of blobs is built and proved; does not know how
//! blobs are fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use buildkit::llb::{
    ContentCache, Exec, File, ImageBlob, Mkfile, Mount, Network, Output, Platform, ProgressGroup, Proxy, Secret, State,
};

use super::{FETCHED, FILE_MODE, Input, Inputs, Lowering};
use crate::arrange::{Order, OrderedContent, OrderedFile};
use crate::artifact::Artifacts;
use crate::diagnostic::size;
use crate::manifests::Arguments;
use crate::name::{Arch, Digest, ImageRef};
use crate::plan::{Content, Plan};

/// What runs kso in a vertex: the frontend's own image, on the builder's own platform.
#[derive(Debug, Clone)]
pub struct Runner {
    /// The root filesystem.
    pub root: State,
    /// What it runs on.
    pub platform: Platform,
    /// The path of the program there.
    pub program: String,
}

/// The vertex of a blob of the repository `name`, after `earlier` attempts. With `fresh` nothing that is cached will do: it
/// may be wrong bytes under the good digest.
///
/// BuildKit knows a blob by its digest and the name of its file, whichever registry is asked, and hands on the error of a
/// failed vertex to those of the same key within one build. One that ignores the cache is another, once: so the second
/// attempt finds the same place in the cache as the first, and a later build needs no third. Those after it have other names.
pub fn blob(name: &str, digest: &Digest, earlier: u32, fresh: bool) -> State {
    let blob = ImageBlob::new(&format!("{name}@{digest}")).filename(&blob_file(earlier)).perm(FILE_MODE);
    blob.state().ignore_cache(fresh || earlier == 1)
}

/// [`blob`] of an OCI layout of the client: what that calls it, and its session.
pub fn layout_blob(name: &str, digest: &Digest, (store, session): (&str, &str), earlier: u32, fresh: bool) -> State {
    let blob = ImageBlob::oci_layout(&format!("{name}@{digest}"), store, session);
    blob.filename(&blob_file(earlier)).perm(FILE_MODE).state().ignore_cache(fresh || earlier == 1)
}

/// What the progress shows of the blobs of an image: the one of that index among `count`, whose blobs have these bytes.
pub fn group(image: &ImageRef, (at, count): (usize, usize), bytes: u64) -> ProgressGroup {
    let name = format!("[images {}/{count}] {image}, {}", at + 1, size(bytes));
    ProgressGroup { id: format!("kso-image-{at}"), name, weak: false }
}

/// A vertex that is not shown, and neither is its error: one that takes no time, or that may fail because there is another
/// way. BuildKit's client shows a weak group only with others (`util/progress/progressui/display.go`, v0.32).
#[must_use]
pub fn quiet(state: State) -> State {
    let group = ProgressGroup { id: format!("kso-quiet-{}", state.digest()), name: String::new(), weak: true };
    state.grouped(group)
}

/// The name of the file in the vertex of a blob.
pub fn blob_file(earlier: u32) -> String {
    if earlier < 2 { FETCHED.to_owned() } else { format!("{FETCHED}-{earlier}") }
}

/// The secret with Docker's config.json, for registries that want a login.
pub const LOGIN_SECRET: &str = "docker-config";
/// The secret with certificates of authorities to trust, PEM.
pub const CA_SECRET: &str = "ca";

/// Where the secrets are mounted.
const SECRETS: &str = "/run/secrets";

/// Where the order is mounted.
const ORDER: &str = "/kso-order";
/// Where blobs are mounted, each in a directory named by its digest.
const BLOBS: &str = "/kso-blobs";
/// Where the layer is written.
const OUT: &str = "/kso-out";

impl Lowering {
    /// The layer of a plan with that index, whose artifacts `runner` copies, if each has its digest: what it writes is the
    /// layer.
    ///
    /// `None` if the plan names an artifact that is not among `inputs` or has no pin, which it never does.
    pub fn proved_layer(
        &self,
        plan: &Plan,
        at: usize,
        (artifacts, inputs): (&Artifacts, &Inputs),
        runner: &Runner,
    ) -> Option<State> {
        let layer = plan.layers.get(at)?;
        let name = format!("[layers {}/{}] verify and arrange {}", at + 1, plan.layers.len(), layer.name);
        let mut mounts = BTreeMap::new();
        let mut files = Vec::new();
        for entry in &layer.entries {
            let content = match &entry.content {
                Content::Text(text) => OrderedContent::Text(text.clone()),
                Content::Artifact(id) => match inputs.get(id)? {
                    Input::Text(text) => OrderedContent::Text(text.clone()),
                    Input::File { state, name } => {
                        let artifact = &artifacts[*id];
                        let hex = artifact.pin.as_ref()?.hex();
                        let folder = format!("{BLOBS}/{hex}");
                        let from = PathBuf::from(&folder).join(name);
                        mounts.insert(folder, state.clone());
                        OrderedContent::Blob { from, sha256: hex.to_owned(), image: artifact.name().to_owned() }
                    }
                },
            };
            files.push(OrderedFile { path: entry.path.trim_start_matches('/').to_owned(), content });
        }
        let order = Order { epoch: self.epoch, files };
        let order = serde_json::to_vec(&order).expect("an order has a JSON form");
        let order = File::scratch().mkfile(Mkfile::new(&format!("/{FETCHED}"), 0o644, order).timestamp(0)).state();
        let order = quiet(order.named(format!("[internal] list {}", layer.name)));
        let arguments = [runner.program.as_str(), "arrange", &format!("{ORDER}/{FETCHED}"), OUT];
        let exec = Exec::new(&runner.root, &runner.platform, arguments).network(Network::None);
        // The definition of a blob is its digest: there is no need to read it to know whether the layer is there already.
        let given = |folder: &str, state: &State| Mount::readonly(folder, state).content_cache(ContentCache::Off);
        let exec = exec.mount(given(ORDER, &order));
        let exec = mounts.iter().fold(exec, |exec, (folder, blob)| exec.mount(given(folder, blob)));
        let state = exec.output(Output::scratch(OUT));
        Some(state.named(name).ignore_cache(self.ignore_cache))
    }

    /// The layer of a plan with that index, which BuildKit copies. Its artifacts must have been proved before.
    ///
    /// `None` if the plan names an artifact that is not among `inputs`, which it never does.
    pub fn copied_layer(&self, plan: &Plan, at: usize, inputs: &Inputs) -> Option<State> {
        let layer = plan.layers.get(at)?;
        let name = format!("[layers {}/{}] {}", at + 1, plan.layers.len(), layer.name);
        Some(self.copied(layer, inputs)?.named(name).ignore_cache(self.ignore_cache))
    }
}

/// What a registry is asked for in a vertex.
#[derive(Debug)]
pub struct Question<'a> {
    /// The image: with its digest, or with a tag that is to be resolved.
    pub image: &'a str,
    /// The architectures that it is wanted for.
    pub architectures: &'a BTreeSet<Arch>,
    /// Whether attestations are wanted too.
    pub attestations: bool,
}

/// The vertex in which kso, with network and the secrets of the client, asks a registry for the manifests of an image and
/// writes them ([`crate::manifests`]). What the proxies and the secrets are does not count for the cache: the result is
/// proved by whoever reads it.
pub fn manifests(question: &Question<'_>, runner: &Runner, proxy: &Proxy) -> State {
    let [login, ca] = [LOGIN_SECRET, CA_SECRET].map(|id| format!("{SECRETS}/{id}"));
    let order = Arguments {
        image: question.image.to_owned(),
        out: OUT.into(),
        architectures: question.architectures.iter().copied().collect(),
        attestations: question.attestations,
        docker_config: Some(login.as_str().into()),
        ca: Some(ca.as_str().into()),
    };
    let arguments = [runner.program.clone(), "manifests".into()].into_iter().chain(order.words());
    let exec = Exec::readonly(&runner.root, &runner.platform, arguments);
    let exec =
        exec.secret(Secret::file(LOGIN_SECRET, &login).optional()).secret(Secret::file(CA_SECRET, &ca).optional());
    let state = exec.proxy(proxy.clone()).output(Output::scratch(OUT));
    state.named(format!("[images] manifests of {} (kso, with network)", question.image))
}
