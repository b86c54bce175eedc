//! From a definition and its lists to a [`Spec`]. Owns the order of the kinds, and which lists are not used; does not know how
//! a list is read.

use std::collections::BTreeMap;

use super::{Definition, Spec};
use crate::decode::ListText;
use crate::diagnostic::rules::UNUSED_LIST_ENTRY;
use crate::diagnostic::{Diagnostic, quoted};
use crate::kind::{Expansion, Producer, files, images};
use crate::producer::kubespray;

impl Definition {
    /// The spec that the definition and its lists make. A path that is absent from `lists` is a missing list.
    pub fn expand(&self, lists: &BTreeMap<String, ListText>, diagnostics: &mut Vec<Diagnostic>) -> Spec {
        let producer = self.kubespray.as_ref();
        let producer = producer.map(|it| Producer { name: kubespray::VARIABLES, asked: Some(&it.source.span) });
        let with = Expansion { architectures: &self.architectures, lists, producer };
        let files = files::expand(&self.files, &self.rendered.files, &with, diagnostics);
        self.report_unused_lists(lists, diagnostics);
        let images = images::expand(&self.images, &self.rendered.images, &self.registry, &with, diagnostics);
        Spec {
            args: self.args.clone(),
            kubespray: self.kubespray.as_ref().map(|kubespray| kubespray.include),
            architectures: self.architectures.clone(),
            files,
            mirrors: self.mirrors.clone(),
            hosts: self.hosts.clone(),
            file_server: self.file_server.clone(),
            images,
            registry: self.registry.clone(),
        }
    }

    /// Reports the lists of architectures that are not wanted and that exist all the same.
    fn report_unused_lists(&self, lists: &BTreeMap<String, ListText>, diagnostics: &mut Vec<Diagnostic>) {
        let used = self.lists();
        for (name, arch, span) in self.unwanted().filter(|(name, ..)| !used.contains(*name)) {
            if let Some(Ok(_)) = lists.get(name) {
                let message = format!("the list {} is not used: {arch} is not in `architectures`", quoted(name));
                diagnostics.push(Diagnostic::lint(&UNUSED_LIST_ENTRY, message).at(span.clone()));
            }
        }
    }
}
