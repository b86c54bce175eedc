//! The graphs of `testdata/llb.json`, built with this module, against the bytes of BuildKit's Go client.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;

const Z: &str = "sha256:b4914097449bbe8ce7b0a4240f8a33e6a14dfd4b6e349bf9f2f472fde6bfacac";

fn graph(name: &str) -> State {
    let amd64 = Platform::linux("amd64");
    let image = Image::new(&format!("docker.io/library/alpine@{Z}"), &amd64).state();
    let hello = || Mkfile::new("/a", 0o644, "hello");
    let mkfile = File::scratch().mkfile(hello()).state();
    let y = Http::new("https://example.com/y").checksum(Z).state();
    let copied =
        File::scratch().mkdir(Mkdir::new("/d", 0o755).create_parents()).copy(Copy::new(&y, "/y", "/d/y")).state();
    let run = || Exec::new(&image, &amd64, ["true"]);
    match name {
        "image" => image,
        "http" => Http::new("https://example.com/x.tgz").checksum(Z).filename("x.tgz").perm(0o644).state(),
        "imageblob" => ImageBlob::new(&format!("registry.example/x@{Z}")).filename("x.tgz").state(),
        "local" => Local::new("context")
            .differ_none()
            .follow_paths(&["hello.yaml"])
            .shared_key_hint("context")
            .unique("ocyes23himsurz0qd7ipnk82c")
            .state(),
        "local+patterns" => {
            Local::new("context").include_patterns(&["*.go"]).exclude_patterns(&["*_test.go"]).unique("x").state()
        }
        "mkfile" => mkfile,
        "mkdir+copy" => copied,
        "rm" => File::on(&image).rm(Rm::new("/etc/x*").wildcard().allow_not_found()).rm(Rm::new("/y")).state(),
        "symlink" => File::scratch()
            .symlink(Symlink::new("/old", "/new").timestamp(1_700_000_000).owner(Owner::ids(7, 8)))
            .symlink(Symlink::new("../a", "/b"))
            .state(),
        "chown" => File::on(&image)
            .mkdir(Mkdir::new("/d", 0o755).owner(Owner::ids(1000, 1001)))
            .mkfile(Mkfile::new("/f", 0o600, "x").owner(Owner::names("app", Some("web"))))
            .mkfile(Mkfile::new("/g", 0o600, "x").owner(Owner::names("app", None)))
            .copy(Copy::new(&mkfile, "/a", "/b").owner(Owner::ids(1, 2)))
            .state(),
        "copy+patterns" => {
            let copy = Copy::new(&image, "/etc", "/").include(["*.conf", "ssl/**"]).exclude(["ssl/private"]);
            let copy = copy.wildcard().allow_empty_wildcard().follow_symlink().contents_only().create_parents();
            File::scratch().copy(copy.replace_existing()).state()
        }
        "copy+required" => {
            File::scratch().copy(Copy::new(&image, "/etc", "/").require(["hosts"]).include(["hosts"])).state()
        }
        "copy+modes" => File::scratch().copy(Copy::new(&image, "/etc/hosts", "/hosts").chmod("u=rw,go=r")).state(),
        "merge" => merge([image, mkfile, copied]),
        "diff" => diff(&image, &File::on(&image).mkfile(hello()).state()),
        "exec" => Exec::new(&image, &amd64, ["/bin/sh", "-c", "true"])
            .network(Network::None)
            .mount(Mount::readonly("/in", &mkfile))
            .output(Output::scratch("/out")),
        "exec+meta" => Exec::new(&image, &amd64, ["id"])
            .env("A", "1")
            .env("B", "two words")
            .cwd("/w")
            .user("nobody:nogroup")
            .hostname("box")
            .extra_host("db", IpAddr::from([10, 0, 0, 7]))
            .valid_exit_codes([0, 3])
            .root(),
        "exec+host" => run().network(Network::Host).insecure().root(),
        "exec+mounts" => run()
            .mount(Mount::cache("/cache", "id", Cache::Locked))
            .mount(Mount::cache_from("/shared", "two", Cache::Shared, &mkfile))
            .mount(Mount::tmpfs("/tmp", 1 << 20))
            .mount(Mount::readonly("/part", &mkfile).selector("/d"))
            .output(Output::scratch("/out")),
        "exec+private" => {
            run().mount(Mount::cache("/cache", "id", Cache::Private)).mount(Mount::tmpfs("/tmp", 0)).root()
        }
        "exec+content" => {
            let read = Mount::readonly("/in", &mkfile).content_cache(ContentCache::Off);
            let changed = Output::on("/on", &mkfile).content_cache(ContentCache::On);
            run().mount(read).root_and_outputs([changed]).0
        }
        "exec+secrets" => Exec::readonly(&image, &amd64, ["/tool", "run"])
            .secret(Secret::file("docker-config", "/b").optional())
            .secret(Secret::file("ca", "/a").optional())
            .proxy(Proxy { https: "http://p:1".into(), no: "x".into(), ..Proxy::default() })
            .output(Output::scratch("/out")),
        "exec+secret+owner" => run()
            .secret(Secret::file("token", "/run/secrets/token").owned_by(1000, 1001, 0o440))
            .secret(Secret::env("token", "TOKEN"))
            .secret(Secret::env("other", "OTHER").optional())
            .root(),
        "exec+ssh" => run().ssh(Ssh::new("default").dest("/run/ssh").optional()).root(),
        "exec+ssh+owner" => run().ssh(Ssh::new("mine").dest("/run/ssh").owned_by(1000, 1001, 0o660)).root(),
        other => panic!("the vectors have a graph that this test does not know: {other}"),
    }
}

#[derive(serde::Deserialize)]
struct Vectors {
    graphs: BTreeMap<String, Vec<String>>,
}

#[test]
fn the_same_bytes_as_the_go_client() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../testdata/llb.json")).expect("the vectors");
    assert!(vectors.graphs.len() > 20);
    for (name, expected) in vectors.graphs {
        let ours: Vec<String> =
            graph(&name).marshal().ops().map(|(_, bytes)| base16ct::lower::encode_string(bytes)).collect();
        assert_eq!(ours, expected, "{name}");
    }
}

#[test]
fn what_a_graph_needs_is_known() {
    let needs =
        |name| graph(name).marshal().capabilities().into_iter().map(str::to_owned).collect::<Vec<_>>().join(" ");
    // Those of Go's client, and of file vertices also what Go's client forgets to write.
    assert_eq!(
        needs("exec+mounts"),
        "constraints exec.meta.base exec.mount.bind exec.mount.cache exec.mount.cache.sharing exec.mount.selector \
         exec.mount.tmpfs exec.mount.tmpfs.size file.base platform source.image"
    );
    assert_eq!(
        needs("exec+host"),
        "constraints exec.meta.base exec.meta.network exec.meta.security exec.mount.bind platform source.image"
    );
    assert_eq!(
        needs("exec+secret+owner"),
        "constraints exec.meta.base exec.mount.bind exec.mount.secret exec.secretenv platform source.image"
    );
    assert_eq!(needs("exec+ssh"), "constraints exec.meta.base exec.mount.bind exec.mount.ssh platform source.image");
    assert_eq!(needs("symlink"), "constraints file.base file.symlink.create");
    assert_eq!(
        needs("copy+patterns"),
        "constraints file.base file.copy.alwaysreplaceexistingdestpaths file.copy.includeexcludepatterns platform \
         source.image"
    );
    assert_eq!(
        needs("copy+required"),
        "constraints file.base file.copy.includeexcludepatterns file.copy.requiredpaths platform source.image"
    );
    assert_eq!(needs("copy+modes"), "constraints file.base file.copy.modestring platform source.image");
}
