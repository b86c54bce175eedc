//! Builds in which more happens than in those of the examples: sources that fail first, mirrors, secrets, registries that
//! want a token, build contexts. Each is a form of a graph that no other definition of the record has.

use super::definitions::Definition;
use super::world::{World, digest};

const RESET: &str = "read: connection reset by peer";

fn lost() -> Result<Vec<u8>, String> {
    Err("invalid response status 404".to_owned())
}

fn broken() -> Result<Vec<u8>, String> {
    Err(RESET.to_owned())
}

/// The scenarios in which no program runs.
pub(crate) fn scenarios() -> Vec<Definition> {
    let pin = |url: &str| digest(format!("{url}\n").as_bytes()).replacen("sha256:", "", 1);
    let entry = |url: &str| format!("files:\n  - {{ url: '{url}', sha256: {} }}\n", pin(url));
    let url = "https://a.example/x";
    let groups: String = (0..100).map(|at| format!("  - url: https://many.example/tool{at}x/bin\n")).collect();
    let mirrors = "mirrors:\n  - { from: https://a.example/, to: [https://m.example/, https://n.example/] }\n";
    let mut contexts =
        Definition::text("build contexts", "files: [{ url: https://a.example/x }, { url: https://b.example/y }]\n");
    let base = contexts.image("own.example/nginx:2");
    let mut layout = Definition::text("an image of a layout", "images: [{ image: 'quay.io/a/b:1' }]\n");
    let stored = layout.image("stored");
    vec![
        Definition::text("a file at the third try", &format!("files: [{{ url: '{url}' }}]\n"))
            .world(|world| world.script(url, [broken(), broken()])),
        Definition::text("a pinned file at the second try", &entry(url)).world(|world| world.script(url, [broken()])),
        Definition::text("a pinned file at the third try", &entry(url))
            .world(|world| world.script(url, [broken(), broken()])),
        Definition::text("the second mirror", &format!("files: [{{ url: '{url}' }}]\n{mirrors}"))
            .world(|world| world.script("https://m.example/x", [lost()])),
        Definition::text("the second mirror of a pinned file", &(entry("https://a.example/x") + mirrors)).world(
            |world| {
                world
                    .script("https://m.example/x", [lost()])
                    .script("https://n.example/x", [Ok(format!("{url}\n").into_bytes())])
            },
        ),
        Definition::text(
            "secrets and headers",
            "files: [{ url: https://a.example/x }, { url: https://b.example/y }]\nhosts:\n  \
             - { at: https://a.example/, secret: token }\n  - { at: https://b.example/, headers: { user-agent: kso/1, accept: text/plain } }\n",
        ),
        Definition::text("many small files", &format!("files:\n{groups}")),
        Definition::text("many small files in few layers", &format!("files:\n{groups}fileServer: {{ layers: 12 }}\n")),
        Definition::text("a date", &format!("files:\n{groups}images: [{{ image: 'quay.io/a/b:1' }}]\n"))
            .option("build-arg:SOURCE_DATE_EPOCH", "86400"),
        Definition::text("imported caches", &entry(url))
            .option("cache-imports", r#"[{"Type":"registry","Attrs":{"ref":"a.example/cache:1"}}]"#),
        Definition::text("without the cache", &(entry(url) + "images: [{ image: 'quay.io/a/b:1' }]\n"))
            .option("no-cache", ""),
        contexts
            .file("mine/a.example/x", "mine")
            .file("theirs/y", "theirs")
            .option("context:files", "local:mine")
            .option("context:b.example", "local:theirs")
            .option("context:nginx:1.27-alpine", &format!("docker-image://own.example/nginx:2@{base}")),
        layout.option("context:quay.io/a/b:1", &format!("oci-layout://store@{stored}")),
        Definition::text("attestations", "images: [{ image: 'quay.io/a/b:1' }]\nregistry: { attestations: true }\n"),
        Definition::text(
            "all architectures",
            "images: [{ image: 'quay.io/a/b:1' }]\nregistry: { architectures: all }\n",
        ),
        Definition::text("a registry that wants an Accept header", "images: [{ image: 'accept.example/a/b:1' }]\n"),
        Definition::text(
            "mirrors of images",
            "images: [{ image: 'quay.io/a/b:1' }]\n\
             mirrors: [{ from: quay.io/, to: [m.example/quay/, n.example/quay/] }]\n",
        )
        .world(|world| {
            world.script("docker-image://m.example/quay/a/b:1", [Err("m.example/quay/a/b:1: not found".into())])
        }),
    ]
}

/// What only builds that may run kso in steps have, and those to which that is forbidden.
pub(crate) fn steps() -> Vec<Definition> {
    let never = |definition: Definition| definition.option("build-arg:KSO_EXEC", "never");
    let chart = |world: World| {
        let why = "encountered unknown type application/vnd.cncf.helm.config.v1+json; children may not be fetched";
        world.script("docker-image://token.example/chart:1", [Err(why.to_owned()), Err(why.to_owned())])
    };
    let one = |name: &str| Definition::text(name, "images: [{ image: 'quay.io/a/b:1' }]\n");
    let mut corrupt = one("never, wrong bytes at first");
    let wrong = format!("docker-image+blob://quay.io/a/b@{}", corrupt.layer("quay.io/a/b:1"));
    let mut late = one("never, a blob at the second try");
    let slow = format!("docker-image+blob://quay.io/a/b@{}", late.layer("quay.io/a/b:1"));
    vec![
        Definition::text("a registry that wants a token", "images: [{ image: 'token.example/a/b:1' }]\n")
            .option("build-arg:HTTPS_PROXY", "http://proxy.example:3128"),
        Definition::text(
            "attestations of a registry that wants a token",
            "images: [{ image: 'token.example/a/b:1' }]\nregistry: { attestations: true }\n",
        ),
        Definition::text("a chart of a registry that wants a token", "images: [{ image: 'token.example/chart:1' }]\n")
            .world(chart),
        never(one("never")),
        never(corrupt.world(|world| world.script(&wrong, [Ok(b"wrong".to_vec())]))),
        never(late.world(|world| world.script(&slow, [broken()]))),
        never(Definition::text("never, a file", "files: [{ url: https://a.example/x }]\n")),
    ]
}
