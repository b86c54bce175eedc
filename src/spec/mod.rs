//! The definition: what the user may write.
