//! What a producer adds to a definition. Owns which producer is asked; does not know where its files are read.

use std::sync::Arc;

use super::Definition;
use crate::diagnostic::{Diagnostic, Source};
use crate::producer::Context;
use crate::producer::kubespray::{Asked, Found, Loaded, LockedRelease, load};

impl Definition {
    /// Reads the release of Kubespray that the definition names, if it names one, and adds what it downloads. `source` is the
    /// text of the definition, and `locked` what a lock says. Returns the release, unless its lists are those of the lock; problems
    /// are added to `diagnostics`.
    pub async fn produce(
        &mut self,
        context: &impl Context,
        source: &Arc<Source>,
        locked: Option<LockedRelease<'_>>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Found> {
        let asked = Asked { wanted: self.kubespray.as_ref()?, source, architectures: &self.architectures, locked };
        let Loaded { rendered, found } = load(context, asked, diagnostics).await?;
        self.render(rendered);
        found
    }
}
