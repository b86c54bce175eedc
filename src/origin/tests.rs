//! Mirrors and hosts as a definition writes them, and which of them holds for what.

use super::*;
use crate::decode::tests::diagnosed;
use crate::decode::{Args, Decoder, yaml};
use crate::name::{FileUrl, ImageRef};

/// What is read of a text, and the messages of its problems.
fn read<T>(text: &str, decode: impl FnOnce(&mut Decoder<'_>, &yaml::Node) -> T) -> (T, Vec<String>) {
    let (found, diagnostics) = diagnosed(text, &Args::default(), decode);
    (found, diagnostics.into_iter().map(|problem| problem.message).collect())
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "the method is for one lifetime of the decoder")]
fn mirrors(text: &str) -> (Mirrors, Vec<String>) {
    read(text, |decoder, node| decoder.mirrors(node))
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "the method is for one lifetime of the decoder")]
fn hosts(text: &str) -> (Vec<Host>, Vec<String>) {
    read(text, |decoder, node| decoder.hosts(node))
}

fn urls(mirrors: &Mirrors, url: &str) -> Vec<String> {
    mirrors.files(&url.parse().unwrap()).iter().map(ToString::to_string).collect()
}

fn images(mirrors: &Mirrors, image: &str) -> Vec<String> {
    mirrors.images(&image.parse().unwrap()).iter().map(ToString::to_string).collect()
}

#[test]
fn the_mirror_with_the_longest_prefix_holds() {
    let (mirrors, problems) = mirrors(
        "- { from: https://dl.k8s.io/, to: [https://a.example/k8s/, https://dl.k8s.io/] }\n\
         - { from: https://dl.k8s.io/release/, to: [https://b.example/] }\n\
         - { from: quay.io/, to: [a.example/quay/, quay.io/] }\n\
         - { from: quay.io/calico/, to: [b.example/] }\n",
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!((mirrors.for_files().count(), mirrors.for_images().count()), (2, 2));
    assert_eq!(urls(&mirrors, "https://dl.k8s.io/x"), ["https://a.example/k8s/x", "https://dl.k8s.io/x"]);
    assert_eq!(urls(&mirrors, "https://dl.k8s.io/release/x"), ["https://b.example/x"]);
    assert_eq!(urls(&mirrors, "https://other.example/x"), ["https://other.example/x"]);
    assert_eq!(images(&mirrors, "quay.io/a:1"), ["a.example/quay/a:1", "quay.io/a:1"]);
    assert_eq!(images(&mirrors, "quay.io/calico/a:1"), ["b.example/a:1"]);
    assert_eq!(images(&mirrors, "ghcr.io/a/a:1"), ["ghcr.io/a/a:1"]);
    let url = |url: &str| url.parse::<FileUrl>().unwrap();
    assert!(mirrors.of_file(&url("https://other.example/x")).is_none());
    assert_eq!(mirrors.of_file(&url("https://dl.k8s.io/release/x")).unwrap().to.len(), 1);
}

#[test]
fn an_image_can_be_replaced_whatever_its_mirrors() {
    let (mut mirrors, _) = mirrors("- { from: quay.io/, to: [a.example/] }\n");
    let [image, other] = ["quay.io/a:1", "other.example/b:2"].map(|name| name.parse::<ImageRef>().unwrap());
    mirrors.replace(&image, &other);
    assert_eq!(images(&mirrors, "quay.io/a:1"), ["other.example/b:2"]);
    assert_eq!(images(&mirrors, "quay.io/a:2"), ["a.example/a:2"]);
}

#[test]
fn what_is_wrong_with_a_mirror() {
    for (text, said) in [
        ("- { from: https://a.example/, to: [] }\n", &["`to` is empty"][..]),
        (
            "- { from: https://a.example/, to: [quay.io/] }\n",
            &["`to` is an image prefix, but `from` is a URL; use the same kind in both"],
        ),
        (
            "- { from: quay.io/, to: [https://a.example/, b.example/] }\n",
            &["`to` is a URL, but `from` is an image prefix; use the same kind in both"],
        ),
        (
            "- { from: quay.io/, to: [a.example/] }\n- { from: quay.io/, to: [b.example/] }\n",
            &["duplicate mirror for `quay.io/`"],
        ),
    ] {
        let (mirrors, problems) = mirrors(text);
        assert_eq!(problems, said, "{text}");
        let known = text.contains("b.example/");
        assert_eq!(mirrors.for_images().count(), usize::from(known), "{text}");
        assert_eq!(mirrors.for_files().count(), 0, "{text}");
    }
}

/// It is a wrong URL, and not a place for images.
#[test]
fn a_wrong_url_among_urls_is_only_that() {
    let (_, problems) = mirrors("- { from: https://a.example/, to: ['a b'] }\n");
    assert_eq!(problems.len(), 1);
    assert!(!problems[0].contains("use the same kind"), "{problems:?}");
}

#[test]
fn the_host_with_the_longest_prefix_holds() {
    let (hosts, problems) = hosts(
        "- { at: https://a.example/, headers: { User-Agent: kso/1, accept: '*/*' } }\n\
         - { at: https://a.example/deep/, secret: token }\n",
    );
    assert_eq!(problems, [""; 0]);
    let of = |url: &str| host_of(&hosts, &url.parse().unwrap());
    let host = of("https://a.example/x").unwrap();
    let headers: Vec<_> = host.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!((host.secret(), headers), (None, vec![("accept", "*/*"), ("user-agent", "kso/1")]));
    let deep = of("https://a.example/deep/x").unwrap();
    assert_eq!((deep.secret(), deep.headers.len()), (Some("token"), 0));
    assert!(of("https://b.example/x").is_none());
}

#[test]
fn what_is_wrong_with_a_host() {
    for (text, said) in [
        ("- { at: https://a.example/ }\n", "an entry of `hosts` sends nothing: it has neither `secret` nor `headers`"),
        ("- { at: http://a.example/, secret: token }\n", "the secret `token` is sent without encryption"),
        ("- { at: https://a.example/, headers: { Cookie: a } }\n", "BuildKit does not send the header `Cookie`"),
        ("- { at: https://a.example/, headers: { accept: a, Accept: b } }\n", "duplicate header `accept`"),
        ("- { at: https://a.example/, headers: [] }\n", "`headers` must be a mapping, but this is a list"),
        (
            "- { at: https://a.example/, secret: a }\n- { at: https://a.example/, secret: b }\n",
            "duplicate entry for `https://a.example/`",
        ),
    ] {
        let (hosts, problems) = hosts(text);
        assert_eq!(problems, [said], "{text}");
        assert_eq!(hosts.len(), 1, "{text}");
    }
    for fine in ["http://127.0.0.1:80/", "http://localhost/", "https://a.example/"] {
        let (_, problems) = hosts(&format!("- {{ at: '{fine}', secret: token }}\n"));
        assert_eq!(problems, [""; 0], "{fine}");
    }
}
