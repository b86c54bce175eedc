//! Everything that a definition and its lists ask for. Owns the whole; does not know how it was written.

use crate::decode::Args;
use crate::kind::files::{self, File, FileServer};
use crate::kind::images::{self, Image, Registry};
use crate::name::{Arch, FileUrl};
use crate::origin::{Host, Mirrors, host_of};
use crate::producer::kubespray::Taken;

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

    /// What is sent to a URL that is asked: the entry with the longest prefix that fits.
    pub fn host(&self, url: &FileUrl) -> Option<&Host> {
        host_of(&self.hosts, url)
    }
}
