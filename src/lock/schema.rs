//! The JSON Schema of the lock, for editors and for other programs that read it. It is derived from the types.

/// The JSON Schema of version 1 (draft 7), ending with a newline.
pub fn json_schema() -> String {
    crate::definition::json_schema_of::<super::Written<'_>>("lock-v1.json")
}

#[cfg(test)]
mod tests {
    use super::json_schema;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/frontends/kso/schema/lock-v1.json");

    #[test]
    fn the_committed_schema_is_fresh() {
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(committed == json_schema(), "run `make schema`: {COMMITTED} is not what `kso schema --lock` prints");
    }
}
