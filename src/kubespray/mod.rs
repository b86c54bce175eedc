//! Kubespray's variables: what a release downloads, rendered as Ansible would. Owns the reading of a checkout and an
//! inventory, and the lists made of them; knows nothing of BuildKit, nor how files get here.

mod beside;
mod bounds;
mod checkout;
mod downloads;
mod facts;
mod fault;
mod filters;
mod jinja;
mod lists;
mod offline;
mod patterns;
mod proof;
mod release;
mod scope;
mod template;
mod yaml;

pub use checkout::{Files, INVENTORY_FOLDER, folders, is_archive, is_variables, no_inventory, single_files};
pub use downloads::{Checksum, Downloads, File, Image, Include};
pub use lists::{rendered, texts};
pub use offline::{Address, offline};
pub use proof::{Proof, prove};
pub use release::{Folder, Input, MAX_FILE_BYTES, Release, Vars};

#[cfg(test)]
mod tests;
