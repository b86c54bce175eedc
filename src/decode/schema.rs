//! What the JSON Schema of every object needs. Does not know the objects.

/// Marks a field as one that may be left out. What it returns has no JSON form, so the schema names no default by it.
pub(crate) fn optional() -> impl Sized {
    struct Optional;
    Optional
}
