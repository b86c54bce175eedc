//! `fileServer:`, the image that serves the files. Owns its keys; does not know what is served.

use schemars::JsonSchema;

use crate::decode::yaml::{Node, place};
use crate::decode::{Decoder, LayerLimit, Text, schema};
use crate::diagnostic::Span;
use crate::name::{ImageRef, ServerPath, ServerRoot};

pub(crate) const FILE_SERVER_KEYS: [&str; 4] = ["image", "root", "path", "layers"];

/// What serves the files.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FileServer {
    /// The base image: nginx, or one that reads `/etc/nginx/conf.d/*.conf`.
    #[schemars(default = "schema::optional", with = "Text<ImageRef>", extend("default" = "nginx:1.27-alpine", "examples" = ["nginx:1.27-alpine"]))]
    pub image: ImageRef,
    /// Where the base image is named, unless it is the default.
    #[schemars(skip)]
    pub image_span: Option<Span>,
    /// The directory in the image that is served: an absolute path.
    #[schemars(default = "schema::optional", with = "Text<ServerRoot>", extend("default" = "/opt/k8s"))]
    pub root: ServerRoot,
    /// The prefix of every URL path, and the directory below `root` that contains the files.
    #[schemars(default = "schema::optional", with = "Text<ServerPath>", extend("default" = "k8s"))]
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

impl Decoder<'_> {
    pub(crate) fn file_server(&mut self, node: &Node) -> FileServer {
        let mut server = FileServer::default();
        let Some(fields) = self.fields(node, "`fileServer`", &FILE_SERVER_KEYS) else { return server };
        let mut place = self.span(place(node));
        if let Some(image) = fields.get("image").and_then(|node| self.name::<ImageRef>(node, "`image`")) {
            server.image = image.value;
            server.image_span = Some(image.span);
        }
        if let Some(root) = fields.get("root").and_then(|node| self.name(node, "`root`")) {
            server.root = root.value;
            place = root.span;
        }
        if let Some(path) = fields.get("path").and_then(|node| self.name(node, "`path`")) {
            server.path = path.value;
            place = path.span;
        }
        if let Some(layers) = fields.get("layers").and_then(|node| self.layer_limit(node)) {
            server.layers = layers;
        }
        if let Err(why) = server.root.holds(&server.path) {
            self.error(why.at("", &place));
        }
        server
    }
}
