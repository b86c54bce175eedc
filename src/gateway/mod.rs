//! The conversation with BuildKit.
