//! A release of Kubespray with an inventory and the user's own variables: all of them, by Ansible's precedence. Owns what
//! is read and what outranks what; does not know what the variables are for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::rules::IGNORED_OFFLINE_YML;
use crate::diagnostic::{Diagnostic, Source, Span, quoted};
use crate::name::{Digest, Hasher};
use crate::producer::Files;
use crate::producer::kubespray::checkout;
use crate::producer::kubespray::inventory::Inventory;
use crate::producer::kubespray::offline::is_offline;
use crate::producer::kubespray::play::{Layers, Roles};
use crate::producer::kubespray::variables::{Layer, Rank, Variables};
use crate::producer::kubespray::yaml::{self, Entry, Value};

/// The largest file of variables that is read, in bytes. Kubespray's largest has 134,000.
pub const MAX_FILE_BYTES: usize = 8 << 20;
/// What an encrypted file begins with.
const VAULT: &[u8] = b"$ANSIBLE_VAULT;";

/// A directory of files: a checkout of Kubespray, or an inventory.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// As the user knows it; what the names of its files begin with in messages. Empty for none.
    pub name: String,
    /// Its variable files. Others are not looked at.
    pub files: Files,
}

impl Folder {
    /// An inventory, without an `offline.yml` that kso wrote: the downloads that it leads to are those of the user's own
    /// servers. `span` is where the inventory is named; one without files is an error there.
    pub fn inventory(name: String, mut files: Files, span: Option<&Span>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        if files.is_empty() {
            diagnostics.push(checkout::no_inventory(&name).at(span.cloned()));
        }
        let ours: Vec<String> = files.extract_if(.., |_, bytes| is_offline(bytes)).map(|(path, _)| path).collect();
        let folder = Self { name, files };
        diagnostics.extend(ours.iter().map(|path| {
            let message = format!(
                "{} is ignored: kso wrote it, and it points to your own servers",
                quoted(&folder.path_of(path))
            );
            Diagnostic::lint(&IGNORED_OFFLINE_YML, message).at(span.cloned())
        }));
        folder
    }

    /// The path of a file in the directory, as shown to the user.
    pub(super) fn path_of(&self, path: &str) -> String {
        match self.name.trim_end_matches('/') {
            "" | "." => path.to_owned(),
            folder => format!("{folder}/{path}"),
        }
    }
}

/// Everything that is read of Kubespray: with the same input, the same lists.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The checkout.
    pub checkout: Folder,
    /// The inventory.
    pub inventory: Option<Folder>,
    /// Extra variables with the highest precedence.
    pub vars: Vars,
    /// Where the definition requests it: the place of problems without a file.
    pub span: Option<Span>,
}

/// Variables that outrank all others: `vars` of a definition, or `-e`.
#[derive(Debug, Clone, Default)]
pub struct Vars(Vec<Entry>);

impl Vars {
    /// The mapping `kubespray.vars` of a definition.
    pub fn of_definition(source: &Arc<Source>) -> Result<Self, Diagnostic> {
        let Some(root) = yaml::parse(source)? else { return Ok(Self::default()) };
        let Value::Map(root) = &root.value else { return Ok(Self::default()) };
        let Some(Value::Map(kubespray)) = root.text("kubespray").map(|node| &node.value) else {
            return Ok(Self::default());
        };
        match kubespray.text("vars").map(|node| &node.value) {
            Some(Value::Map(vars)) => Ok(Self(vars.entries().to_vec())),
            _ => Ok(Self::default()),
        }
    }

    /// Arguments as `ansible-playbook -e` takes them: `name=value`, or a mapping in YAML or JSON. A value is text, as
    /// there, except `true` and `false`.
    pub fn of_arguments(arguments: &[String]) -> Result<Self, Diagnostic> {
        let mut vars = Vec::new();
        for argument in arguments {
            if argument.trim_start().starts_with('{') {
                vars.extend(yaml::variables(&Source::new("-e", argument.as_str()))?);
                continue;
            }
            let Some((name, value)) = argument.split_once('=') else {
                return Err(Diagnostic::error(format!("{} is not a variable", quoted(argument)))
                    .help("write `-e name=value`, or a mapping: `-e '{name: value}'`"));
            };
            let value = match value {
                "true" | "True" => "true".to_owned(),
                "false" | "False" => "false".to_owned(),
                // What JSON writes, YAML reads.
                value => serde_json::Value::from(value).to_string(),
            };
            vars.extend(yaml::variables(&Source::new("-e", format!("{name}: {value}")))?);
        }
        Ok(Self(vars))
    }

    /// A file of variables, as `-e @file` takes it.
    pub fn of_file(source: &Arc<Source>) -> Result<Self, Diagnostic> {
        yaml::variables(source).map(Self)
    }

    /// Those of both; the other's win.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Input {
    /// The digest of each thing that is read, by the name that a user knows it by: every variable file, and every variable
    /// of the user's own. Without the files of the checkout where a commit stands for them.
    pub fn inputs(&self, is_commit: bool) -> BTreeMap<String, Digest> {
        let mut inputs = BTreeMap::new();
        if !is_commit {
            inputs.extend(self.checkout_inputs());
        }
        if let Some(folder) = &self.inventory {
            inputs.extend(folder.files.iter().map(|(path, bytes)| (folder.path_of(path), Digest::of(bytes))));
        }
        // The last of two with one name counts, as it does where they are rendered.
        let digest = |var: &Entry| Digest::of(var.value.span.text().as_bytes());
        inputs.extend(self.vars.0.iter().map(|var| (format!("vars.{}", var.key), digest(var))));
        inputs
    }
}

impl Input {
    /// The digests of the checkout: of each file of variables that all roles share, and of each other role and its files
    /// together, of which there are many.
    fn checkout_inputs(&self) -> BTreeMap<String, Digest> {
        let shared: BTreeSet<&str> =
            checkout::of_roles(&self.checkout.files).into_iter().map(|(_, path)| path).collect();
        let (mut inputs, mut roles) = (BTreeMap::new(), BTreeMap::<String, Hasher>::new());
        for (path, bytes) in &self.checkout.files {
            let digest = Digest::of(bytes);
            let role =
                path.strip_prefix("roles/").and_then(checkout::parts).filter(|_| !shared.contains(path.as_str()));
            match role {
                Some((role, ..)) => {
                    let role = roles.entry(self.checkout.path_of(&format!("roles/{role}"))).or_default();
                    role.update(format!("{digest} {path}\n").as_bytes());
                }
                None => drop(inputs.insert(self.checkout.path_of(path), digest)),
            }
        }
        inputs.extend(roles.into_iter().map(|(role, hasher)| (role, hasher.finish().0)));
        inputs
    }
}

/// What the files say.
#[derive(Debug, Clone)]
pub struct Release {
    /// The hosts and their variables.
    pub(super) inventory: Arc<Inventory>,
    defaults: Arc<Layer>,
    role_vars: Arc<Layer>,
    /// Those that outrank the rest of the inventory.
    added: Arc<Layer>,
    extra: Arc<Layer>,
    /// What else the checkout has.
    pub(super) roles: Arc<Roles>,
    /// Whether it is Kubespray itself, and not the older style of one file.
    pub(super) has_downloads: bool,
}

impl Release {
    /// Reads all variables and reports every unreadable file. `None` if nothing usable was found.
    pub fn read(input: &Input, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = diagnostics.len();
        let roles = checkout::of_roles(&input.checkout.files);
        let (mut defaults, mut role_vars, mut extra) = (Layer::default(), Layer::default(), Layer::default());
        for (rank, path) in &roles {
            let layer = if *rank == Rank::RoleVars { &mut role_vars } else { &mut defaults };
            match source(&input.checkout, path, input.span.as_ref()).and_then(|source| yaml::variables(&source)) {
                Ok(entries) => layer.extend(*rank, entries),
                Err(problem) => diagnostics.push(problem),
            }
        }
        extra.extend(Rank::Extra, input.vars.0.iter().cloned());
        let none = Folder::default();
        let inventory = Inventory::read(input.inventory.as_ref().unwrap_or(&none), input.span.as_ref(), diagnostics);
        let [defaults, role_vars, extra] = [defaults, role_vars, extra].map(Arc::new);
        let (inventory, added) = (Arc::new(inventory), Arc::default());
        let checkout = Arc::new(Roles::new(input.checkout.clone(), input.span.clone()));
        let release = Self { inventory, defaults, role_vars, added, extra, roles: checkout, has_downloads: false };
        let variables = release.of_first();
        let has_downloads = variables.get("downloads").is_some_and(|variable| variable.rank != Rank::Extra);
        let is_older = |name: &str| name.ends_with("_download_url") || name.ends_with("_image_name");
        let older = variables.iter().any(|(name, _)| is_older(name));
        if !has_downloads && !older && !diagnostics[before..].iter().any(Diagnostic::is_error) {
            diagnostics.push(not_kubespray(input, &roles));
        }
        (has_downloads || older).then_some(Self { has_downloads, ..release })
    }

    /// The release with more variables for the group `all` of its inventory, as a file of them would give.
    #[must_use]
    pub(super) fn with_group_vars(&self, entries: Vec<Entry>) -> Self {
        let mut added = Layer::clone(&self.added);
        added.extend(Rank::Inventory, entries);
        Self { added: Arc::new(added), ..self.clone() }
    }

    /// The release with another value for a variable, whatever else says what it is.
    pub(super) fn with_extra(&self, name: &str, value: &str) -> Self {
        let mut extra = Layer::clone(&self.extra);
        extra.extend(Rank::Extra, Vars::of_arguments(&[format!("{name}={value}")]).unwrap_or_default().0);
        Self { extra: Arc::new(extra), ..self.clone() }
    }

    /// The variables of a host.
    pub(super) fn variables(&self, host: &str) -> Variables {
        let above = [&self.extra, &self.role_vars, &self.added].map(Arc::clone);
        let layers = above.into_iter().chain(self.inventory.layers(host)).chain([Arc::clone(&self.defaults)]);
        Variables::new(layers.collect())
    }

    /// The variables of a host that no role has.
    pub(super) fn around_roles(&self, host: &str) -> Layers {
        let inventory = std::iter::once(Arc::clone(&self.added)).chain(self.inventory.layers(host)).collect();
        Layers { extra: Arc::clone(&self.extra), inventory }
    }

    /// The variables of the host that stands for all.
    pub(super) fn of_first(&self) -> Variables {
        self.variables(self.inventory.first())
    }
}

/// The text of a file of a folder.
pub(super) fn source(folder: &Folder, path: &str, asked: Option<&Span>) -> Result<Arc<Source>, Diagnostic> {
    let name = folder.path_of(path);
    let at = |problem: Diagnostic| asked.iter().fold(problem, |problem, span| problem.at((*span).clone()));
    let bytes = folder.files.get(path).cloned().unwrap_or_default();
    if bytes.starts_with(VAULT) {
        let problem = Diagnostic::error(format!("{} is encrypted with Ansible Vault", quoted(&name)));
        return Err(problem
            .at(Span::new(&Source::new(name, String::from_utf8_lossy(&bytes)), 0..VAULT.len() - 1))
            .help("kso has no vault passwords: decrypt it, or use an inventory without it"));
    }
    Source::from_bytes(name.clone(), bytes, MAX_FILE_BYTES)
        .map_err(|why| at(Diagnostic::error(format!("{} cannot be read: it {why}", quoted(&name)))))
}

fn not_kubespray(input: &Input, roles: &[(Rank, &str)]) -> Diagnostic {
    let name = if input.checkout.name.is_empty() { "this directory" } else { &quoted(&input.checkout.name) };
    let why = if roles.is_empty() {
        "there are no variables in roles/kubespray_defaults, roles/kubespray-defaults or roles/download"
    } else {
        "the variables of its roles do not define `downloads`"
    };
    let problem = Diagnostic::error(format!("{name} is not a Kubespray checkout: {why}"));
    let problem = problem.help("use the directory that contains Kubespray's `roles`, of release v2.16 or newer");
    match &input.span {
        Some(span) => problem.at(span.clone()),
        None => problem,
    }
}
