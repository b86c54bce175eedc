//! Kubespray's variables: what a release downloads, rendered as Ansible would. Owns the reading of a checkout and an
//! inventory, and the lists made of them; knows nothing of BuildKit, nor how files get here.

mod beside;
mod bounds;
mod checkout;
mod downloads;
pub(crate) mod entry;
mod facts;
mod fault;
mod filters;
mod hosts;
mod inventory;
mod jinja;
mod lists;
mod load;
mod locked;
mod offline;
mod patterns;
mod pin;
mod play;
mod proof;
mod python;
mod release;
mod scope;
mod template;
mod variables;
mod versions;
mod yaml;

pub use crate::producer::kubespray::checkout::{is_archive, is_variables, single_file};
pub use crate::producer::kubespray::downloads::{Checksum, Downloads, File, Image, Include};
pub use crate::producer::kubespray::lists::{rendered, texts};
pub use crate::producer::kubespray::load::{
    Asked, Found, Loaded, LockedRelease, checkout_files, inventory_files, load,
};
pub use crate::producer::kubespray::locked::{LockedKubespray, Question};
pub use crate::producer::kubespray::offline::{Address, offline};
pub use crate::producer::kubespray::proof::{Proof, prove};
pub use crate::producer::kubespray::release::{Folder, Input, MAX_FILE_BYTES, Release, Vars};
pub use entry::{Checkout, DownloadSet, Kubespray, Rendered};

/// What makes the entries, as the subject of a sentence.
pub(crate) const VARIABLES: &str = "Kubespray's variables";

#[cfg(test)]
mod tests;
