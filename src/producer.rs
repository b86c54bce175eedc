//! What makes entries of several kinds from the variables of other projects. Owns the list of them.

pub mod kubespray;
