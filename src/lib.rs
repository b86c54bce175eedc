//! kso turns a short definition into multi-platform images for installing Kubernetes where there is no internet.
//!
//! ```text
//! kso.yaml ─parse─▶ Spec ─resolve─▶ Artifacts, Tree ─plan─▶ Plan ─lower─▶ graph ─fetch─▶ graph ─▶ gateway Return
//!   bytes      pure  data    IO          data        pure   data   pure   LLB     IO     LLB         IO
//!        └──────────────── Diagnostics: spans travel with every item ────────────────▶ the user
//! ```
//!
//! The crate [`buildkit`] knows nothing of Kubernetes; [`kind`] and [`plan`] know nothing of `BuildKit`, and
//! [`definition`] only its grammar of git URLs. `docs/architecture.md` has a line for each module.

pub mod arrange;
pub mod artifact;
pub mod base;
pub mod cli;
pub mod decode;
pub mod definition;
pub mod diagnostic;
pub mod fetch;
pub mod frontend;
pub mod kind;
pub mod lint;
pub mod lock;
pub mod lower;
pub mod manifests;
pub mod name;
pub mod oci;
pub mod online;
pub mod origin;
pub mod plan;
pub mod producer;
pub mod registry;
pub mod report;
pub mod retry;
pub mod rootfs;
pub mod sbom;
pub mod secrets;
pub mod subrequest;
pub mod target;
pub mod tree;
pub mod verify;
pub mod web;
