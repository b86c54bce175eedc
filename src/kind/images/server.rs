//! `registry:` as the user writes it, and how it is read. Owns its keys and defaults; does not know the images.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use crate::decode::written::{Written, concat, repository};
use crate::decode::yaml::{Node, Value};
use crate::decode::{Decoder, LayerLimit, Text, schema};
use crate::diagnostic::{Span, quoted};
use crate::name::{ImageRef, Invalid, Repository, suggest};

pub(crate) const REGISTRY_KEYS: [&str; 5] = ["image", "prefix", "architectures", "attestations", "layers"];

/// What serves the container images.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Registry {
    /// The base image: registry, or one with the same storage below `/var/lib/registry`.
    #[schemars(default = "schema::optional", with = "Text<ImageRef>", extend("default" = "registry:3", "examples" = ["registry:3"]))]
    pub image: ImageRef,
    /// Where the base image is named, unless it is the default.
    #[schemars(skip)]
    pub image_span: Option<Span>,
    /// The prefix of the repository of every image without a name of its own. May be empty.
    #[schemars(default = "schema::optional", with = "Text<Prefix>", extend("default" = "k8s"))]
    pub prefix: Prefix,
    /// What the image of a platform contains: the container images of its own architecture, or of all architectures.
    #[schemars(default = "schema::optional", extend("default" = "match"))]
    pub architectures: Held,
    /// Whether the attestations of the images (provenance, SBOM) are served too. Indexes list them in any case.
    #[schemars(default = "schema::optional", with = "bool", extend("default" = false))]
    pub attestations: bool,
    /// The maximum number of layers of the image, including those of its base. More images than about half of it
    /// share layers, and are transferred together when one is upgraded. Docker supports up to 125 layers per image.
    #[schemars(default = "schema::optional", with = "u16", range(min = LayerLimit::LEAST, max = LayerLimit::MOST), extend("default" = LayerLimit::IMAGES.get()))]
    pub layers: LayerLimit,
}

/// Which container images the image of a platform holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Held {
    /// Those of its own architecture.
    Match,
    /// Those of all architectures.
    All,
}

/// What the repositories of a registry begin with: repository components, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Default for Registry {
    fn default() -> Self {
        Self {
            image: ImageRef::registry(),
            image_span: None,
            prefix: Prefix("k8s".into()),
            architectures: Held::Match,
            attestations: false,
            layers: LayerLimit::IMAGES,
        }
    }
}

impl Prefix {
    /// The components, without slashes at the ends; may be empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !text.is_empty() {
            Repository::from_str(text)?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Held {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "match" => Ok(Self::Match),
            "all" => Ok(Self::All),
            _ => {
                let help = match suggest(text, ["match", "all"]) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "write `match` (the platform's own) or `all`".to_owned(),
                };
                Err(Invalid::new(format!("unknown value {}", quoted(text))).help(help))
            }
        }
    }
}

impl Decoder<'_> {
    pub(crate) fn registry(&mut self, node: &Node) -> Registry {
        let mut registry = Registry::default();
        let Some(fields) = self.fields(node, "`registry`", &REGISTRY_KEYS) else { return registry };
        if let Some(image) = fields.get("image").and_then(|node| self.name::<ImageRef>(node, "`image`")) {
            registry.image = image.value;
            registry.image_span = Some(image.span);
        }
        if let Some(prefix) = fields.get("prefix").and_then(|node| self.name(node, "`prefix`")) {
            registry.prefix = prefix.value;
        }
        if let Some(held) = fields.get("architectures").and_then(|node| self.name(node, "`architectures`")) {
            registry.architectures = held.value;
        }
        if let Some(node) = fields.get("attestations") {
            match node.value() {
                Value::Bool(value) => registry.attestations = *value,
                _ => self.wrong_type(node, "`attestations`", "a boolean"),
            }
        }
        if let Some(layers) = fields.get("layers").and_then(|node| self.layer_limit(node)) {
            registry.layers = layers;
        }
        registry
    }
}

impl Written for Prefix {
    const NAME: &'static str = "Prefix";
    const HELP: &'static str =
        "write a repository prefix without leading or trailing slashes, such as `k8s`, or nothing";

    fn pattern() -> String {
        concat(&["(?:(?![^:]{256})", &repository(false), ")?"])
    }
}
