//! The lists of a release, as texts and as what a definition asks for. Owns their form; does not know what is in them.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, quoted};
use crate::kind::files::RenderedFile;
use crate::kind::images::RenderedImage;
use crate::name::{Arch, suggest};
use crate::producer::kubespray::downloads::{Checksum, Downloads, Include};
use crate::producer::kubespray::offline::report_servers;
use crate::producer::kubespray::release::Release;
use crate::producer::kubespray::{DownloadSet, Rendered};

impl From<DownloadSet> for Include {
    fn from(taken: DownloadSet) -> Self {
        match taken {
            DownloadSet::Enabled => Self::Enabled,
            DownloadSet::All => Self::All,
        }
    }
}

impl Release {
    /// What is downloaded for each architecture, by any host.
    pub fn all_downloads(
        &self,
        include: Include,
        architectures: &[Arch],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> BTreeMap<Arch, Downloads> {
        let downloads = architectures.iter().map(|arch| (*arch, self.downloads(include, *arch, diagnostics))).collect();
        report_servers(self, &downloads, diagnostics);
        downloads
    }

    /// What one host downloads if it is a machine of each architecture. The error is a name that no host has.
    pub fn downloads_of(
        &self,
        host: &str,
        include: Include,
        architectures: &[Arch],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<BTreeMap<Arch, Downloads>, Diagnostic> {
        if !self.inventory.has(host) {
            let problem = Diagnostic::error(format!("the inventory has no host {}", quoted(host)));
            return Err(match suggest(host, self.inventory.hosts()) {
                Some(known) => problem.help(format!("did you mean `{known}`?")),
                None => problem.help("give the name of a host as the inventory writes it"),
            });
        }
        let of = |arch: &Arch| (*arch, self.downloads_by(&[host], include, *arch, diagnostics));
        Ok(architectures.iter().map(of).collect())
    }
}

/// What a definition asks for by naming a release.
pub fn rendered(downloads: &BTreeMap<Arch, Downloads>) -> Rendered {
    let mut rendered = Rendered::default();
    for (arch, found) in downloads {
        rendered.files.extend(found.files.iter().map(|file| RenderedFile {
            url: file.url.clone(),
            sha256: match &file.checksum {
                Checksum::Sha256(digest) => Some(digest.clone()),
                Checksum::Other(_) | Checksum::None => None,
            },
            pinned_at: file.pinned_at.clone(),
            arch: *arch,
            span: file.span.clone(),
        }));
        rendered.images.extend(found.images.iter().map(|image| RenderedImage {
            reference: image.reference.clone(),
            arch: *arch,
            span: image.span.clone(),
        }));
    }
    rendered
}

/// `files-<arch>.list`: one URL per line, sorted.
fn files(downloads: &Downloads) -> String {
    lines(downloads.files.iter().map(|file| file.url.clone()))
}

/// `images-<arch>.list`: one image per line, sorted.
fn images(downloads: &Downloads) -> String {
    lines(downloads.images.iter().map(|image| image.reference.clone()))
}

/// `checksums-<arch>.tsv`: URL, tab, the hex digits of its SHA-256, or another algorithm, a colon and the digits; without
/// those that have none. Sorted.
fn checksums(downloads: &Downloads) -> String {
    lines(downloads.files.iter().filter_map(|file| match &file.checksum {
        Checksum::Sha256(digest) => Some(format!("{}\t{}", file.url, digest.hex())),
        Checksum::Other(text) => Some(format!("{}\t{text}", file.url)),
        Checksum::None => None,
    }))
}

/// The files of the lists of all architectures, by name.
pub fn texts(downloads: &BTreeMap<Arch, Downloads>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (arch, found) in downloads {
        texts.insert(format!("files-{arch}.list"), files(found));
        texts.insert(format!("images-{arch}.list"), images(found));
        texts.insert(format!("checksums-{arch}.tsv"), checksums(found));
    }
    texts
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    let lines: BTreeSet<String> = lines.collect();
    lines.into_iter().map(|line| line + "\n").collect()
}
