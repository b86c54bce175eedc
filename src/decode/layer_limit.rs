//! `layers:` of an image: how many it may have. Owns which numbers are allowed; does not know what is done with them.

use std::fmt;

use crate::decode::Decoder;
use crate::decode::yaml::{Node, Value, place};
use crate::diagnostic::Diagnostic;

/// How many layers an image may have, with those of its base image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayerLimit(u16);

impl LayerLimit {
    /// Fewer leave too little above a base image.
    pub const LEAST: u16 = 50;
    /// More cannot be mounted: the kernel stops at 500, and a page of mount options with containerd's shortest paths at
    /// about 440.
    pub const MOST: u16 = 400;
    /// The file server's, where nothing is written.
    pub const FILES: Self = Self(90);
    /// The registry's, where nothing is written: Docker's overlay2 stops at 125, and an image made from this one needs a
    /// few.
    pub const IMAGES: Self = Self(120);

    /// The number.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }

    /// That many, where it is allowed.
    pub fn new(layers: u16) -> Option<Self> {
        (Self::LEAST..=Self::MOST).contains(&layers).then_some(Self(layers))
    }
}

impl fmt::Display for LayerLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Decoder<'_> {
    /// `layers:`; what cannot be used is reported.
    pub(crate) fn layer_limit(&mut self, node: &Node) -> Option<LayerLimit> {
        let (least, most) = (LayerLimit::LEAST, LayerLimit::MOST);
        let span = self.span(place(node));
        if !matches!(node.value(), Value::Number(_)) {
            self.wrong_type(node, "`layers`", &format!("a number from {least} to {most}"));
            return None;
        }
        let limit = span.text().parse().ok().and_then(LayerLimit::new);
        if limit.is_none() {
            let help = if span.text().parse().is_ok_and(|layers: u64| layers > u64::from(most)) {
                format!(
                    "write at most 125 for Docker's classic image store, or at most {most} for containerd and Podman"
                )
            } else {
                format!("write at least {least}: the layers of the base image count too")
            };
            let problem = Diagnostic::error(format!("`layers` must be a number from {least} to {most}")).at(span);
            self.error(problem.help(help));
        }
        limit
    }
}
