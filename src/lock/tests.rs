//! The lock as a whole: what is written is read, and what is wrong is reported.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::base::BaseImage;
use crate::diagnostic::{Source, Span, render};
use crate::kind::files::{ChecksumSource, FileAnswer};
use crate::kind::images::locked::tests::{sample, single};
use crate::name::{Arch, Digest, Platform};
use crate::producer::kubespray::{DownloadSet, Question};

fn file(number: usize) -> LockedFile {
    let url = format!("https://dl.example/v{number}/kubelet");
    LockedFile {
        path: format!("dl.example/v{number}/kubelet").parse().expect("a path"),
        sha256: Digest::of(url.as_bytes()),
        url: url.parse().expect("a URL"),
        bytes: 10_000 + number as u64,
        checksum: ChecksumSource::FirstUse,
    }
}

fn base() -> LockedBase {
    let configs = [("linux/amd64", "{\n\r}\n"), ("linux/arm64", "{}")];
    let configs = configs.map(|(platform, config)| (platform.parse().expect("a platform"), config.to_owned()));
    let reference = "nginx:1.27-alpine".parse().expect("a reference");
    LockedBase::new(reference, Digest::of(b"index"), BTreeMap::from(configs)).expect("a base")
}

fn kubespray() -> LockedKubespray {
    let inputs = [("inventory/all.yml", "a"), ("vars.helm_enabled", "b")];
    let list = |arch: Arch, name: &str| (arch, BTreeSet::from([name.replace("{arch}", arch.as_str())]));
    LockedKubespray {
        source: "https://github.com/kubernetes-sigs/kubespray.git#v2.25.0".into(),
        commit: Some("7e0a40725145104b8a07c3f5a0b0a7f2a1c5e7d1".into()),
        include: DownloadSet::Enabled,
        inputs: inputs.map(|(name, text)| (name.to_owned(), Digest::of(text.as_bytes()))).into(),
        files: Arch::ALL.map(|arch| list(arch, "https://dl.example/{arch}/kubelet")).into(),
        images: Arch::ALL.map(|arch| list(arch, "quay.io/example/tool:1")).into(),
    }
}

fn lock() -> Lock {
    let mut lock = Lock::new(1);
    lock.kubespray = Some(kubespray());
    lock.put_base(base());
    for number in [2, 1] {
        lock.put_file(file(number));
    }
    lock.put_image(single());
    lock
}

fn read(text: &str) -> Result<LockFile, String> {
    Lock::read(&Source::new("kso.lock", text)).map_err(|problems| render(&problems, 10))
}

#[test]
fn what_is_written_is_read() {
    let text = lock().write();
    insta::assert_snapshot!(text);
    let found = read(&text).expect("a lock");
    assert_eq!((found.lock(), found.name()), (&lock(), "kso.lock"));
    let line = |name: Name| found.span(&name).map(|span| span.text().to_owned());
    assert_eq!(line(Name::File(file(2).path)).as_deref(), Some("\"dl.example/v2/kubelet\""));
    assert_eq!(
        line(Name::Base(base().reference().clone())).as_deref(),
        Some("\"docker.io/library/nginx:1.27-alpine\"")
    );
    assert_eq!(line(Name::Layout).as_deref(), Some("1"));
    assert_eq!(line(Name::File(file(3).path)), None);
    let empty = Lock::new(1);
    assert_eq!(read(&empty.write()).expect("a lock").lock(), &empty);
}

#[test]
fn what_people_do_to_a_file_makes_no_difference() {
    let text = lock().write();
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut turned = value.clone();
    turned["files"].as_array_mut().expect("files").reverse();
    let capitals = text.replace("https://dl.example/v1", "HTTPS://DL.example:443/v1");
    assert_ne!(capitals, text);
    for same in [value.to_string(), turned.to_string(), text.replace('\n', "\r\n"), format!("\n\n{text}\n"), capitals] {
        assert_eq!(read(&same).expect("a lock").lock(), &lock(), "{same}");
        assert_eq!(read(&same).expect("a lock").lock().write(), text);
    }
}

/// Every mistake has a picture.
#[test]
fn what_is_wrong_is_told_with_its_lines() {
    let text = lock().write();
    let change = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        changed
    };
    let digest = file(1).sha256.to_string();
    let wrong = [
        ("no JSON", "<html>".to_owned()),
        ("empty", String::new()),
        ("another file", "{\"lockfileVersion\": 3}".to_owned()),
        ("a list", "[]".to_owned()),
        ("a newer version", change("\"version\": 1", "\"version\": 2")),
        ("an unknown version", change("\"version\": 1", "\"version\": \"1\"")),
        ("no layout", change("  \"layout\": 1,\n", "")),
        ("layout 0", change("\"layout\": 1", "\"layout\": 0")),
        ("an unknown key", change("\"files\": [", "\"packages\": [],\n  \"files\": [")),
        ("an unknown key of a file", change("\"bytes\"", "\"size\"")),
        ("a wrong digest", change(&digest, &digest[..70])),
        ("a wrong number", change("10001", "\"10001\"")),
        ("a wrong source of a checksum", change("first-use", "trust-me")),
        (
            "a second entry",
            change("dl.example/v2/kubelet\",\n      \"sha256", "dl.example/v1/kubelet\",\n      \"sha256"),
        ),
        ("a second digest", change(&format!("\"{digest}\""), &format!("\"{digest}\", \"sha256\": \"{digest}\""))),
        ("a changed config", change("\"{}\"", "\"{ }\"")),
        ("a changed manifest", change("\"  \\\"schemaVersion\\\": 2,\"", "\"  \\\"schemaVersion\\\":  2,\"")),
        ("bytes that contradict", change("\"bytes\": 49", "\"bytes\": 50")),
        ("a merge conflict", change("  \"files\": [", "<<<<<<< HEAD\n  \"files\": [")),
        ("cut", text[..text.len() / 2].to_owned()),
        ("a list for no architecture", change("\"arm64\": [", "\"sparc\": [")),
        ("two lists for one", change("\"arm64\": [", "\"amd64\": [")),
        ("two mistakes", change("10001", "-1").replacen("10002", "1.5", 1)),
    ];
    let told = wrong.iter().map(|(what, text)| {
        let told = read(text).expect_err(what);
        format!("--- {what}\n{told}")
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_change_of_kubespray_is_named() {
    let then = kubespray();
    let mut inputs = then.inputs.clone();
    let now = Question {
        source: &then.source,
        include: DownloadSet::Enabled,
        architectures: &[Arch::Arm64],
        inputs: &inputs.clone(),
    };
    assert!(then.changed(now).is_empty());
    inputs.insert("inventory/new.yml".into(), Digest::of(b""));
    inputs.insert("vars.helm_enabled".into(), Digest::of(b"c"));
    let mut fewer = then.clone();
    fewer.images.remove(&Arch::Arm64);
    let now = Question { source: "kubespray", include: DownloadSet::All, inputs: &inputs, ..now };
    let changed = fewer.changed(now);
    let names = ["source", "include", "architectures", "inventory/new.yml", "vars.helm_enabled"];
    assert_eq!(changed.names().collect::<Vec<_>>(), names);
    assert_eq!(
        then.changed(Question { inputs: &BTreeMap::new(), ..now }).inputs,
        ["inventory/all.yml", "vars.helm_enabled"]
    );
}

/// What rendering gave comes back as it was.
#[test]
fn lists_of_kubespray_are_kept() {
    let then = kubespray();
    let now = Question { source: &then.source, include: then.include, architectures: &Arch::ALL, inputs: &then.inputs };
    let source = Source::new("kso.lock", "x");
    let rendered = then.rendered(&Arch::ALL, &Span::new(&source, 0..1));
    assert_eq!((rendered.files.len(), rendered.images.len()), (2, 2));
    assert_eq!(LockedKubespray::of(now, then.commit.clone(), &rendered), then);
    assert_eq!(then.difference(&rendered, &Arch::ALL), (0, 0));
    let of_arm64 = then.rendered(&[Arch::Arm64], &Span::new(&source, 0..1));
    assert_eq!(then.difference(&of_arm64, &[Arch::Arm64]), (0, 0));
    assert_eq!(then.difference(&of_arm64, &Arch::ALL), (0, 2));
    let mut more = then.clone();
    more.files.insert(Arch::Amd64, ["https://dl.example/new".to_owned()].into());
    let more = more.rendered(&Arch::ALL, &Span::new(&source, 0..1));
    assert_eq!(then.difference(&more, &Arch::ALL), (1, 1));
    assert_eq!(
        then.rendered(&[Arch::Arm64], &Span::new(&source, 0..1)).files[0].url,
        "https://dl.example/arm64/kubelet"
    );
}

#[test]
fn a_hundred_thousand_entries() {
    let mut lock = Lock::new(1);
    for number in 0..100_000 {
        lock.put_file(file(number));
    }
    let text = lock.write();
    assert!(text.len() < MAX_LOCK_BYTES, "{}", text.len());
    let found = read(&text).expect("a lock");
    assert_eq!((found.lock().entries(), found.lock() == &lock), (100_000, true));
    let wrong = text.replacen("\"bytes\": 10", "\"bytes\": -10", 10_000);
    let problems = Lock::read(&Source::new("kso.lock", wrong)).expect_err("mistakes");
    assert_eq!(problems.len(), 10_000);
}

#[test]
fn depth_is_no_danger() {
    for deep in ["[".repeat(1_000_000), format!("{{\"version\": 1, \"files\": {}", "{\"a\":".repeat(1_000_000))] {
        assert!(read(&deep).is_err());
    }
}

fn any_lock() -> impl Strategy<Value = Lock> {
    let sources = prop_oneof![
        Just(ChecksumSource::Definition),
        Just(ChecksumSource::Kubespray),
        Just(ChecksumSource::Upstream),
        Just(ChecksumSource::FirstUse)
    ];
    let files = proptest::collection::vec(("[a-zA-Z0-9~ä.-]{1,8}", any::<u64>(), sources), 0..5);
    let bases = proptest::collection::vec(("[a-z]{1,8}", "\\PC{0,20}", any::<bool>()), 0..3);
    let images = proptest::collection::vec(("[a-z]{1,8}", "[a-z]{1,8}:[a-z0-9]{1,4}"), 0..3);
    let kubespray = proptest::option::of((".{0,8}", proptest::option::of("[0-9a-f]{40}"), "\\PC{0,8}"));
    (1_u32.., files, bases, images, kubespray).prop_map(|(layout, files, bases, images, kubespray)| {
        let mut lock = Lock::new(layout);
        for (name, bytes, checksum) in files {
            let url = format!("https://h.example/{}", name.trim_matches('.')).parse::<crate::name::FileUrl>();
            let (Ok(url), Ok(path)) = (url, format!("x{name}").parse()) else { continue };
            lock.put_file(LockedFile { url, path, sha256: Digest::of(name.as_bytes()), bytes, checksum });
        }
        for (name, config, crlf) in bases {
            let config = if crlf { config.replace(' ', "\r\n") } else { config.replace(' ', "\n") };
            let configs = BTreeMap::from([(Platform::linux(Arch::Amd64), config)]);
            let base = LockedBase::new(name.parse().expect("a reference"), Digest::of(name.as_bytes()), configs);
            lock.put_base(base.expect("a base"));
        }
        for (name, served) in images {
            let mut image = sample(&name);
            image.served.insert(served.parse().expect("a name"));
            lock.put_image(image);
        }
        lock.kubespray = kubespray.map(|(source, commit, input)| {
            let inputs = BTreeMap::from([(input, Digest::of(source.as_bytes()))]);
            LockedKubespray { source, commit, inputs, ..self::kubespray() }
        });
        lock
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_lock_is_read_back(lock in any_lock()) {
        let text = lock.write();
        let found = read(&text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(found.lock(), &lock);
        prop_assert_eq!(found.lock().write(), text);
    }

    #[test]
    fn a_hand_is_noticed_or_makes_no_difference(at in any::<proptest::sample::Index>(), cut in 0..40_usize, put in "[\"{}\\[\\],:0-9a-z\\n ]{0,6}") {
        let good = lock();
        let mut text = good.write();
        let (at, mut end) = (at.index(text.len()), 0);
        let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        end += (at + cut).min(text.len());
        let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(at);
        text.replace_range(at..end, &put);
        // An edit may give another lock, of other names or sizes: but then one that is itself written and read.
        if let Ok(found) = read(&text) {
            let again = found.lock().write();
            let again = read(&again).map_err(TestCaseError::fail)?;
            prop_assert_eq!(again.lock(), found.lock());
        }
    }
}

fn spec(definition: &str) -> crate::definition::Spec {
    let mut problems = Vec::new();
    let definition = crate::definition::Definition::parse(&Source::new("kso.yaml", definition), &mut problems);
    let spec = definition.expect("a definition").expand(&BTreeMap::new(), &mut problems);
    assert_eq!(render(&problems, 10), "");
    spec
}

#[test]
fn a_specification_and_answers_make_a_lock() {
    let pin = Digest::of(b"a");
    let spec = spec(&format!(
        "apiVersion: kso/v1
files:
  - url: https://h.example/c
  - {{ url: 'https://h.example/a', sha256: '{pin}' }}
  - url: https://h.example/b
images:
  - image: nginx:{{arch}}
  - {{ image: 'quay.io/a/b:1', as: 'two/b:1' }}
  - image: quay.io/a/b:1
"
    ));
    let wanted: Vec<_> =
        images::to_ask(&spec.images).iter().map(|it| (it.reference.to_string(), it.spans.len())).collect();
    let name = |name: &str, lines| (name.to_owned(), lines);
    let nginx = ["docker.io/library/nginx:amd64", "docker.io/library/nginx:arm64"];
    assert_eq!(wanted, [name(nginx[0], 1), name(nginx[1], 1), name("quay.io/a/b:1", 2)]);
    let bases: Vec<String> = spec.bases().keys().map(ToString::to_string).collect();
    assert_eq!(bases, ["docker.io/library/nginx:1.27-alpine", "docker.io/library/registry:3"]);
    assert_eq!(spec.platforms(), Arch::ALL.map(Platform::linux));
    let file = |text: &str, vouched| FileAnswer { sha256: Digest::of(text.as_bytes()), bytes: 1, vouched };
    let answers = Answers {
        bases: vec![base()],
        files: vec![file("a", true), file("b", true), file("c", false)],
        images: vec![sample("quay.io/a/b:1").resolved],
        ..Answers::default()
    };
    let lock = Lock::of(&spec, 7, answers).expect("they agree");
    let files: Vec<_> = lock.files().map(|file| (file.path.as_str(), file.checksum.as_str())).collect();
    assert_eq!(files, [("h.example/a", "definition"), ("h.example/b", "upstream"), ("h.example/c", "first-use")]);
    let image = lock.image(&"quay.io/a/b:1".parse().expect("a reference")).expect("an image");
    let served: Vec<_> = image.served.iter().map(ToString::to_string).collect();
    assert_eq!((served.join(" ").as_str(), lock.layout, lock.entries()), ("k8s/quay.io/a/b:1 two/b:1", 7, 5));
    assert_eq!(read(&lock.write()).expect("a lock").lock(), &lock);
}

#[test]
fn the_schema_takes_what_is_written() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("JSON");
    let mut lock = lock();
    lock.put_image(sample("quay.io/a/b:1"));
    let written: serde_json::Value = serde_json::from_str(&lock.write()).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let refused: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
    assert_eq!(refused, [""; 0]);
}

#[test]
fn a_lock_is_named_like_its_definition() {
    for (definition, lock) in [
        ("kso.yaml", "kso.lock"),
        ("sub.d/my", "sub.d/my.lock"),
        ("sub/my.kso.yaml", "sub/my.kso.lock"),
        (".kso", ".kso.lock"),
        ("sub/.kso", "sub/.kso.lock"),
        ("Dockerfile", "Dockerfile.lock"),
    ] {
        assert_eq!(super::path_beside(definition), lock);
    }
}

#[test]
fn a_platform_that_is_none_is_an_error() {
    let mut lock = Lock::new(1);
    lock.put_base(base());
    let text = lock.write().replace("\"linux/arm64\"", "\"arm64\"");
    let problems = Lock::read(&Source::new("kso.lock", text)).expect_err("it is no platform");
    assert!(problems[0].message.ends_with("names `arm64` for a platform, which is `OS/ARCHITECTURE`"), "{problems:?}");
}

#[test]
fn a_lock_of_another_version() {
    let of = |version: &str| read(&lock().write().replacen("\"version\": 1", &format!("\"version\": {version}"), 1));
    assert!(of("0").unwrap_err().contains("unknown lock version `0`"));
    assert!(of("2").unwrap_err().contains("version 2, which is newer"));
    assert_eq!(MAX_LOCK_BYTES, 67_108_864);
}

#[test]
fn entries_are_found_by_their_names() {
    let lock = lock();
    assert_eq!(lock.file(&file(1).path), Some(&file(1)));
    assert_eq!(lock.file(&file(3).path), None);
    assert_eq!(lock.base(base().reference()), Some(&base()));
    assert_eq!(lock.base(single().reference()), None);
    assert_eq!(lock.image(single().reference()), Some(&single()));
}

#[test]
fn a_base_image_of_the_lock() {
    let [amd64, other] = ["linux/amd64", "linux/s390x"].map(|name| name.parse::<Platform>().expect("a platform"));
    let (base, lock) = (base(), lock());
    let configs: Vec<_> =
        base.configs().iter().map(|(platform, config)| (platform.to_string(), config.as_str())).collect();
    assert_eq!(configs, [("linux/amd64".into(), "{\n\r}\n"), ("linux/arm64".into(), "{}")]);
    let pinned = base.pinned();
    assert_eq!(pinned.as_str(), format!("docker.io/library/nginx:1.27-alpine@{}", Digest::of(b"index")));
    let found = base.base(&amd64).expect("a platform of the lock");
    assert_eq!((found.platform, found.reference, found.config), (amd64.clone(), pinned.clone(), b"{\n\r}\n".to_vec()));
    assert!(base.base(&other).is_none());
    let assumed = |lock: Option<&Lock>| {
        let bases = assumed_bases(base.reference(), lock, &[amd64.clone(), other.clone()]);
        let parts = |base: BaseImage| (base.platform, base.reference, String::from_utf8(base.config).expect("text"));
        bases.into_iter().map(parts).collect::<Vec<_>>()
    };
    let (named, empty) = (base.reference().clone(), "{}".to_owned());
    assert_eq!(assumed(None), [(amd64.clone(), named.clone(), empty.clone()), (other.clone(), named, empty.clone())]);
    assert_eq!(
        assumed(Some(&lock)),
        [(amd64.clone(), pinned.clone(), "{\n\r}\n".to_owned()), (other.clone(), pinned, empty)]
    );
}

/// What a lock with entries for these files of `dl.example` says of a definition that asks for the file 1.
fn fits(files: impl IntoIterator<Item = usize>) -> (Option<Digest>, Vec<String>) {
    let mut lock = Lock::new(1);
    lock.put_base(base());
    for number in files {
        lock.put_file(file(number));
    }
    let mut spec = spec("apiVersion: kso/v1\nfiles:\n  - url: https://dl.example/v1/kubelet\n");
    let mut warnings = Vec::new();
    let fit = read(&lock.write()).expect("a lock").fit(&mut spec, &mut warnings);
    let problems = fit.map_or_else(|problems| problems, |_| warnings);
    let sha256 = spec.files[0].sha256.clone();
    (sha256, problems.into_iter().map(|problem| problem.message).collect())
}

#[test]
fn a_lock_pins_the_files_and_names_what_is_not_used() {
    let pinned = Some(file(1).sha256);
    assert_eq!(fits([1]), (pinned.clone(), vec![]));
    let missing = "the lock `kso.lock` has no entry for https://dl.example/v1/kubelet";
    assert_eq!(fits([2]), (None, vec![missing.into()]));
    let unused = |names: &str| vec![format!("the definition does not use entries of the lock `kso.lock`: {names}")];
    let url = |number: usize| format!("https://dl.example/v{number}/kubelet");
    assert_eq!(fits([1, 2]), (pinned.clone(), unused(&url(2))));
    let three = format!("{}, {}, {}", url(2), url(3), url(4));
    assert_eq!(fits(1..=4), (pinned.clone(), unused(&three)));
    assert_eq!(fits(1..=6), (pinned, unused(&format!("{three} and 2 more"))));
}

#[test]
fn unused_images_are_named_too() {
    let mut spec = spec("apiVersion: kso/v1\nfiles:\n  - url: https://dl.example/v1/kubelet\n");
    let mut lock = lock();
    let other = "h.io/base:1".parse().expect("a name");
    lock.put_base(LockedBase::new(other, Digest::of(b"b"), base().configs().clone()).expect("a base"));
    let mut warnings = Vec::new();
    let _ = read(&lock.write()).expect("a lock").fit(&mut spec, &mut warnings).expect("it fits");
    let names = format!("https://dl.example/v2/kubelet, {}, h.io/base:1", single().reference());
    assert!(warnings[0].message.ends_with(&names), "{}", warnings[0].message);
}
