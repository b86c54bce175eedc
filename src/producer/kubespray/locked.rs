//! What Kubespray's variables were rendered from, and the lists they gave. Owns the comparison; does not know how they are
//! rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::diagnostic::hints::UPDATE_LOCK;
use crate::diagnostic::{Diagnostic, Span, counted, quoted};
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

/// What is not as it was when lists were locked, in the user's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// What is asked for: `source`, `include`, `architectures`. The lists are others.
    pub asked: Vec<&'static str>,
    /// What they are rendered from: `inventory/all.yml`. The lists may be the same.
    pub inputs: Vec<String>,
}

impl Changed {
    /// Whether nothing changed, so that the same lists would be rendered.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.inputs.is_empty()
    }

    /// All of it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.asked.iter().copied().chain(self.inputs.iter().map(String::as_str))
    }
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

    /// What is not as it was when this was locked.
    pub fn changed(&self, now: Question<'_>) -> Changed {
        let known = |lists: &Lists| now.architectures.iter().all(|arch| lists.contains_key(arch));
        let asked = [
            ("source", self.source != now.source),
            ("include", self.include != now.include),
            ("architectures", !known(&self.files) || !known(&self.images)),
        ];
        let names: BTreeSet<&String> = self.inputs.keys().chain(now.inputs.keys()).collect();
        let is_other = |name: &&String| self.inputs.get(*name) != now.inputs.get(*name);
        Changed {
            asked: asked.into_iter().filter_map(|(name, is_other)| is_other.then_some(name)).collect(),
            inputs: names.into_iter().filter(is_other).cloned().collect(),
        }
    }

    /// How many downloads `rendered` has for these architectures that the lists of the lock have not, and the other way round.
    pub fn difference(&self, rendered: &Rendered, architectures: &[Arch]) -> (usize, usize) {
        let locked = |arch: &Arch| {
            let texts = [&self.files, &self.images].into_iter().filter_map(|lists| lists.get(arch)).flatten();
            texts.map(|text| (*arch, text)).collect::<Vec<_>>()
        };
        let then: BTreeSet<(Arch, &String)> = architectures.iter().flat_map(locked).collect();
        let files = rendered.files.iter().map(|file| (file.arch, &file.url));
        let images = rendered.images.iter().map(|image| (image.arch, &image.reference));
        let now: BTreeSet<(Arch, &String)> = files.chain(images).collect();
        let only = |a: &BTreeSet<(Arch, &String)>, b: &BTreeSet<(Arch, &String)>| {
            a.difference(b).map(|(_, text)| *text).collect::<BTreeSet<_>>().len()
        };
        (only(&now, &then), only(&then, &now))
    }

    /// Reports that the lists are no longer those of the definition, for what changed: at the place that asks, and at that of
    /// the lock. `difference` is that of the lists, if they were rendered again.
    pub fn outdated(
        &self,
        changed: &Changed,
        difference: Option<(usize, usize)>,
        asked: Span,
        place: Span,
    ) -> Diagnostic {
        let names: Vec<&str> = changed.names().collect();
        let (count, shown) = (names.len(), names.iter().take(NAMED).map(|name| quoted(name)).collect::<Vec<_>>());
        let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
        let lists = difference.map(|(new, gone)| format!(": {} new, {gone} gone", counted(new, "download")));
        let message = format!(
            "the lists of Kubespray in the lock were rendered from a different {}{more}{}",
            shown.join(", "),
            lists.unwrap_or_default()
        );
        Diagnostic::error(message).at(asked).related(place, "the lock's entry").help(UPDATE_LOCK)
    }

    /// The lists as rendering them would give them; `span` is where a user finds them. Their checksums are those of the
    /// lock's entries.
    pub fn rendered(&self, architectures: &[Arch], span: &Span) -> Rendered {
        let of = |lists: &Lists, arch: Arch| lists.get(&arch).cloned().unwrap_or_default();
        let files = architectures.iter().flat_map(|arch| {
            let file = move |url| RenderedFile { url, sha256: None, pinned_at: None, arch: *arch, span: span.clone() };
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
