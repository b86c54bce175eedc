//! Mirrors of files: the first that has the right bytes is taken, whatever those before it do.

use std::fs;

use crate::harness::{FRONTEND, Fault, Harness, Origin};

pub(super) const TESTS: &[(&str, fn())] =
    &[("a_file_comes_from_the_first_mirror_that_has_it", a_file_comes_from_the_first_mirror_that_has_it)];

const HOST: &str = "dl.mirrored.example";

fn path(file: &str) -> String {
    format!("/{HOST}/{file}")
}

fn a_file_comes_from_the_first_mirror_that_has_it() {
    let harness = Harness::get();
    let _ = harness.frontend();
    let (mut down, bad, good) = (Origin::start(), Origin::start(), Origin::start());
    let names = ["missing", "wrong", "cut", "broken", "fine"];
    let file = |name: &str| format!("  - {{ url: https://{HOST}/{name}, sha256: {} }}\n", good.sha256(&path(name)));
    let files: String = names.iter().map(|name| file(name)).collect();
    let to = [&down, &bad, &good].map(|origin| format!("'{}'", origin.mirror(HOST))).join(", ");
    let folder = harness.folder("mirrored");
    fs::write(
        folder.join("kso.yaml"),
        format!(
            "# syntax={FRONTEND}\napiVersion: kso/v1\nfiles:\n{files}  - url: https://{HOST}/unpinned\nmirrors:\n  \
             - {{ from: 'https://{HOST}/', to: [{to}] }}\n"
        ),
    )
    .unwrap();
    down.off();
    bad.always(&path("missing"), Fault::Status(404));
    bad.always(&path("wrong"), Fault::WrongBytes);
    bad.always(&path("cut"), Fault::Drop);
    bad.always(&path("broken"), Fault::Status(500));
    bad.always(&path("unpinned"), Fault::Status(404));
    let build = || harness.buildx().build(&folder).file("kso.yaml");
    let _ = build().push("org/mirrored:1").run().success();
    for name in ["missing", "wrong", "cut", "broken", "unpinned"] {
        assert!(bad.count("GET", &path(name)) > 0, "{name} is asked for at the first mirror that answers");
        assert_eq!(good.bodies().get(&path(name)), Some(&1), "{name} comes from the second, once");
    }
    assert_eq!((bad.bodies().get(&path("fine")), good.count("GET", &path("fine"))), (Some(&1), 0));

    // What is pinned is there now, whoever is asked.
    let (asked_bad, asked_good) = (bad.requests().len(), good.requests().len());
    let _ = build().push("org/mirrored:2").run().success();
    let again = |origin: &Origin, before: usize| {
        origin.requests().split_off(before).into_iter().filter(|request| request.path != path("unpinned")).count()
    };
    assert_eq!((again(&bad, asked_bad), again(&good, asked_good)), (0, 0));
    let digest = |image: &str| harness.registry().image(image, "linux/amd64").digest;
    assert_eq!(digest("org/mirrored:1"), digest("org/mirrored:2"));

    // No mirror has it: each is named, with what it said.
    good.always(&path("lost"), Fault::Status(404));
    bad.always(&path("lost"), Fault::WrongBytes);
    let text = fs::read_to_string(folder.join("kso.yaml")).unwrap();
    let lost = format!("  - {{ url: https://{HOST}/lost, sha256: {} }}\nmirrors:", good.sha256(&path("lost")));
    fs::write(folder.join("kso.yaml"), text.replace("mirrors:", &lost)).unwrap();
    let output = build().output("oci").0.run();
    let said = output.failure();
    for words in [format!("from {}", bad.mirror(HOST)), format!("from {}", good.mirror(HOST)), "status 404".into()] {
        assert!(said.contains(&words), "{words} is missing in:\n{said}");
    }
}
