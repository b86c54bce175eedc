//! The low-level build graph as plain values.
