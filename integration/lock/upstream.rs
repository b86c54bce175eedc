//! What becomes of a locked build when the world moves on.

use super::project::{BOTH, Project, sample};
use crate::harness::{Fault, Harness, Kind, Rules};

pub(super) const TESTS: &[(&str, fn())] = &[("the_world_moves_on", the_world_moves_on)];

fn the_world_moves_on() {
    let project = Project::new("lock-moved", Rules::default());
    let first = project.daemon();
    let before = project.lock(&first);
    let build = |target: &str, tag: &str| {
        let daemon = project.daemon();
        project.build(&daemon, target).platform(BOTH).push(tag).run()
    };
    let _ = build("images", "org/lock-moved:1").success();
    let digests = |image: &str| {
        ["linux/amd64", "linux/arm64"].map(|platform| Harness::get().registry().image(image, platform).digest)
    };

    // A tag that moved: the locked build does not notice.
    project.upstream.put("lock-moved/index:1.0", &sample(Kind::OciIndex, "lock-moved/index", "1.1"));
    let _ = build("images", "org/lock-moved:2").success();
    assert_eq!(digests("org/lock-moved:1"), digests("org/lock-moved:2"));

    // A file that was replaced, and one that was deleted: each is named, with the line that asked for it.
    project.origin.change(&project.file("helm"));
    project.origin.always(&project.file("arm64/kubelet"), Fault::Status(404));
    let output = build("files", "org/lock-moved:3");
    let said = output.failure();
    for words in [
        "cannot fetch https://dl.lock-moved.example/helm from ",
        ": wrong checksum: the server sent ",
        "the lock's entry",
        "cannot fetch https://dl.lock-moved.example/arm64/kubelet from ",
        ": the server has no such file",
        "kso.yaml:4",
        "kso.yaml:5",
        "--target lock",
    ] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    project.origin.heal(&project.file("arm64/kubelet"));

    // What is written now differs in what moved.
    let after = project.lock(&first);
    assert_ne!(before, after);
    let changed =
        |text: &str| text.lines().filter(|line| line.contains("\"sha256\"")).map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (changed(&before), changed(&after));
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1, "one file");
    let _ = build("files", "org/lock-moved:3").success();
}
