//! What Kubespray's variables were rendered from, and the lists they gave. Owns the comparison; does not know how they are
//! rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::diagnostic::hints::UPDATE_ENTRY;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::kind::files::RenderedFile;
use crate::kind::images::RenderedImage;
use crate::name::{Arch, Digest, Invalid, text};
use crate::producer::kubespray::{DownloadSet, Rendered};

/// The source of Kubespray, the digests of its inputs, and the resulting lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LockedKubespray {
    /// As the definition writes it: a git URL with a tag, branch or commit, or a directory in the build context.
    pub source: String,
    /// The commit of the reference; absent if the source is a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}([0-9a-f]{24})?$"))]
    pub commit: Option<String>,
    /// `enabled` or `all`.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub include: DownloadSet,
    /// The digest of each input, by its name: variable files, the inventory's files, `vars.NAME`. The files of a
    /// commit are not listed.
    #[serde(serialize_with = "write_digests", deserialize_with = "read_digests")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub inputs: BTreeMap<String, Digest>,
    /// The URLs that the variables produced, by architecture.
    #[serde(serialize_with = "write_lists", deserialize_with = "read_lists")]
    #[schemars(with = "BTreeMap<String, BTreeSet<String>>")]
    pub files: Lists,
    /// The images that the variables produced, by architecture.
    #[serde(serialize_with = "write_lists", deserialize_with = "read_lists")]
    #[schemars(with = "BTreeMap<String, BTreeSet<String>>")]
    pub images: Lists,
}

/// How many things that changed are named.
const NAMED: usize = 5;

/// A list for each architecture that was asked for.
pub(crate) type Lists = BTreeMap<Arch, BTreeSet<String>>;

/// What the lists are made of, as far as it is known without fetching or rendering anything.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// As the definition writes it.
    pub source: &'a str,
    /// What is taken.
    pub include: DownloadSet,
    /// Which lists there must be.
    pub architectures: &'a [Arch],
    /// The digest of each thing that was read. Where the source is a git repository, without its files.
    pub inputs: &'a BTreeMap<String, Digest>,
}

impl LockedKubespray {
    /// What a rendered release is locked as.
    pub fn of(question: Question<'_>, commit: Option<String>, rendered: &Rendered) -> Self {
        let empty = || -> Lists { question.architectures.iter().map(|arch| (*arch, BTreeSet::new())).collect() };
        let (mut files, mut images) = (empty(), empty());
        for file in &rendered.files {
            files.entry(file.arch).or_default().insert(file.url.clone());
        }
        for image in &rendered.images {
            images.entry(image.arch).or_default().insert(image.reference.clone());
        }
        let Question { source, include, inputs, .. } = question;
        Self { source: source.to_owned(), commit, include, inputs: inputs.clone(), files, images }
    }

    /// What is not as it was when this was locked, in the user's words: `source`, `inventory/all.yml`. Empty where the same
    /// lists would be rendered.
    pub fn changed(&self, now: Question<'_>) -> Vec<String> {
        let mut changed = Vec::new();
        let mut note = |is_other: bool, what: &str| {
            if is_other {
                changed.push(what.to_owned());
            }
        };
        note(self.source != now.source, "source");
        note(self.include != now.include, "include");
        let known = |lists: &Lists| now.architectures.iter().all(|arch| lists.contains_key(arch));
        note(!known(&self.files) || !known(&self.images), "architectures");
        let names: BTreeSet<&String> = self.inputs.keys().chain(now.inputs.keys()).collect();
        for name in names {
            note(self.inputs.get(name) != now.inputs.get(name), name);
        }
        changed
    }

    /// Reports that rendering would give other lists, for what changed: at the place that asks, and at that of the lock.
    pub fn outdated(&self, changed: &[String], asked: Span, place: Span) -> Diagnostic {
        let (count, shown) = (changed.len(), changed.iter().take(NAMED).map(|name| quoted(name)).collect::<Vec<_>>());
        let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
        let message =
            format!("the lists of Kubespray in the lock were rendered from a different {}{more}", shown.join(", "));
        Diagnostic::error(message).at(asked).related(place, "the lock's entry").help(UPDATE_ENTRY)
    }

    /// The lists as rendering them would give them; `span` is where a user finds them. Their checksums are those of the
    /// lock's entries.
    pub fn rendered(&self, architectures: &[Arch], span: &Span) -> Rendered {
        let of = |lists: &Lists, arch: Arch| lists.get(&arch).cloned().unwrap_or_default();
        let files = architectures.iter().flat_map(|arch| {
            let file = move |url| RenderedFile { url, sha256: None, arch: *arch, span: span.clone() };
            of(&self.files, *arch).into_iter().map(file)
        });
        let images = architectures.iter().flat_map(|arch| {
            let image = move |reference| RenderedImage { reference, arch: *arch, span: span.clone() };
            of(&self.images, *arch).into_iter().map(image)
        });
        Rendered { files: files.collect(), images: images.collect() }
    }
}

/// A name as a value of a map.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Value(#[serde(with = "text")] Digest);

fn write_digests<S: Serializer>(inputs: &BTreeMap<String, Digest>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(inputs.iter().map(|(name, digest)| (name, Value(digest.clone()))))
}

fn read_digests<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Digest>, D::Error> {
    Ok(read::<Value, D>(from)?.into_iter().map(|(name, Value(digest))| (name, digest)).collect())
}

fn write_lists<S: Serializer>(lists: &Lists, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(lists.iter().map(|(arch, list)| (arch.to_string(), list)))
}

fn read_lists<'de, D: Deserializer<'de>>(from: D) -> Result<Lists, D::Error> {
    let lists = read::<BTreeSet<String>, D>(from)?.into_iter();
    lists
        .map(|(name, list)| Ok((name.parse().map_err(|invalid: Invalid| D::Error::custom(invalid.message))?, list)))
        .collect()
}

/// A map. A duplicate key is an error.
fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, T>, D::Error> {
    struct Pairs<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Pairs<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let mut pairs = BTreeMap::new();
            while let Some((name, value)) = from.next_entry::<String, T>()? {
                if pairs.insert(name.clone(), value).is_some() {
                    return Err(A::Error::custom(format!("duplicate key {}", quoted(&name))));
                }
            }
            Ok(pairs)
        }
    }
    from.deserialize_map(Pairs(PhantomData))
}
