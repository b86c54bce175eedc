//! Which rules a specification breaks, where that is reported, and what is skipped. `cases/lint` has each rule as users see it.

use std::collections::BTreeMap;

use super::*;
use crate::definition::{Definition, Spec};
use crate::lock::Lock;
use crate::name::Platform;

/// What is checked, with what users give in addition to the definition.
#[derive(Default)]
struct Check<'a> {
    lists: &'a [(&'a str, &'a str)],
    /// The value of the build argument.
    argument: Option<&'a str>,
    /// The platforms of the registry image.
    platforms: Option<&'a [&'a str]>,
    /// Whether the lock itself is built.
    builds_lock: bool,
}

impl Check<'_> {
    /// What is found in a definition that begins with `head`, and has `body` after its version.
    fn findings(&self, head: &str, body: &str) -> Findings {
        let source = Source::new("kso.yaml", format!("{head}apiVersion: kso/v1\n{body}"));
        let mut diagnostics = Vec::new();
        let definition = Definition::parse(&source, &mut diagnostics).expect("a definition");
        let list = |(name, text): &(&str, &str)| ((*name).to_owned(), Ok(Source::new(*name, *text)));
        let spec = definition.expand(&self.lists.iter().map(list).collect(), &mut diagnostics);
        let platforms: Option<Vec<Platform>> =
            self.platforms.map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
        let subject = Subject { spec: &spec, lock: None, pins: !self.builds_lock, platforms: platforms.as_deref() };
        let options = Options::of(&source, self.argument).unwrap();
        Findings::of(&subject, &source, &options, diagnostics)
    }

    /// Each as `Rule line: message`, with the help where it is not that of the rule.
    fn lines(&self, head: &str, body: &str) -> Vec<String> {
        let line = |problem: &Diagnostic| {
            let rule = problem.rule.unwrap();
            let place = problem.span.as_ref().map(|span| format!("{}:{}", span.source().name(), span.line()));
            let help = problem.help.as_ref().filter(|help| **help != rule.fix).map(|help| format!(" | {help}"));
            format!("{} {}: {}{}", rule.name, place.unwrap_or_default(), problem.message, help.unwrap_or_default())
        };
        self.findings(head, body).reported.iter().map(line).collect()
    }
}

fn lines(body: &str) -> Vec<String> {
    Check::default().lines("", body)
}

#[test]
fn files_without_a_checksum() {
    let pinned = format!("sha256: {}", "a".repeat(64));
    let body = format!(
        "files:\n  - url: https://h/a\n  - url: HTTP://h/b\n  - {{ url: http://h/c, {pinned} }}\n  - url: http://m/d\n\
         mirrors:\n  - {{ from: 'http://m/', to: [https://n/, http://o/] }}\n"
    );
    assert_eq!(
        lines(&body),
        [
            "UnpinnedFile kso.yaml:3: `https://h/a` has no checksum",
            "UnpinnedFile kso.yaml:4: `http://h/b` has no checksum",
            "PlainHttp kso.yaml:4: `http://h/b` is fetched over plain HTTP, and has no checksum",
            "UnpinnedFile kso.yaml:6: `http://m/d` has no checksum",
            "MirrorWithoutPin kso.yaml:8: 1 file without a checksum is fetched from the mirror of `http://m/`",
            "PlainHttp kso.yaml:8: 1 file without a checksum is fetched over plain HTTP from `http://o/`",
        ]
    );
}

#[test]
fn images_without_a_digest() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let body = format!(
        "images:\n  - image: m.io/a:1\n  - image: m.io/b:latest\n  - image: m.io/c@{digest}\n  - image: h.io/d\n\
         registry: {{ image: 'm.io/base:2' }}\nfileServer: {{ image: 'm.io/server@{digest}' }}\n\
         mirrors:\n  - {{ from: 'm.io/', to: [n.io/] }}\n  - {{ from: 'other.io/', to: [n.io/] }}\n"
    );
    assert_eq!(
        lines(&body),
        [
            "UnpinnedImage kso.yaml:3: `m.io/a:1` has no digest",
            "LatestTag kso.yaml:4: `m.io/b:latest` is a moving tag",
            "LatestTag kso.yaml:6: `h.io/d:latest` is a moving tag",
            "UnpinnedImage kso.yaml:7: `m.io/base:2` has no digest",
            "MirrorWithoutPin kso.yaml:10: 3 images without a digest are fetched from the mirror of `m.io/`",
        ]
    );
    let asked = Check { builds_lock: true, ..Check::default() };
    assert_eq!(asked.lines("", &body), [""; 0], "what is to be pinned");
}

const LISTS: &str = "files: [{ list: 'files-{arch}.list' }]\nimages: [{ list: 'images-{arch}.list' }]\n";

#[test]
fn lists_of_architectures_that_do_not_match() {
    let check = Check {
        lists: &[
            ("files-amd64.list", "https://h/x86_64/a\nhttps://h/amd64/b\nhttps://h/all\n"),
            ("files-arm64.list", "https://h/aarch64/a\n"),
            ("images-amd64.list", "h.io/a-amd64:1\nh.io/b:1\nh.io/c:1\n"),
            ("images-arm64.list", "h.io/a-arm64:1\nh.io/b:1\n"),
        ],
        builds_lock: true,
        ..Check::default()
    };
    assert_eq!(
        check.lines("", LISTS),
        [
            "MissingArchitecture files-amd64.list:2: `https://h/amd64/b` is in the list of amd64, but its counterpart is \
             missing from the list of arm64",
            "MissingArchitecture images-amd64.list:3: `h.io/c:1` is in the list of amd64, but its counterpart is missing from \
             the list of arm64",
        ]
    );
}

#[test]
fn architectures_that_no_image_is_built_for() {
    let body = "images: [{ image: 'h/a:1' }]\n";
    let of = |platforms: &[&str], body: &str| {
        let check = Check { platforms: Some(platforms), builds_lock: true, ..Check::default() };
        check.lines("", body)
    };
    let without = |arch: &str, help: &str| {
        format!(
            "ArchitectureWithoutPlatform kso.yaml:2: no registry image is built for {arch}: `--platform` does not include \
             `linux/{arch}` | add `linux/{arch}` to `--platform`{help}"
        )
    };
    assert_eq!(of(&["linux/arm64"], body), [without("amd64", ", or set `architectures: [arm64]`")]);
    assert_eq!(of(&["linux/amd64", "linux/arm64"], body), [""; 0]);
    // Both are at one line: the second is counted.
    assert_eq!(of(&["linux/riscv64"], body), [without("amd64", "").replacen(" |", "; 1 more of this line |", 1)]);
    assert_eq!(of(&["linux/arm64"], &format!("{body}registry: {{ architectures: all }}\n")), [""; 0]);
    assert_eq!(of(&["linux/arm64"], "files: [{ url: 'https://h/a' }]\n"), [""; 0], "no image is wanted");
}

#[test]
fn the_lines_of_a_list_are_reported_once() {
    let lists = [("a.list", "https://h/1\nhttps://h/2\nhttp://h/3\nhttp://h/4\n")];
    let check = Check { lists: &lists, ..Check::default() };
    assert_eq!(
        check.lines("", "files:\n  - list: a.list\n  - url: https://h/5\n  - url: https://h/6\n"),
        [
            "UnpinnedFile a.list:1: `https://h/1` has no checksum; 3 more in this list",
            "PlainHttp a.list:3: `http://h/3` is fetched over plain HTTP, and has no checksum; 1 more in this list",
            "UnpinnedFile kso.yaml:4: `https://h/5` has no checksum",
            "UnpinnedFile kso.yaml:5: `https://h/6` has no checksum",
        ]
    );
}

#[test]
fn a_thousand_are_reported() {
    let body = (0..1100).fold("files:\n".to_owned(), |body, at| format!("{body}  - url: https://h/{at}\n"));
    assert_eq!(lines(&body).len(), 1000);
}

#[test]
fn what_is_skipped_is_not_reported() {
    let body = "files:\n  # check=skip=PlainHttp\n  - url: http://h/a\n  - url: http://h/b\n";
    let names = |check: &Check<'_>, head: &str| {
        let lines = check.lines(head, body);
        lines.iter().map(|line| line.split(": `").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = ["UnpinnedFile kso.yaml:4", "UnpinnedFile kso.yaml:5", "PlainHttp kso.yaml:5"];
    assert_eq!(names(&Check::default(), ""), all);
    let with = |argument| Check { argument: Some(argument), ..Check::default() };
    assert_eq!(names(&Check::default(), "# check=skip=UnpinnedFile\n"), ["PlainHttp kso.yaml:6"]);
    assert_eq!(names(&Check::default(), "# check=skip=all\n"), [""; 0]);
    assert_eq!(names(&with("skip=UnpinnedFile"), ""), ["PlainHttp kso.yaml:5"]);
    // The build argument takes the place of what is at the top, but not of what is above an entry.
    assert_eq!(
        names(&with(""), "# check=skip=all\n"),
        ["UnpinnedFile kso.yaml:5", "UnpinnedFile kso.yaml:6", "PlainHttp kso.yaml:6"]
    );
    assert_eq!(names(&with("skip=all"), ""), [""; 0]);
}

#[test]
fn what_a_lock_took_from_the_first_download() {
    let body = "files:\n  - url: https://h/a\n  - url: https://h/b\n";
    let source = Source::new("kso.yaml", format!("apiVersion: kso/v1\n{body}"));
    let mut diagnostics = Vec::new();
    let spec: Spec = Definition::parse(&source, &mut diagnostics).unwrap().expand(&BTreeMap::new(), &mut diagnostics);
    let locked = |name: &str, checksum: &str| {
        format!(
            r#"{{ "url": "https://h/{name}", "path": "h/{name}", "sha256": "sha256:{}", "bytes": 1, "checksum": "{checksum}" }}"#,
            name.repeat(64)
        )
    };
    let text = format!(
        r#"{{ "version": 1, "layout": 1, "bases": [], "files": [{}, {}], "images": [] }}"#,
        locked("a", "first-use"),
        locked("b", "upstream")
    );
    let file = Lock::read(&Source::new("kso.lock", text)).map_err(|problems| format!("{problems:?}")).unwrap();
    let subject = Subject { spec: &spec, lock: Some(&file), pins: false, platforms: None };
    let found = Findings::of(&subject, &source, &Options::default(), Vec::new());
    let shown: Vec<_> =
        found.reported.iter().map(|it| (it.rule.unwrap().name, it.span.as_ref().unwrap().line())).collect();
    assert_eq!(shown, [("ChecksumFromFirstUse", 3)]);
    assert_eq!(found.warnings().count(), 0, "it is a note");
}

#[test]
fn warnings_fail_where_that_is_wanted() {
    let body = "files:\n  - url: http://h/a\nimages:\n  - image: h/a:1\n";
    let violation = |head: &str, body: &str| {
        let findings = Check::default().findings(head, body);
        (findings.warnings().count(), findings.violation().map(|problem| problem.message))
    };
    let message = "lint violation found for rules: PlainHttp, UnpinnedFile, UnpinnedImage".to_owned();
    assert_eq!(violation("# check=error=true\n", body), (3, Some(message)));
    assert_eq!(violation("", body), (3, None));
    assert_eq!(violation("# check=error=true;skip=all\n", body), (0, None));
}
