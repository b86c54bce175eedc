//! The rules and the parser say the same of every combination of keys.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::definition::{Definition, json_schema};
use crate::diagnostic::{Diagnostic, Source};

/// Whether kso finds nothing wrong. Warnings are none of a schema's business.
fn good(definition: &Value) -> bool {
    let source = Source::new("kso.yaml", definition.to_string());
    let mut problems = Vec::new();
    if let Some(definition) = Definition::parse(&source, &mut problems) {
        let list = |name: &str, text: &str| (name.to_owned(), Ok(Source::new(name, text)));
        let lists = [
            list("a.list", "https://x.example/z\n"),
            list("i.list", "x.example/z:1\n"),
            list("t.yaml", "- {src: x, dest: y}\n"),
        ];
        definition.expand(&BTreeMap::from(lists), &mut problems);
    }
    !problems.iter().any(Diagnostic::is_error)
}

/// Every object that has one of the values for each key; `Null` stands for none.
fn combinations(keys: &[(&str, Vec<Value>)]) -> Vec<Value> {
    let mut all = vec![Map::new()];
    for (key, values) in keys {
        let with = |object: &Map<String, Value>, value: &Value| {
            let mut object = object.clone();
            if !value.is_null() {
                object.insert((*key).to_owned(), value.clone());
            }
            object
        };
        all = all.iter().flat_map(|object| values.iter().map(|value| with(object, value))).collect();
    }
    all.into_iter().map(Value::from).collect()
}

/// Asserts that the schema refuses what kso refuses, and nothing else. It may let more pass where an argument stands, or where
/// two checksums would have to be compared.
fn agree(definitions: impl Iterator<Item = Value>) {
    let schema: Value = serde_json::from_str(&json_schema()).expect("JSON");
    let validator: Validator = jsonschema::validator_for(&schema).expect("a schema");
    let (mut count, mut refused) = (0, 0);
    for definition in definitions {
        let (by_kso, by_schema) = (good(&definition), validator.is_valid(&definition));
        assert!(by_schema || !by_kso, "the schema refuses {definition}");
        let text = definition.to_string();
        let open = text.contains("${") || text.contains(DIGEST) && text.contains(OTHER) && text.contains("\"a/b\"");
        assert!(by_kso || !by_schema || open, "the schema lets pass {definition}");
        count += 1;
        refused += usize::from(!by_kso);
    }
    assert!(refused > 0 && refused < count, "{refused} of {count} refused");
}

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OTHER: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn files() {
    let entries = combinations(&[
        ("list", vec![json!(null), json!("a.list")]),
        (
            "url",
            ["https://h/{arch}", "https://h/a", "https://h/{uname}?b", "ftp://x", "https://h/${A}"]
                .map(Value::from)
                .into(),
        ),
        (
            "sha256",
            vec![
                json!(null),
                json!(DIGEST),
                json!("x"),
                json!("${D}"),
                json!(7),
                json!({}),
                json!({ "amd64": DIGEST }),
                json!({ "amd64": DIGEST, "arm64": OTHER }),
                json!({ "amd64": DIGEST, "arm64": "x" }),
                json!({ "amd64": DIGEST, "arm": OTHER }),
            ],
        ),
        ("path", vec![json!(null), json!("a/b"), json!("{arch}/b"), json!("../b"), json!("${A}")]),
    ]);
    let bare = combinations(&[("sha256", vec![json!(null), json!(DIGEST)]), ("sha", vec![json!(null), json!("x")])]);
    let entries: Vec<Value> = entries.into_iter().chain(bare).collect();
    let architectures = [
        json!(null),
        json!(["amd64"]),
        json!(["arm64"]),
        json!(["arm64", "amd64"]),
        json!(["${A}"]),
        json!(["arm"]),
        json!([]),
    ];
    agree(architectures.iter().flat_map(|architectures| {
        entries.iter().map(move |entry| {
            let args = json!({ "A": "amd64", "D": DIGEST });
            let mut whole = json!({ "apiVersion": "kso/v1", "args": args, "files": [entry] });
            if !architectures.is_null() {
                whole["architectures"] = architectures.clone();
            }
            whole
        })
    }));
}

#[test]
fn images() {
    let entries = combinations(&[
        ("list", vec![json!(null), json!("i.list"), json!("/i")]),
        ("image", vec![json!(null), json!("quay.io/a:1"), json!("A"), json!([])]),
        ("as", vec![json!(null), json!("b:2"), json!("B")]),
        ("rename", vec![json!(null), json!("t.yaml"), json!("t/../u")]),
        ("imag", vec![json!(null), json!("x")]),
    ]);
    let others = [json!(null), json!({ "rename": "t.yaml" }), json!({ "image": "other:1" })];
    agree(others.iter().flat_map(|other| {
        entries.iter().map(move |entry| {
            let images = if other.is_null() { json!([entry]) } else { json!([entry, other]) };
            json!({ "apiVersion": "kso/v1", "images": images })
        })
    }));
}

#[test]
fn servers_and_mirrors() {
    let whole = |key: &'static str, value: &Value| json!({ "apiVersion": "kso/v1", "files": [{ "url": "https://h.example/a" }], key: value });
    let text = |texts: &[&str]| std::iter::once(Value::Null).chain(texts.iter().map(|text| json!(text))).collect();
    let servers = combinations(&[
        ("root", text(&["/", "/srv", "/usr", "/usr/local", "/usr/lib", "/var", "/etc/x", "/dev", "opt", "${A}"])),
        (
            "path",
            text(&[
                "lib",
                "lib64/x",
                "library",
                "local",
                "local/bin",
                "local/share",
                "run",
                "runs",
                "../x",
                "share",
                "",
            ]),
        ),
        ("layers", vec![json!(null), json!(50), json!(401), json!("90")]),
    ]);
    agree(servers.iter().map(|server| {
        let mut whole = whole("fileServer", server);
        whole["args"] = json!({ "A": "/srv" });
        whole
    }));
    let registries = combinations(&[
        ("prefix", text(&["", "k8s", "a/b", "A", "/a"])),
        ("architectures", text(&["match", "all", "both"])),
        ("attestations", vec![json!(null), json!(true), json!("true")]),
        ("image", text(&["registry:3", "{arch}", "1.30"])),
    ]);
    agree(registries.iter().map(|registry| whole("registry", registry)));
    let places = [
        json!(null),
        json!([]),
        json!(["https://m.example/"]),
        json!(["https://m.example"]),
        json!(["m.example/a/"]),
        json!(["m.example/a/", "https://m.example/"]),
        json!(["https://m.example/", "m.example/a/"]),
        json!(["${F}", "https://m.example/"]),
        json!(["${I}", "m.example/"]),
        json!([7]),
        json!("m.example/"),
    ];
    let mirrors = combinations(&[
        ("from", text(&["https://h.example/", "https://h.example", "quay.io/", "quay.io", "calico/", "${F}", "${I}"])),
        ("to", places.into()),
        ("form", text(&["x"])),
    ]);
    agree(mirrors.iter().map(|mirror| {
        let mut whole = whole("mirrors", &json!([mirror]));
        whole["args"] = json!({ "F": "https://f.example/", "I": "i.example/" });
        whole
    }));
    let hosts = combinations(&[
        ("at", text(&["https://h.example/", "https://h.example", "{arch}"])),
        ("secret", text(&["token", "Bearer x"])),
        (
            "headers",
            vec![
                json!(null),
                json!({}),
                json!({ "Accept": "*/*" }),
                json!({ "accept": " " }),
                json!({ "x": "y" }),
                json!([]),
            ],
        ),
        ("secrte", text(&["x"])),
    ]);
    agree(hosts.iter().map(|host| whole("hosts", &json!([host]))));
}

#[test]
fn kubespray_and_the_whole() {
    let text = |texts: &[&str]| std::iter::once(Value::Null).chain(texts.iter().map(|text| json!(text))).collect();
    let kubespray = combinations(&[
        ("source", text(&["https://h/k.git#v1", "https://h/k", "kubespray", "."])),
        ("inventory", text(&["inventory/mine", "inventory/hosts.yml", "{x}", "/x"])),
        ("vars", vec![json!(null), json!({ "a": [1, null] }), json!([])]),
        ("include", text(&["all", "enabled", "some"])),
        ("sorce", text(&["x"])),
    ]);
    agree(kubespray.iter().map(|it| json!({ "apiVersion": "kso/v1", "kubespray": it })));
    let wholes = combinations(&[
        ("apiVersion", vec![json!(null), json!("kso/v1"), json!("kso/v2"), json!(1)]),
        ("files", vec![json!(null), json!([]), json!([{ "url": "https://h.example/a" }]), json!({})]),
        ("images", vec![json!(null), json!([{ "image": "a:1" }]), json!("x")]),
        (
            "args",
            vec![
                json!(null),
                json!({ "A": "x" }),
                json!({ "KSO_X": "x" }),
                json!({ "a-b": "x" }),
                json!({ "no_proxy": "x" }),
                json!({ "A": 1 }),
            ],
        ),
        ("lock", text(&["a/kso.lock", "../kso.lock", "a{b"])),
        ("file", text(&["x"])),
    ]);
    agree(wholes.into_iter());
}
