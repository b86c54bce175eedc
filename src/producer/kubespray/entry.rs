//! `kubespray:` as the user writes it, and what was rendered of it. Owns its keys; does not know how a release is read.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use buildkit::gateway::GitRef;
use schemars::JsonSchema;

use crate::decode::written::{Written, concat, segments};
use crate::decode::yaml::{Node, Value};
use crate::decode::{Decoder, Text, schema};
use crate::diagnostic::{Spanned, quoted};
use crate::kind::files::RenderedFile;
use crate::kind::images::RenderedImage;
use crate::name::{ContextPath, Invalid, clean_relative};

pub(crate) const KUBESPRAY_KEYS: [&str; 4] = ["source", "inventory", "vars", "include"];

/// Files and images of a Kubespray release, as its own variables define them.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Kubespray {
    /// The checkout: a git URL with a tag, branch or commit, or a directory or tar archive in the build context.
    #[schemars(with = "Text<Checkout>", extend("examples" = ["https://github.com/kubernetes-sigs/kubespray.git#v2.25.1", "kubespray"]))]
    pub source: Spanned<Checkout>,
    /// The inventory in the build context: the directory that contains its `group_vars`, or the file of the hosts in it.
    #[schemars(default = "schema::optional", with = "Text<Inventory>", extend("examples" = ["inventory/mycluster"]))]
    pub inventory: Option<Spanned<ContextPath>>,
    /// Extra variables with the highest precedence.
    #[schemars(default = "schema::optional", with = "BTreeMap<String, serde_json::Value>", extend("default" = {}))]
    pub vars: Vars,
    /// `enabled` includes what a cluster with these variables downloads, `all` what any cluster could download.
    #[schemars(default = "schema::optional", extend("default" = "enabled"))]
    pub include: DownloadSet,
}

/// The variables of a definition. They are read with its text, by Ansible's rules for YAML, where they are rendered.
#[derive(Debug, Clone, Copy)]
pub struct Vars;

/// Which downloads of a release are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum DownloadSet {
    /// Those that are enabled.
    #[default]
    Enabled,
    /// Every one.
    All,
}

impl fmt::Display for DownloadSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::All => "all",
        })
    }
}

impl FromStr for DownloadSet {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "enabled" => Ok(Self::Enabled),
            "all" => Ok(Self::All),
            _ => Err(Invalid::new(format!("unknown value {}", quoted(text))).help("write `enabled` or `all`")),
        }
    }
}

/// Where a checkout of Kubespray is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checkout {
    /// A git repository, as BuildKit takes it: `https://host/repo.git#ref:folder`.
    Git(GitRef),
    /// A directory or an archive of the build context; empty for the context itself.
    Context(String),
}

impl fmt::Display for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(git) => git.fmt(f),
            Self::Context(path) if path.is_empty() => f.write_str("."),
            Self::Context(path) => f.write_str(path),
        }
    }
}

impl FromStr for Checkout {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if let Some(scheme) = scheme.filter(|scheme| !["http", "https", "git", "ssh"].contains(scheme)) {
            return Err(Invalid::new(format!("{} is not a scheme of a git URL", quoted(scheme)))
                .help("write `https://…/kubespray.git#v2.25.1`, or a directory in the build context"));
        }
        if scheme.is_some() || text.starts_with("git@") || text.starts_with("github.com/") {
            return match GitRef::parse(text) {
                Some(Ok(git)) => Ok(Self::Git(git)),
                Some(Err(error)) => Err(Invalid::new(format!("a git URL that BuildKit refuses: {}", error.message()))
                    .help("write `https://…/kubespray.git#v2.25.1`, or `…?ref=v2.25.1`")),
                None => Err(Invalid::new("this is not a git URL: its path does not end with `.git`")
                    .help("write `https://…/kubespray.git#v2.25.1`: `.git`, then `#` and a tag, branch or commit")),
            };
        }
        let path = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
        if path.is_empty() && !text.is_empty() && !text.starts_with('/') || path == "." {
            return Ok(Self::Context(String::new()));
        }
        clean_relative(path).map_err(|invalid| {
            Invalid { range: None, ..invalid }.help("write a directory in the build context, or a git repository")
        })?;
        Ok(Self::Context(path.to_owned()))
    }
}

/// What a release downloads.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The files, once for each architecture that needs them.
    pub files: Vec<RenderedFile>,
    /// The images, once for each architecture that needs them.
    pub images: Vec<RenderedImage>,
}

impl Decoder<'_> {
    pub(crate) fn kubespray(&mut self, node: &Node) -> Option<Kubespray> {
        const WHAT: &str = "`kubespray`";
        let fields = self.fields(node, WHAT, &KUBESPRAY_KEYS)?;
        let help = "write `source:` with a git URL such as `https://…/kubespray.git#v2.25.1`, or a directory in the build context";
        let source = self.required(&fields, WHAT, "source", help);
        let source = source.and_then(|node| self.name(node, "`source`"));
        let inventory = fields.get("inventory").and_then(|node| self.name::<Inventory>(node, "`inventory`"));
        let include = fields.get("include").and_then(|node| self.name(node, "`include`"));
        if let Some(node) = fields.get("vars")
            && !matches!(node.value(), Value::Mapping(_))
        {
            self.wrong_type(node, "`vars`", "a mapping");
        }
        let include = include.map_or_else(DownloadSet::default, |include| include.value);
        let inventory = inventory.map(|named| Spanned::new(named.value.0, named.span));
        Some(Kubespray { source: source?, inventory, vars: Vars, include })
    }
}

impl Written for Checkout {
    const NAME: &'static str = "Checkout";
    const HELP: &'static str = "write `https://…/kubespray.git#v2.25.1`: `.git`, then `#` and a tag, branch or commit; or a directory in the build context";

    fn pattern() -> String {
        let pair = r"(?:(?:keep-git-dir|submodules|fetch-by-commit)(?:=[^&#]*)?|(?:ref|tag|branch|subdir|checksum|commit|mtime)=[^&#]+)?";
        let rest = concat(&[r"(?:\?", pair, "(?:&", pair, r")*)?(?:#[\s\S]*)?"]);
        let web = concat(&[r"https?://[^/?#]*/[^?#]*\.git", &rest]);
        let git = concat(&["(?:git|ssh)://[^?#]*", &rest]);
        let short = concat(&[r"(?:git@[A-Za-z0-9.-]+:|github\.com/)[^?#]*", &rest]);
        let folder = concat(&[r"(?!/|$|git@|github\.com/)(?:\./)?(?:\.|", &segments("", false), ")?/*"]);
        concat(&[&web, "|", &git, r"|(?![\s\S]*://)(?:", &short, "|", &folder, ")"])
    }
}

/// The path of an inventory.
pub(crate) struct Inventory(ContextPath);

impl FromStr for Inventory {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|invalid| invalid.help(Self::HELP))
    }
}

impl Written for Inventory {
    const NAME: &'static str = "Inventory";
    const HELP: &'static str =
        "write the directory in the build context that contains `group_vars`, such as `inventory/mycluster`";

    fn pattern() -> String {
        ContextPath::pattern()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkouts_are_repositories_or_folders() {
        for text in [
            "https://h/k.git#v2.25.1",
            "https://h/k.git#v1:sub",
            "https://h/k.git?ref=v1&subdir=sub",
            "git://h/k",
            "ssh://git@h/k.git",
            "git@h:k.git",
            "github.com/o/k#v1",
        ] {
            let git = GitRef::parse(text).unwrap().unwrap();
            assert_eq!(text.parse(), Ok(Checkout::Git(git)), "{text}");
            assert_eq!(text.parse::<Checkout>().unwrap().to_string(), text);
        }
        for (text, path) in
            [(".", ""), ("./", ""), ("./a/b/", "a/b"), ("kubespray", "kubespray"), ("k.tar.gz", "k.tar.gz")]
        {
            assert_eq!(text.parse(), Ok(Checkout::Context(path.into())), "{text}");
        }
        for text in [
            "",
            "/",
            "/a",
            "../a",
            "https://h/k",
            "https://h/k#v1",
            "https://h/k?x=.git",
            "https://h/k.git?x=y",
            "git@h",
            "oci://h/k",
        ] {
            assert!(text.parse::<Checkout>().is_err(), "{text}");
        }
    }
}
