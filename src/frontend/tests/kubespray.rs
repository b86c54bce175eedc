//! What a build makes of `kubespray:` before anything is asked for.

use super::*;

/// `kso check` has the same: cases/invalid/kubespray-source-without-git.
#[tokio::test]
async fn a_source_without_git_is_refused_at_its_line() {
    let definition = "apiVersion: kso/v1\nkubespray: { source: https://host.example/repo#v1 }\n";
    let told = told(&daemon(definition)).await;
    assert!(told.contains("its path does not end with `.git`"), "{told}");
    assert!(told.contains("source: https://host.example/repo#v1"), "{told}");
}
