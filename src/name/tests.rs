//! What is said of each mistake in a name, and which part of it is marked.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use super::*;
use crate::diagnostic::quoted;

/// The mistakes of these texts: the text, what is marked of it, the problem, the help.
fn mistakes<T: FromStr<Err = Invalid> + Display>(texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let _ = match text.parse::<T>() {
            Ok(name) => writeln!(out, "{} is {name}", quoted(text)),
            Err(Invalid { message, range, help }) => {
                let marked = range.map(|range| text.get(range).expect("a part of the text"));
                let marked = marked.map(|part| format!(" at {}", quoted(part))).unwrap_or_default();
                let help = help.map(|help| format!("\n    help: {help}")).unwrap_or_default();
                writeln!(out, "{}{marked}: {message}{help}", quoted(text))
            }
        };
    }
    out
}

#[test]
fn digests() {
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    insta::assert_snapshot!(mistakes::<Digest>(&[
        &hex.to_uppercase(),
        &format!("sha256:{hex}"),
        &hex[1..],
        &format!("sha256:{hex}0"),
        &format!("sha256:{}x{}", &hex[..9], &hex[10..]),
        &format!("{}\u{e9}{}", &hex[..9], &hex[10..]),
        &format!("sha512:{hex}"),
        &format!("sha256:md5:{hex}"),
        &format!("sha-512:{hex}"),
        "sha256:",
        "",
    ]));
}

#[test]
fn urls() {
    let long = format!("https://{}.example/", "a".repeat(64));
    let longest = format!("https://{}/a", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."));
    let too_long = format!("https://{}/a", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join("."));
    let label = format!("https://{}.example/a", "a".repeat(63));
    insta::assert_snapshot!(mistakes::<FileUrl>(&[
        "HTTPS://A.example:443/a%2fb?c#",
        "http://a.example:443/a",
        "https://a.example:80/a",
        "http://a.example:80",
        "https://a.example?b",
        "a.example/b",
        ".example/b",
        "a.example /b",
        "a",
        "ftp://a.example/b",
        "https://a.example/b c",
        "https://a.example/b\tc",
        "https://a.example/b\u{7f}c",
        "https://a.example/b\u{a0}c",
        "https://a.example/b#c",
        "https://user:password@a.example/b",
        "https://user@x@a.example/b",
        "https:///b",
        "https://:443/b",
        "https://a.example:0/b",
        "https://a.example:65536/b",
        "https://a.example:+1/b",
        "https://a.example:/b",
        "https://[2001:db8::1]/b",
        "https://[2001:DB8::1]:8443/b",
        "https://[2001:db8::1/b",
        "https://2001:db8::1/b",
        "https://a*b.example/c",
        "https://\u{e4}.example/c",
        "https://a..example/c",
        &long,
        &label,
        &longest,
        &too_long,
        "https://a.example/b/../c",
        "https://a.example/./b",
        "https://a.example/b/%2e%2E/c",
        "https://a.example/b%",
        "https://a.example/b%2",
        "https://a.example/b%zz/c",
    ]));
}

#[test]
fn url_prefixes() {
    insta::assert_snapshot!(mistakes::<UrlPrefix>(&[
        "https://a.example/b/",
        "https://a.example/b",
        "https://a.example",
        "a.example",
        "a.example/",
        "https://a.example/?b=/",
    ]));
}

#[test]
fn images() {
    let digest = format!("sha256:{}", "0".repeat(64));
    insta::assert_snapshot!(mistakes::<ImageRef>(&[
        "nginx",
        &format!("nginx:1@{digest}"),
        "localhost/a",
        "a.example:5000/b/c:1",
        "https://a.example/b:1",
        "docker://nginx",
        "1.30",
        &"0".repeat(64),
        "nginx:1 alpine",
        "nginx\u{2003}",
        "nginx@1.27",
        &format!("nginx@{}", &digest[..70]),
        "nginx:",
        "nginx:-a",
        &format!("nginx:{}", "a".repeat(129)),
        "a.example:5000x/b",
        "a_b.example/c",
        "Nginx",
        "a.example/B",
        "a//b",
        "a/b/",
        "",
    ]));
}

#[test]
fn image_prefixes() {
    insta::assert_snapshot!(mistakes::<ImagePrefix>(&[
        "quay.io/",
        "quay.io",
        "quay.io/a/",
        "https://quay.io/",
        "a/",
        "/",
        ""
    ]));
}

#[test]
fn stored_paths() {
    let name = "a".repeat(256);
    let path = ["a".repeat(250).as_str(); 17].join("/");
    insta::assert_snapshot!(mistakes::<StoredPath>(&[
        "a/b",
        "",
        "/",
        "/a/",
        "/a//b/",
        "a/",
        "a//b",
        "a/./b",
        "a/../b",
        "a/.wh.b",
        "a/\u{7}b",
        "\u{e9}/\u{7}",
        &name,
        &path,
    ]));
}

#[test]
fn directories() {
    insta::assert_snapshot!(mistakes::<ServerRoot>(&[
        "/opt/k8s",
        "opt/k8s",
        "/",
        "/opt//k8s",
        "/opt/k8s/",
        "/opt/k 8s",
        "/etc",
        "/etc/a"
    ]));
    insta::assert_snapshot!(mistakes::<ServerPath>(&["k8s", "a/b", "", "/k8s/", "k8s/", "a/../b", "a b", "a/\u{e9}"]));
    insta::assert_snapshot!(mistakes::<ContextPath>(&[
        "a/b.list",
        "./a.list",
        "./a*.list",
        "a?.list",
        "https://a.example/b",
        "./https://a.example/b",
        "/a.list",
        "../a.list",
        "",
    ]));
}

#[test]
fn served_names() {
    insta::assert_snapshot!(mistakes::<ServedName>(&[
        "library/node:v1",
        "node",
        "Node:1",
        "a:b:c",
        "a.example:5000/b",
        "a/b:",
        "",
        "a b:1"
    ]));
    insta::assert_snapshot!(mistakes::<Repository>(&["library/node", "node:1", "Node", "/a", "a//b", ""]));
}
