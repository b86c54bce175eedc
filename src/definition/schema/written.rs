//! The expressions and the parsers say the same of what is made of such pieces as mistakes are made of.

use std::str::FromStr;

use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::select;

use schemars::{JsonSchema as _, SchemaGenerator};

use crate::decode::written::*;
use crate::kind::images::Prefix;
use crate::name::{
    Arch, ContextPath, Digest, FileUrl, ImagePrefix, ImageRef, Invalid, ServedName, ServerPath, ServerRoot, StoredPath,
    Template, UrlPrefix,
};
use crate::origin::{HeaderValue, SecretId};
use crate::producer::kubespray::Checkout;
use crate::producer::kubespray::entry::Inventory;

fn validator<T: Written>() -> Validator {
    let schema = Text::<T>::json_schema(&mut SchemaGenerator::default());
    jsonschema::validator_for(&schema.to_value()).expect("an expression that a validator takes")
}

fn takes(validator: &Validator, text: &str) -> bool {
    validator.is_valid(&text.into())
}

/// Asserts that what is made of the pieces is taken by both or by none.
fn agree<T: Written>(read: impl Fn(&str) -> bool, pieces: &'static [&'static str]) {
    let validator = validator::<T>();
    let mut good = 0;
    let config = ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let texts = proptest::collection::vec(select(pieces), 0..7).prop_map(|pieces| pieces.concat());
    let result = runner.run(&texts, |text| {
        prop_assert_eq!(read(&text), takes(&validator, &text), "{:?}", text);
        Ok(())
    });
    assert!(result.is_ok(), "{}: {}", T::NAME, result.unwrap_err());
    for first in pieces {
        for second in pieces {
            let text = format!("{first}{second}");
            good += usize::from(read(&text));
            assert_eq!(read(&text), takes(&validator, &text), "{}: {text:?}", T::NAME);
        }
    }
    assert!(good > 0, "{}: nothing good was tried", T::NAME);
}

fn read<T: FromStr<Err = Invalid>>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

fn read_stored(text: &str) -> bool {
    let url = text.parse::<Template<FileUrl>>();
    url.is_ok_and(|url| Arch::ALL.iter().all(|arch| url.get(*arch).stored_path().is_ok()))
}

const URL: &[&str] = &[
    "https://h/a",
    "http://H.x:80/",
    "HTTPS://h",
    "https://h:0443/",
    "https://h:/",
    "https://h:65536/",
    "https://",
    "https://{arch}.h/",
    "https://[::1]/a",
    "https://u@h/",
    "ftp://h/",
    "a",
    "b_c",
    "-",
    "ä",
    "~",
    " ",
    "\u{a0}",
    "\t",
    "\u{85}",
    "/",
    "//",
    ".",
    "..",
    "%2e",
    "%2E",
    "%2F",
    "%2f",
    "%20",
    "%",
    "%zz",
    "%00",
    "%7F",
    "%7e",
    "%C3%A4",
    "%E9",
    "%c2%85",
    "%C2%A0",
    "%ED%A0%80",
    "%F0%9F%98%80",
    "%25",
    "2F",
    "?",
    "?a=b",
    "#",
    "{arch}",
    "{uname}",
    "{x}",
    "{",
    "}",
    ".wh.",
    "%2Ewh.",
    ":",
    "@",
    "[",
    "|",
];

#[test]
fn urls() {
    agree::<Template<FileUrl>>(read::<Template<FileUrl>>, URL);
    agree::<UrlPrefix>(read::<UrlPrefix>, URL);
    let (url, stored) = (validator::<Template<FileUrl>>(), validator::<StoredUrl>());
    let config = ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() };
    let texts =
        proptest::collection::vec(select(URL), 0..6).prop_map(|pieces| format!("https://h/{}", pieces.concat()));
    let result = proptest::test_runner::TestRunner::new(config).run(&texts, |text| {
        // The one judges only what the other has let pass.
        prop_assert_eq!(read_stored(&text), takes(&url, &text) && takes(&stored, &text), "{:?}", text);
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.unwrap_err());
    for length in [255, 256, 300] {
        let text = format!("https://h/{}", "a".repeat(length));
        assert_eq!(read_stored(&text), takes(&stored, &text), "{length}");
    }
    for length in [500, 1010, 1100] {
        let text = format!("https://h{}", "/b".repeat(length));
        assert_eq!(read_stored(&text), takes(&stored, &text), "{length}");
    }
}

const IMAGE: &[&str] = &[
    "nginx",
    "a",
    "A",
    "0",
    "1.30",
    ".",
    "..",
    "-",
    "--",
    "_",
    "__",
    "___",
    "/",
    "//",
    ":",
    ":1",
    ":-1",
    ":5000/",
    "@",
    "@sha256:",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "@sha512:",
    "localhost/",
    "quay.io/",
    "Harbor.example/",
    "docker.io/library/",
    "docker://",
    "https://",
    "{arch}",
    "{uname}",
    "{x}",
    "{",
    " ",
    "ä",
    "[::1]:5000/",
];

#[test]
fn images() {
    agree::<Template<ImageRef>>(read::<Template<ImageRef>>, IMAGE);
    agree::<ImageRef>(read::<ImageRef>, IMAGE);
    agree::<Template<ServedName>>(read::<Template<ServedName>>, IMAGE);
    agree::<Prefix>(read::<Prefix>, IMAGE);
    agree::<ImagePrefix>(read::<ImagePrefix>, IMAGE);
    agree::<Digest>(
        read::<Digest>,
        &["", "sha256:", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "E", "g", "\n"],
    );
    for length in [128, 129] {
        let tagged = format!("nginx:{}", "1".repeat(length));
        assert_eq!(read::<ImageRef>(&tagged), takes(&validator::<ImageRef>(), &tagged), "{length}");
    }
    for length in [255, 256] {
        let name = "a".repeat(length);
        assert_eq!(read::<Prefix>(&name), takes(&validator::<Prefix>(), &name), "{length}");
        assert_eq!(read::<Template<ServedName>>(&name), takes(&validator::<Template<ServedName>>(), &name), "{length}");
    }
}

const PATH: &[&str] = &[
    "a",
    "B-c_d",
    ".a",
    "...",
    ".",
    "..",
    "/",
    "//",
    "./",
    "../",
    ".wh.",
    ".wh",
    "etc",
    "usr",
    "usr/lib",
    "lib64",
    "proc",
    "var/run",
    "docker-entrypoint.d",
    "*",
    "?",
    "[a]",
    "]",
    "{arch}",
    "{uname}",
    "{x}",
    "{",
    "}",
    " ",
    ";",
    "ä",
    "\n",
    "\u{85}",
    "\u{7f}",
    "\\",
    ":",
    "://",
    "https://h/k",
    "http://h/k.git",
    "git@h:k",
    "git@",
    "?ref=a",
    "?x=a",
    "&submodules",
    "github.com",
    "git://h",
    "oci://h",
    "ssh://",
    "github.com/",
    ".git",
    "#v1",
];

#[test]
fn paths() {
    agree::<Template<ContextPath>>(read::<Template<ContextPath>>, PATH);
    agree::<ContextPath>(read::<ContextPath>, PATH);
    agree::<Template<StoredPath>>(read::<Template<StoredPath>>, PATH);
    agree::<ServerRoot>(read::<ServerRoot>, PATH);
    agree::<ServerPath>(read::<ServerPath>, PATH);
    // No expression can compare two references of one URL.
    let checkout = |text: &str| match text.parse::<Checkout>() {
        Ok(_) => true,
        Err(invalid) => invalid.message.contains(": ref conflicts: "),
    };
    agree::<Checkout>(checkout, PATH);
    agree::<Inventory>(read::<Inventory>, PATH);
    let stored = validator::<Template<StoredPath>>();
    for text in [
        "a".repeat(255),
        "a".repeat(256),
        format!("b/{}", "a".repeat(255)),
        format!("b/{}", "a".repeat(256)),
        "a/".repeat(1023) + "ab",
        "a/".repeat(1024) + "ab",
    ] {
        assert_eq!(read::<Template<StoredPath>>(&text), takes(&stored, &text), "{} bytes", text.len());
    }
}

#[test]
fn secrets_and_headers() {
    agree::<SecretId>(read::<SecretId>, &["files-token", "_", ".", "-", "0", " ", "/", ",", "ä", "\n"]);
    agree::<HeaderValue>(read::<HeaderValue>, &["curl/8.5.0", "*/*;q=0.1", " ", "ä", "\r\n", "\u{7f}", "~"]);
}

/// What `${NAME}` stands for is known where it is built.
#[test]
fn texts_with_arguments_are_let_pass() {
    let validator = validator::<Digest>();
    for text in ["${SHA256}", "sha256:${A}", "$${"] {
        assert!(takes(&validator, text), "{text}");
    }
    for text in ["${", "${A", "${A:-x}", "${0}", "$A", "{A}"] {
        assert!(!takes(&validator, text), "{text}");
    }
}
