//! The definition: what the user may write, and everything that follows from it and its lists. Parsed once, valid ever
//! after; knows nothing of BuildKit.
//!
//! [`Definition::parse`] reads `kso.yaml`, [`Definition::lists`] names the lists to read, and [`Definition::expand`]
//! makes the [`Spec`] of them. Each goes on past a problem, so that one run tells all of them.

mod arch;
mod args;
mod decode;
mod definition;
mod digest;
mod expand;
mod file_url;
mod folder;
mod host;
mod image_prefix;
mod image_ref;
mod images;
mod invalid;
mod kubespray;
mod layer_limit;
mod list;
mod mirror;
mod place;
mod platform;
mod reference;
mod registry;
mod rename;
mod schema;
mod served;
mod stored_path;
mod template;
mod wanted;
mod yaml;

use std::collections::BTreeSet;

use crate::diagnostic::Span;

pub use arch::Arch;
pub use args::{Arg, Args};
pub use definition::{Checksum, Definition, FilesEntry, ListEntry, UrlEntry};
pub use digest::{Digest, Hasher};
pub use expand::ListText;
pub use file_url::{FileUrl, UrlPrefix};
pub use folder::{ContextPath, ServerPath, ServerRoot};
pub use host::{HeaderValue, Host, SecretId};
pub use image_prefix::ImagePrefix;
pub use image_ref::ImageRef;
pub use images::{ImageEntry, ImageListEntry, ImagesEntry, RenameEntry};
pub use invalid::Invalid;
pub use kubespray::{Checkout, Kubespray, Rendered, RenderedFile, RenderedImage, Taken};
pub use layer_limit::LayerLimit;
pub use mirror::{FileMirror, ImageMirror, Mirror, Mirrors};
pub use platform::{InvalidPlatform, Platform};
pub use reference::reference;
pub use registry::{Held, Prefix, Registry};
pub use schema::json_schema;
pub(crate) use schema::json_schema_of;
pub use served::{Repository, ServedName};
pub use stored_path::StoredPath;
pub use template::Template;
pub use wanted::Image;

/// The largest definition that is read, in bytes.
pub const MAX_DEFINITION_BYTES: usize = 8 << 20;
/// The largest list that is read, in bytes.
pub const MAX_LIST_BYTES: usize = MAX_DEFINITION_BYTES;

/// Everything a definition and its lists ask for.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The architectures that content is wanted for: at least one, sorted, each once.
    pub architectures: Vec<Arch>,
    /// The files, sorted by their stored path, one for each path.
    pub files: Vec<File>,
    /// Other places to ask.
    pub mirrors: Mirrors,
    /// What is sent to the servers of files.
    pub hosts: Vec<Host>,
    /// What serves the files.
    pub file_server: FileServer,
    /// The container images, sorted by the name that they are served under.
    pub images: Vec<Image>,
    /// What serves the container images.
    pub registry: Registry,
    /// The arguments of the definition.
    pub args: Args,
    /// What is taken of Kubespray, where the definition names it.
    pub kubespray: Option<Taken>,
}

/// A file to download and where to store it.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it comes from, before mirrors.
    pub url: FileUrl,
    /// What its bytes must hash to, where the user said so, or a lock.
    pub sha256: Option<Digest>,
    /// Who said so, unless it was a lock.
    pub pinned_by: PinnedBy,
    /// Where the checksum stands, if it is that of a lock.
    pub locked_at: Option<Span>,
    /// Its size in bytes, where a lock says it.
    pub bytes: Option<u64>,
    /// Where it is stored, relative to `<root>/<path>/` of the file server.
    pub path: StoredPath,
    /// The architectures that it was asked for.
    pub architectures: BTreeSet<Arch>,
    /// Every line that asked for it, in the order of the definition; never empty.
    pub spans: Vec<Span>,
}

/// Where the checksum of a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum PinnedBy {
    /// The definition or one of its lists.
    #[default]
    Definition,
    /// Kubespray's own table of checksums.
    Kubespray,
}

/// What serves the files.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FileServer {
    /// The base image: nginx, or one that reads `/etc/nginx/conf.d/*.conf`.
    #[schemars(default = "schema::optional", with = "schema::Text<ImageRef>", extend("default" = "nginx:1.27-alpine", "examples" = ["nginx:1.27-alpine"]))]
    pub image: ImageRef,
    /// Where the base image is named, unless it is the default.
    #[schemars(skip)]
    pub image_span: Option<Span>,
    /// The directory in the image that is served: an absolute path.
    #[schemars(default = "schema::optional", with = "schema::Text<ServerRoot>", extend("default" = "/opt/k8s"))]
    pub root: ServerRoot,
    /// The prefix of every URL path, and the directory below `root` that contains the files.
    #[schemars(default = "schema::optional", with = "schema::Text<ServerPath>", extend("default" = "k8s"))]
    pub path: ServerPath,
    /// The maximum number of layers of the image, including those of its base. Beyond it, the smallest files share
    /// layers. Docker supports up to 125 layers per image.
    #[schemars(default = "schema::optional", with = "u16", range(min = LayerLimit::LEAST, max = LayerLimit::MOST), extend("default" = LayerLimit::FILES.get()))]
    pub layers: LayerLimit,
}

impl Default for FileServer {
    fn default() -> Self {
        Self {
            image: ImageRef::nginx(),
            image_span: None,
            root: ServerRoot::default(),
            path: ServerPath::default(),
            layers: LayerLimit::FILES,
        }
    }
}

impl Spec {
    /// The URLs to try for a file, in order: those of the mirror with the longest prefix that fits, or else the file's
    /// own.
    pub fn candidates(&self, file: &File) -> Vec<FileUrl> {
        self.mirrors.files(&file.url)
    }

    /// What is sent to a URL that is asked: the entry with the longest prefix that fits.
    pub fn host(&self, url: &FileUrl) -> Option<&Host> {
        let fitting = self.hosts.iter().filter(|host| host.holds(url));
        fitting.max_by_key(|host| host.at.value.as_str().len())
    }
}

/// The candidate that was probably meant: one with few letters changed, or one that begins the same.
fn suggest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer words than any key or name; their distances would take time that grows with the square of the length.
    const LONGEST: usize = 40;
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let text = text.to_lowercase();
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let begins = text.len() >= 3 && (candidate.starts_with(&text) || text.starts_with(&candidate));
        if begins { 1 } else { strsim::damerau_levenshtein(&text, &candidate) }
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
