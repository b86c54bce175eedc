//! URLs, paths and names that would hurt nginx or a shell, or leave their folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::refused;
use crate::files::project::{BASE, BOTH, Project, path_of};
use crate::harness::{Container, Harness, architecture, sha256};
use crate::trials::Test;

pub(super) const TESTS: &[Test] = &[
    ("names_that_leave_their_place_are_told_at_their_lines", names_that_leave_their_place_are_told_at_their_lines),
    (
        "names_that_are_only_odd_are_served_and_change_nothing_else",
        names_that_are_only_odd_are_served_and_change_nothing_else,
    ),
];

/// Where the files lie in the image.
const SERVED: &str = "opt/k8s/k8s";

fn names_that_leave_their_place_are_told_at_their_lines() {
    let project = Project::tools("hostile-names", 1);
    let long = "a".repeat(256);
    let list = format!(
        "https://h.example/../../etc/nginx/nginx.conf
https://h.example/%2e%2e/%2e%2e/etc/passwd
https://h.example/..%2f..%2fetc%2fpasswd
https://h.example/a%2fb
https://h.example/a%00.tgz
https://h.example/a%0aroot%20/;
https://h.example/%c0%ae%c0%ae/x
https://h.example/.wh..wh..opq
https://h.example/{long}
https://h.example/a\"b
https://h.example/`id`
https://h.example/a b
https://$host/x
https://h.example;listen/x
https://user:secret@h.example/x
https://h.example/fine
file:///etc/passwd
"
    );
    fs::write(project.folder.join("hostile.list"), list).unwrap();
    let table = "- { src: docker.io/library/a, dest: ../../etc }\n- { src: docker.io/library/b, dest: \"b; rm -rf /\" }\n\
        - { src: docker.io/library/c, dest: $(id) }\n";
    fs::write(project.folder.join("names.yaml"), table).unwrap();
    let image = "org/hostile-names:1";
    let build = |definition: &str| {
        project.define(definition);
        let output = project.build().target("files").platform(BOTH).push(image).run();
        refused(&output, "org/hostile-names")
    };
    let lists = "  - list: hostile.list\nimages:\n  - image: docker.io/library/a:1\n  - rename: names.yaml\n";
    insta::assert_snapshot!("names_in_lists", build(lists));
    let definition = "  - { url: https://h.example/a, path: ../../etc/nginx/nginx.conf }
  - { url: https://h.example/b, path: /etc/passwd }
  - { url: https://h.example/c, path: \"c\\0\" }
  - { url: https://h.example/d, path: \"d\\nroot /;\" }
  - { url: https://h.example/e, path: e/.wh.f }
  - list: ../hostile.list
fileServer: { root: /etc/nginx, path: \"k8s; root /\" }
images:
  - { image: docker.io/library/a:1, as: \"a/../../b:1\" }
  - { image: docker.io/library/b:1, as: \"b:$(id)\" }
registry: { prefix: ../k8s }
";
    insta::assert_snapshot!("names_in_the_definition", build(definition));
    assert_eq!(project.origin.requests().len(), 0, "nothing is fetched");
}

/// Paths of URLs that are legal, as a server is asked for them.
fn odd() -> Vec<String> {
    let odd = [
        "%22quoted%22",
        "a'b%27c",
        "$(id)",
        "$uri",
        "$%7Bhost%7D",
        "%60id%60",
        "a;b;",
        "%3B%20return%20444;%20%7D%20server%20%7B",
        "a%20b%20",
        "%20",
        "-rf",
        "--help",
        ".htaccess",
        ".env",
        ".git/config",
        "nginx.conf",
        "conf.d/default.conf",
        "folder/index.html",
        "index.php",
        "...",
        "..a/b..",
        "%252e%252e%252fetc",
        "%5C..%5C..%5Cx",
        "%3Cscript%3Ealert(1)",
        "what%3Fx=1",
        "a%23b",
        "%25",
        "%25%73%25n",
        "~root",
        "a&b",
        "*",
        "%E2%80%AE%E6%96%87",
        "%F0%9F%92%A5",
    ];
    let long = ["n".repeat(255), vec!["deep"; 200].join("/")];
    odd.map(str::to_owned).into_iter().chain(long).collect()
}

fn names_that_are_only_odd_are_served_and_change_nothing_else() {
    let urls: Vec<String> = odd().iter().map(|path| format!("https://hostile-odd.example/{path}")).collect();
    let project = Project::new("hostile-odd", urls.clone(), urls.clone());
    project.origin.sizes(200..=2_000);
    // A place of its own may have what no URL can.
    let placed = "h/\"q'u`o`t\"/e; root /;} $uri $(id) <b>\\";
    let entry =
        format!("  - {{ url: \"https://hostile-odd.example/placed\", path: '{}' }}\n", placed.replace('\'', "''"));
    project.define(&format!("  - list: temp/files-{{arch}}.list\n{entry}"));
    let _ = project.push("org/hostile-odd:1");
    let harmless = Project::tools("hostile-harmless", 1);
    let _ = harmless.push("org/hostile-harmless:1");

    let platform = format!("linux/{}", architecture());
    let unpack = |image: &str| Container::unpack(Harness::get(), image, &platform);
    let (base, odd, plain) = (unpack(BASE), unpack("org/hostile-odd:1"), unpack("org/hostile-harmless:1"));
    let outside = |root: &Path| {
        let mut tree = tree(root);
        tree.retain(|path, _| !path.starts_with(&format!("{SERVED}/")));
        tree
    };
    let (base, same) = (outside(base.root()), outside(plain.root()));
    assert_eq!(outside(odd.root()), same, "nothing outside of the folder depends on names");
    let own: Vec<&str> =
        same.iter().filter(|(path, what)| base.get(*path) != Some(*what)).map(|(path, _)| &**path).collect();
    assert_eq!(own, ["etc/nginx/conf.d/default.conf", "kso", "opt", "opt/k8s", SERVED]);
    assert!(base.keys().all(|path| same.contains_key(path)), "nothing of the base image is gone");
    let served = tree(&odd.root().join(SERVED)).into_values().filter(|what| what.starts_with("file")).count();
    assert_eq!(served, urls.len() + 1, "each URL is a file of its own");

    let container = odd.start();
    for url in &urls {
        let answer = container.get(&format!("/k8s{}", path_of(url)));
        assert_eq!(answer.status, 200, "{url}");
        assert_eq!(answer.body, project.origin.bytes(&path_of(url)), "{url}");
    }
    let answer = container.get(&format!("/k8s/{}", encoded(placed)));
    assert_eq!((answer.status, answer.body), (200, project.origin.bytes("/hostile-odd.example/placed")), "{placed}");
    let listed = container.get("/k8s/hostile-odd.example/").text();
    assert!(listed.contains("&lt;script&gt;") && !listed.contains("<script>"), "{listed}");
    for path in [
        "/k8s/../../../etc/passwd",
        "/k8s/..%2f..%2f..%2fetc/passwd",
        "/k8s/hostile-odd.example/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    ] {
        assert_ne!(container.get(path).status, 200, "{path}");
    }
}

/// A path as a client writes it into a URL.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Everything below a folder: what it is, its permissions, and what it holds.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.permissions().mode();
            let what = if meta.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_dir() {
                folders.push(path.clone());
                format!("folder {mode:o}")
            } else {
                format!("file {mode:o} {}", sha256(&fs::read(&path).unwrap()))
            };
            all.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
        }
    }
    all
}
