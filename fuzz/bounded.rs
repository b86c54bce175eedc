//! Hostile files, given to the program as a user runs it, under a limit of memory and of CPU time: it says what is wrong,
//! and nothing kills it. Owns the inputs; does not know which bound of the code stops each.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

/// Address space that kso may have, in KiB: with its own code and its threads it takes a tenth of this.
const MEMORY: u32 = 1 << 20;
/// CPU time that kso may take, in seconds: without optimization, and on a slow machine. None of these takes a tenth.
const TIME: u32 = 120;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

fn kso(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", &format!("ulimit -v {MEMORY}; ulimit -t {TIME}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_kso")])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("sh is there")
}

/// What was told; it ended by itself, and not as it ends where it found a bug in itself.
fn told(output: &Output, what: &str) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("what kso prints is UTF-8");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{what}: {} {text}", output.status);
    assert!(!text.contains("panicked") && !text.contains("bug in kso"), "{what}: {text}");
    assert!(text.len() < 256 << 10, "{what}: {} bytes", text.len());
    text
}

/// Checks a definition that is wrong.
fn check(what: &str, definition: &[u8], expected: &str) {
    let folder = folder();
    fs::write(folder.path().join("kso.yaml"), definition).expect("a file");
    let output = kso(folder.path(), &["check"]);
    let text = told(&output, what);
    assert!(!output.status.success() && text.contains(expected), "{what}: {text}");
}

#[test]
fn definitions() {
    let with = |text: &str| format!("apiVersion: kso/v1\nfiles:\n{text}").into_bytes();
    check("flow depth", &with(&"[".repeat(1 << 20)), "nested more than 64 deep");
    check("mapping depth", &with(&"{a: ".repeat(1 << 20)), "nested more than 64 deep");
    check("block depth", &with(&"- ".repeat(1 << 20)), "nested more than 64 deep");
    let laughs: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1)).collect();
    check("aliases", format!("apiVersion: kso/v1\na0: &a0 x\n{laughs}").as_bytes(), "error:");
    let merges: String = (1..60).map(|n| format!("a{n}: &a{n} {{ <<: [*a{}, *a{}] }}\n", n - 1, n - 1)).collect();
    check("merges", format!("apiVersion: kso/v1\na0: &a0 {{ k: v }}\n{merges}").as_bytes(), "error:");
    check("one long line", &with(&format!("- url: https://h/{}\n", "a".repeat(7 << 20))), "error:");
    check("100 MB on one line", &[b"apiVersion: ".to_vec(), vec![b'a'; 100 << 20]].concat(), "larger than 8 MiB");
    check("many keys", &with(&(0..100_000).map(|n| format!("- k{n}: 1\n")).collect::<String>()), "unknown key");
    check("one word", &vec![b'a'; 8 << 20], "apiVersion");
    check("NUL", &vec![0; 1 << 20], "error:");
    check("not UTF-8", b"apiVersion: kso/v1\nfiles: \xff\xfe", "is not UTF-8 on line 2");
    check("UTF-16", b"\xff\xfea\0p\0i\0V\0e\0", "UTF-16");
    check("anchors alone", &with(&"&a ".repeat(100_000)), "error:");
    check("tags alone", &with(&"!!str ".repeat(100_000)), "error:");
}

#[test]
fn lists() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let definition = "apiVersion: kso/v1\nfiles:\n- list: a.list\nimages:\n- list: b.list\n- rename: c.yaml\n";
    fs::write(at("kso.yaml"), definition).expect("a file");
    fs::write(at("b.list"), "x:1\n").expect("a file");
    fs::write(at("c.yaml"), "- { src: docker.io/library/x, dest: x }\n").expect("a file");
    for (what, list, expected) in [
        ("100 MB on one line", vec![b'a'; 100 << 20], "larger than 8 MiB"),
        ("lines that are none", b"../../etc/passwd\n".repeat(100_000), "error:"),
        ("one line of hashes", b"#".repeat(8 << 20), "error:"),
        ("NUL", vec![0; 1 << 20], "error:"),
        ("the same a million times", b"https://h/a\n".repeat(600_000), ""),
    ] {
        fs::write(at("a.list"), list).expect("a file");
        let text = told(&kso(folder.path(), &["check"]), what);
        assert!(text.contains(expected), "{what}: {text}");
    }
    fs::write(at("a.list"), "https://h/a\n").expect("a file");
    for (device, expected) in [("/dev/zero", "error:"), ("/dev/full", "error:")] {
        fs::remove_file(at("a.list")).expect("it was there");
        symlink(device, at("a.list")).expect("a link");
        assert!(told(&kso(folder.path(), &["check"]), device).contains(expected), "{device}");
    }
}

/// A folder of the older style: one file of variables, whose `x_download_url` is asked for.
fn variables(text: &str) -> tempfile::TempDir {
    let folder = folder();
    fs::write(folder.path().join("download.yml"), text).expect("a file");
    folder
}

/// Renders variables, and returns what is told.
fn render(what: &str, text: &str) -> String {
    let folder = variables(text);
    told(&kso(folder.path(), &["lists", "--kubespray", "."]), what)
}

fn url(template: &str) -> String {
    format!("x_download_url: {}\n", serde_json::Value::from(template))
}

#[test]
fn templates_that_grow() {
    let chain = |step: &str| -> String {
        let links = (1..30).map(|n| format!("a{n}: \"{}\"\n", step.replace('@', &format!("a{}", n - 1))));
        format!("a0: \"{}\"\n{}{}", "x".repeat(1000), links.collect::<String>(), url("https://h/{{ a29 }}"))
    };
    for (what, text, expected) in [
        ("a product", url("{{ 'a' * 1000000000 }}"), "`*`"),
        ("products", url(&format!("{{{{ [{}] }}}}", "'a' * 100000000, ".repeat(50))), "`*`"),
        ("a literal with a product", url("{{ '[' }}'a' * 100000000]"), ""),
        (
            "set, doubled",
            url(&format!("{{% set x = 'a' %}}{}{{{{ x }}}}", "{% set x = x ~ x %}".repeat(60))),
            "`{% set %}`",
        ),
        ("with, doubled", url(&("{% with x = 'aa' %}".to_owned() + &"{% with x = x ~ x %}".repeat(60))), "error:"),
        ("loops, doubled", url(&("{% for x in ['aa'] %}".to_owned() + &"{% for x in [x ~ x] %}".repeat(60))), "error:"),
        ("texts that double", chain("{{ @ ~ @ }}"), "256 KiB"),
        ("texts that double, mixed", chain("{{ @ }}{{ @ }}"), "256 KiB"),
        ("lists that double", chain("{{ [@, @] }}"), "256 KiB"),
        ("replacements that multiply", chain("{{ @ | replace('x', @) }}"), "256 KiB"),
        ("patterns that multiply", chain("{{ @ | regex_replace('x', @) }}"), "256 KiB"),
        ("joins that multiply", chain("{{ [@, @, @] | join(@) }}"), "256 KiB"),
        (
            "a filter for each of many",
            url("{{ range(100000) | map('regex_replace', '^.*$', 'a') | list | length }}"),
            "",
        ),
        ("a number that is wide", url("{{ '%1000000000d' | format(1) }}"), "unknown filter"),
        ("a text that is wide", url("{{ '{:>1000000000}'.format(1) }}"), "unknown method"),
        ("a macro that calls itself", url("{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('a') }}"), "error:"),
        (
            "a namespace",
            url("{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"),
            "error:",
        ),
        ("a template of 100 KB", url(&format!("{{{{ 1 }}}}{}", "a".repeat(100_000))), "16 KiB"),
    ] {
        let told = render(what, &text);
        assert!(told.contains(expected), "{what}: {told}");
    }
}

#[test]
fn templates_that_run_on() {
    let nested = |open: &str, close: &str| url(&format!("{{{{ {}1{} }}}}", open.repeat(4000), close.repeat(4000)));
    let long = |n: usize| (1..n).map(|n| format!("a{n}: \"{{{{ a{} }}}}\"\n", n - 1)).collect::<String>();
    let text = "a".repeat(200_000);
    for (what, text, expected) in [
        ("itself", url("{{ x_download_url }}"), "circular reference"),
        ("a ring", format!("a: '{{{{ b }}}}'\nb: '{{{{ a }}}}'\n{}", url("{{ a }}")), "circular reference"),
        ("a chain", format!("a0: x\n{}{}", long(1000), url("{{ a999 }}")), "more than 40 variables"),
        (
            "loops",
            url("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
            "too many steps",
        ),
        ("a loop that calls itself", url("{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}"), "error:"),
        ("a range", url("{{ range(1000000000000) | list }}"), "error:"),
        ("a large pattern", url("{{ 'a' | regex_replace('((a{1000}){1000}){1000}', '') }}"), "regular expression"),
        ("a pattern of nested stars", format!("t: {text}\n{}", url("{{ t | regex_search('(a*)*b') }}")), ""),
        (
            "a pattern at each place",
            format!("t: {text}\n{}", url("{{ t | regex_findall('a*b|a') | length }}")),
            "512 MiB",
        ),
        ("lists", nested("[", "]"), "error:"),
        ("parentheses", nested("(", ")"), "error:"),
        ("signs", nested("-", ""), ""),
        ("not", nested("not ", ""), "error:"),
        ("unclosed marks", url(&"{{".repeat(8000)), "error:"),
        ("open tags", url(&"{%".repeat(8000)), "error:"),
    ] {
        let told = render(what, &text);
        assert!(told.contains(expected), "{what}: {told}");
    }
}

#[test]
fn variable_files() {
    let laughs: String = (1..60).map(|n| format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1)).collect();
    for (what, text) in [
        ("aliases", format!("a0: &a0 x\n{laughs}")),
        ("depth", "[".repeat(1 << 20)),
        ("one long line", "a".repeat(9 << 20)),
        ("numbers", format!("a: {}\nb: 0x{}\n", "9".repeat(1 << 20), "f".repeat(1 << 20))),
    ] {
        assert!(render(what, &text).contains("error:"), "{what}");
    }
}

/// Links in circles, devices and pipes in the place of files.
#[test]
fn folders() {
    let folder = folder();
    let defaults = folder.path().join("roles/download/defaults/main");
    fs::create_dir_all(&defaults).expect("a folder");
    for name in ["a", "b", "c", "d"] {
        symlink(".", defaults.join(name)).expect("a link");
    }
    let lists = || kso(folder.path(), &["lists", "--kubespray", "."]);
    assert!(told(&lists(), "links in circles").contains("is not a Kubespray checkout"));
    for name in ["a", "b", "c", "d"] {
        fs::remove_file(defaults.join(name)).expect("it was there");
    }
    let many = defaults.join("many");
    fs::create_dir(&many).expect("a directory");
    for number in 0..5_000 {
        fs::write(many.join(number.to_string()), "").expect("a file");
    }
    assert!(told(&lists(), "many files").contains("more than 5000 files and directories"));
    fs::remove_dir_all(&many).expect("it was there");
    symlink("/dev/zero", defaults.join("a.yml")).expect("a link");
    symlink("/dev/zero", folder.path().join("download.yml")).expect("a link");
    let pipe = Command::new("mkfifo").arg(defaults.join("b.yml")).status().expect("mkfifo is there");
    assert!(pipe.success());
    assert!(told(&lists(), "devices and pipes").contains("is not a Kubespray checkout"));
}
