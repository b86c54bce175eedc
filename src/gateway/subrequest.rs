//! Answers to questions about a definition (`--call`, `--check`) instead of a build: how an answer travels. Does not
//! know what the answers are.

use super::BuildResult;

/// An answer for programs (`json`) and for people (`text`); `version` is of its form, and `status` what `--check` exits
/// with. It has no reference.
pub fn subrequest_result(json: &serde_json::Value, text: &str, version: &str, status: Option<u8>) -> BuildResult {
    let result = BuildResult::default()
        .with_metadata("result.json", format!("{json:#}"))
        .with_metadata("result.txt", text)
        .with_metadata("version", version);
    match status {
        Some(status) => result.with_metadata("result.statuscode", status.to_string()),
        None => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::fake::Fake;

    #[tokio::test]
    async fn an_answer_is_metadata_without_a_reference() {
        let answer = subrequest_result(&serde_json::json!({ "warnings": [] }), "none\n", "1.0.0", Some(0));
        let returned = Fake::new().run(async |_, _| Ok(answer)).await.expect("an answer");
        let metadata: Vec<_> = returned.metadata.keys().map(|key| (key.as_str(), returned.text(key))).collect();
        assert_eq!(
            metadata,
            [
                ("result.json", "{\n  \"warnings\": []\n}".into()),
                ("result.statuscode", "0".into()),
                ("result.txt", "none\n".into()),
                ("version", "1.0.0".into())
            ]
        );
        assert!(returned.references.values().all(Option::is_none));
    }
}
