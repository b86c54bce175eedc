//! Tables of names: a YAML list of `{ src, dest }`. Owns how they are read and which entry an image is renamed by; does
//! not know which images there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::decode::{Decoder, yaml};
use crate::diagnostic::rules::UNUSED_RENAME;
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, quoted};
use crate::name::{Arch, ImageRef, Invalid, Repository, ServedName, Template};

const KEYS: [&str; 2] = ["src", "dest"];

/// One entry of a table.
#[derive(Debug, Clone)]
pub(crate) struct Rename {
    src: Spanned<Template<Renamed>>,
    dest: Spanned<Template<Repository>>,
}

/// What is renamed: a repository, or one tag of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Renamed {
    /// With the defaults filled in: `docker.io/library/nginx`.
    name: String,
    tag: Option<String>,
}

impl std::str::FromStr for Renamed {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let image: ImageRef = text.parse()?;
        if let Some((name, _)) = text.split_once('@') {
            return Err(Invalid::new("a rename table cannot rename a digest")
                .help("write the repository, or give the image another name with `as:`")
                .within(name.len()..text.len()));
        }
        // `latest` is what a name without a tag is asked for by, but here it means any tag.
        let tag = image.tag().filter(|tag| *tag != "latest" || text.ends_with(":latest"));
        Ok(Self { name: image.name().to_owned(), tag: tag.map(Into::into) })
    }
}

/// The entries of a table; `None` if the table is empty. Problems are added to `diagnostics`.
pub(crate) fn parse(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Rename>> {
    const WHAT: &str = "an entry of a rename table";
    let document = match yaml::parse(source) {
        Ok(document) => document,
        Err(problem) => {
            diagnostics.push(problem);
            return Some(Vec::new());
        }
    };
    diagnostics.extend(document.problems);
    let root = document.root?;
    let mut decoder = Decoder { source, args: None, diagnostics };
    let mut renames = Vec::new();
    for node in decoder.list(&root, "a rename table").unwrap_or_default() {
        let Some(fields) = decoder.fields(node, WHAT, &KEYS) else { continue };
        let src =
            decoder.required(&fields, WHAT, "src", "write `src:` with the repository, such as `registry.k8s.io/pause`");
        let src = src.and_then(|node| decoder.name(node, "`src`"));
        let dest = decoder.required(&fields, WHAT, "dest", "write `dest:` with the repository to serve it as");
        let dest = dest.and_then(|node| decoder.name(node, "`dest`"));
        if let (Some(src), Some(dest)) = (src, dest) {
            renames.push(Rename { src, dest });
        }
    }
    Some(renames)
}

/// The entries of all tables.
#[derive(Debug, Default)]
pub(crate) struct Renames {
    entries: Vec<(Span, bool)>,
    /// Into `entries`, and the repository to serve as.
    by_arch: BTreeMap<Arch, BTreeMap<Renamed, (usize, Repository)>>,
}

impl Renames {
    /// Adds an entry of a table that holds for some architectures.
    pub(crate) fn add(&mut self, rename: &Rename, wanted: &BTreeSet<Arch>, diagnostics: &mut Vec<Diagnostic>) {
        let Rename { src, dest } = rename;
        let at = self.entries.len();
        self.entries.push((src.span.clone(), false));
        let mut told = false;
        for arch in wanted {
            let (renamed, repository) = (src.value.get(*arch), dest.value.get(*arch));
            let entries = self.by_arch.entry(*arch).or_default();
            match entries.get(renamed) {
                Some((first, other)) if other != repository => {
                    self.entries[at].1 = true;
                    if told {
                        continue;
                    }
                    told = true;
                    let name = quoted(&renamed.name);
                    diagnostics.push(
                        Diagnostic::error(format!("two names for {name}, `{other}` and `{repository}`"))
                            .at(src.span.clone())
                            .related(self.entries[*first].0.clone(), "the first name")
                            .help("keep one of them"),
                    );
                }
                // Said twice, but the same: only the first counts.
                Some(_) => self.entries[at].1 = true,
                None => drop(entries.insert(renamed.clone(), (at, repository.clone()))),
            }
        }
    }

    /// What an image is served as: by the entry for its tag, else by that for its repository, else its own name below
    /// `prefix`.
    pub(crate) fn served(&mut self, image: &ImageRef, arch: Arch, prefix: &str) -> Result<ServedName, Invalid> {
        let key = |tag: Option<&str>| Renamed { name: image.name().to_owned(), tag: tag.map(Into::into) };
        let found = self.by_arch.get(&arch).and_then(|entries| {
            let by_tag = image.tag().and_then(|tag| entries.get(&key(Some(tag))));
            by_tag.or_else(|| entries.get(&key(None)))
        });
        let Some((at, repository)) = found else { return ServedName::of(image, prefix) };
        self.entries[*at].1 = true;
        Ok(ServedName { repository: repository.clone(), tag: image.tag().map(Into::into) })
    }

    /// Warns of the entries that renamed nothing, once for each table.
    pub(crate) fn report_unused(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut unused: Vec<(&Span, usize)> = Vec::new();
        for (span, _) in self.entries.iter().filter(|(_, used)| !used) {
            match unused.iter_mut().find(|(first, _)| Arc::ptr_eq(first.source(), span.source())) {
                Some((_, count)) => *count += 1,
                None => unused.push((span, 1)),
            }
        }
        for (span, count) in unused {
            let more = match count - 1 {
                0 => String::new(),
                more => format!("; {more} more in this table"),
            };
            let entry = quoted(&format!("src: {}", span.text().trim_matches(['"', '\''])));
            diagnostics
                .push(Diagnostic::lint(&UNUSED_RENAME, format!("no image matches {entry}{more}")).at(span.clone()));
        }
    }
}
