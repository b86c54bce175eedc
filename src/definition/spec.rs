//! Everything that a definition and its lists ask for. Owns the whole; does not know how it was written.

use std::collections::BTreeMap;

use crate::decode::Args;
use crate::diagnostic::Span;
use crate::kind::files::{self, File, FileServer};
use crate::kind::images::{self, Image, Registry};
use crate::name::{Arch, FileUrl, ImageRef, Platform};
use crate::origin::{Host, Mirrors, host_of};
use crate::producer::kubespray::DownloadSet;

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
    pub kubespray: Option<DownloadSet>,
}

impl Spec {
    /// Its files, and what serves them.
    pub fn file_section(&self) -> files::Section<'_> {
        files::Section { files: &self.files, server: &self.file_server, architectures: &self.architectures }
    }

    /// Its container images, and what serves them.
    pub fn image_section(&self) -> images::Section<'_> {
        images::Section { images: &self.images, server: &self.registry, architectures: &self.architectures }
    }

    /// The URLs to try for a file, in order: those of the mirror with the longest prefix that fits, or else the file's
    /// own.
    pub fn candidates(&self, file: &File) -> Vec<FileUrl> {
        self.mirrors.files(&file.url)
    }

    /// The base images of its targets, each with the place where it is named, unless it is a default.
    pub fn bases(&self) -> BTreeMap<ImageRef, Option<Span>> {
        let (server, registry) = (&self.file_server, &self.registry);
        let files = (!self.files.is_empty()).then(|| (server.image.clone(), server.image_span.clone()));
        let images = (!self.images.is_empty()).then(|| (registry.image.clone(), registry.image_span.clone()));
        images.into_iter().chain(files).collect()
    }

    /// The platforms that base images are locked for, whatever a build is for.
    pub fn platforms(&self) -> Vec<Platform> {
        self.architectures.iter().copied().map(Platform::linux).collect()
    }

    /// What is sent to a URL that is asked: the entry with the longest prefix that fits.
    pub fn host(&self, url: &FileUrl) -> Option<&Host> {
        host_of(&self.hosts, url)
    }
}
