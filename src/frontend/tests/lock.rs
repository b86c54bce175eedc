//! The lock in a build: written by the target `lock`, found next to the definition, and held to.

use super::*;
use crate::name::Digest;

const REGISTRY: &str = "docker.io/library/registry:3";

/// The only file of a result.
fn file(returned: &Returned) -> (String, String) {
    assert_eq!(returned.references.keys().collect::<Vec<_>>(), [""], "a plain result");
    assert!(returned.metadata.is_empty(), "of no platform: {:?}", returned.metadata.keys());
    let written = ops(image(returned, "")).into_iter().find_map(|(_, op)| {
        let Some(pb::op::Op::File(file)) = op.op else { return None };
        file.actions.into_iter().find_map(|action| match action.action {
            Some(pb::file_action::Action::Mkfile(file)) => {
                Some((file.path, String::from_utf8(file.data).expect("text")))
            }
            _ => None,
        })
    });
    written.expect("it writes a file")
}

/// What the target `lock` writes: its path and its text.
pub(super) async fn write(fake: Fake) -> (String, String) {
    let none = || [Answer::fails("invalid response status 404")];
    let [amd64, arm64] = ["amd64", "arm64"].map(|arch| format!("{KUBELET}/{arch}/kubelet.sha256"));
    let fake = fake.option("target", "lock").http(&amd64, none()).http(&arm64, none());
    let helm = format!("{HELM}.sha256");
    let fake = if fake.knows(&helm) { fake } else { fake.http(&helm, none()) };
    file(&run(&fake).await.expect("written"))
}

/// The lock of [`project`].
async fn lock() -> String {
    write(project()).await.1
}

/// [`project`] with its lock next to the definition.
async fn locked() -> Fake {
    project().local("dockerfile", "kso.lock", lock().await)
}

fn http(image: &Solve) -> Vec<(String, String)> {
    let sources = image.sources().into_iter().filter(|source| source.identifier.starts_with("https:"));
    sources.map(|it| (it.identifier, it.attrs.get("http.checksum").cloned().unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_lock_is_written_whatever_the_platform_is() {
    let (path, text) = write(project()).await;
    assert_eq!(path, "/kso.lock");
    insta::assert_snapshot!(text);
    let other = project().option("platform", "linux/riscv64,linux/arm64").option("filename", "sub/my.yaml");
    let other = other.local("dockerfile", "sub/my.yaml", DEFINITION);
    assert_eq!(write(other).await, ("/sub/my.lock".into(), text));
}

/// BuildKit has each file in memory while it is read.
#[tokio::test(start_paused = true)]
async fn four_files_are_hashed_at_once() {
    let urls: Vec<String> = (0..8).map(|at| format!("https://h{at}.example/file")).collect();
    let list: String = urls.iter().map(|url| format!("  - url: {url}\n")).collect();
    let fake = daemon(&format!("apiVersion: kso/v1\nfiles:\n{list}"));
    let fake = urls.iter().fold(fake, |fake, url| {
        let missing = [Answer::fails("invalid response status 404")];
        fake.http(url, [Answer::bytes("a file")]).http(&format!("{url}.sha256"), missing)
    });
    run(&fake.clone().option("target", "lock")).await.expect("written");
    assert_eq!(most_held(&fake.log(), "solve [files "), 4, "{}", fake.log());
}

#[tokio::test(start_paused = true)]
async fn a_checksum_beside_a_file_vouches_for_it() {
    let digest = Digest::of(b"helm");
    let said = |text: String| project().http(&format!("{HELM}.sha256"), [Answer::bytes(text)]);
    let hex = digest.hex();
    for text in [hex.to_owned(), format!("{hex}  helm-v3.14.2.tgz\n"), format!("{}\n\n", hex.to_uppercase())] {
        assert!(write(said(text)).await.1.contains("\"checksum\": \"upstream\""));
    }
    for text in ["<html>", "", &format!("{hex} a\n{hex} b\n")] {
        assert!(!write(said(text.to_owned())).await.1.contains("upstream"), "{text}");
    }
    let other = Digest::of(b"other");
    let told = told(&said(other.to_string()).option("target", "lock")).await;
    let expected = format!("{HELM} has {digest}, but the `.sha256` file next to it says {other}");
    assert!(told.contains(&expected), "{told}");
}

#[tokio::test]
async fn with_a_lock_nothing_is_resolved_and_every_file_is_pinned() {
    let fake = locked().await.option("platform", BOTH);
    let returned = run(&fake).await.expect("built");
    assert!(fake.log().contains("note [lock] kso.lock, 4 entries"), "{}", fake.log());
    assert!(!fake.log().contains("resolve docker-image://"), "{}", fake.log());
    let sources = http(image(&returned, "linux/arm64"));
    assert_eq!(sources.len(), 3);
    assert!(sources.iter().all(|(_, checksum)| checksum.starts_with("sha256:")), "{sources:?}");

    let unlocked = project().option("platform", BOTH);
    let without = run(&unlocked).await.expect("built");
    assert!(unlocked.log().contains("note [lock] none"), "{}", unlocked.log());
    for platform in ["linux/amd64", "linux/arm64"] {
        assert_eq!(base(image(&returned, platform)), base(image(&without, platform)));
        let config = |returned: &Returned| returned.text(&format!("containerimage.config/{platform}"));
        assert_eq!(config(&returned), config(&without));
    }
}

#[tokio::test]
async fn a_platform_that_was_not_locked_is_found_by_the_digest() {
    let lock = lock().await;
    let digest = lock.lines().find_map(|line| line.trim().strip_prefix("\"digest\": \"")).expect("a base image");
    let pinned = format!("{NGINX}@{}", &digest[..71]);
    let fake = project().local("dockerfile", "kso.lock", lock.clone()).option("platform", "linux/riscv64");
    let fake = fake.image(&pinned, "{\"os\":\"linux\"}");
    let returned = run(&fake).await.expect("built");
    assert_eq!(base(image(&returned, "")), (format!("docker-image://{pinned}"), "riscv64".into()));
}

#[tokio::test]
async fn a_base_image_of_the_user_wins_over_the_lock() {
    let own = "mirror.example/nginx:2";
    let fake = locked().await.image(own, "{}").option("platform", "linux/arm64");
    let fake = fake.option("context:nginx:1.27-alpine", &format!("docker-image://{own}"));
    let returned = run(&fake).await.expect("built");
    assert!(base(image(&returned, "")).0.starts_with(&format!("docker-image://{own}@")));
}

/// Every way in which a lock does not fit has a picture.
#[tokio::test]
async fn what_does_not_fit_is_told() {
    let lock = lock().await;
    let kubelet = format!("{KUBELET}/amd64/kubelet");
    let with = |lock: String| project().local("dockerfile", "kso.lock", lock);
    let pinned = format!(
        "apiVersion: kso/v1\nfiles:\n  - {{ url: '{HELM}', sha256: '{}' }}\n  - url: https://new.example/x\n",
        Digest::of(b"new")
    );
    let other_definition = daemon(&pinned).local("dockerfile", "kso.lock", lock.clone());
    let images = daemon("apiVersion: kso/v1\nimages: [{ image: 'nginx:1' }]\n");
    let told = [
        ("other files", told(&other_definition).await),
        ("another URL", told(&with(lock.replace(&kubelet, "https://dl.k8s.io/kubelet"))).await),
        ("another target", told(&images.local("dockerfile", "kso.lock", lock.clone())).await),
        ("another schema", told(&with(lock.replace("\"version\": 1", "\"version\": 9"))).await),
        ("another layout", told(&with(lock.replace("\"layout\": 1", "\"layout\": 9"))).await),
        ("no JSON", told(&with("[lock]\n".into())).await),
        ("a folder", told(&project().local("dockerfile", "kso.lock/x", "")).await),
        ("no lock", told(&project().option("build-arg:KSO_LOCK", "required")).await),
        ("what is that", told(&project().option("build-arg:KSO_LOCK", "maybe")).await),
    ];
    let told: Vec<String> = told.into_iter().map(|(what, told)| format!("--- {what}\n{told}\n")).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn other_bytes_than_those_of_the_lock_name_its_entry() {
    let lock = lock().await;
    let fake = project().http(HELM, [Answer::bytes("replaced")]).local("dockerfile", "kso.lock", lock);
    insta::assert_snapshot!(told(&fake).await);
}

#[tokio::test]
async fn a_lock_may_be_ignored_or_lie_elsewhere() {
    let lock = lock().await;
    let broken = project().local("dockerfile", "kso.lock", "broken").option("build-arg:KSO_LOCK", "ignore");
    run(&broken).await.expect("built");
    assert!(broken.log().contains("note [lock] ignored"), "{}", broken.log());
    let broken = project().local("dockerfile", "kso.lock", "broken");
    assert_eq!(write(broken).await.1, lock, "written past a broken one");

    let named = || {
        let definition = format!("{DEFINITION}lock: locks/my.lock\n");
        project().local("dockerfile", "kso.yaml", definition).local("dockerfile", "kso.lock", "broken")
    };
    let missing = told(&named()).await;
    assert!(missing.contains("the lock `locks/my.lock` does not exist") && missing.contains("kso.yaml:5"), "{missing}");
    assert_eq!(write(named()).await.0, "/locks/my.lock");
    let named = named().local("context", "locks/my.lock", lock.clone());
    run(&named).await.expect("built");
    assert!(named.log().contains("note [lock] locks/my.lock, 4 entries"), "{}", named.log());

    let stdin = || project().option("filename", "Dockerfile").local("dockerfile", "Dockerfile", DEFINITION);
    assert_eq!(write(stdin()).await.0, "/kso.lock");
    let stdin = stdin().local("context", "kso.lock", lock);
    run(&stdin).await.expect("built");
    assert!(stdin.log().contains("note [lock] kso.lock, 4 entries"), "{}", stdin.log());
}

#[tokio::test]
async fn what_nobody_asks_for_is_a_warning() {
    let lock = lock().await;
    let fake =
        daemon(&format!("apiVersion: kso/v1\nfiles: [{{ url: '{HELM}' }}]\n")).http(HELM, [Answer::bytes("helm")]);
    let fake = fake.local("dockerfile", "kso.lock", lock);
    run(&fake).await.expect("built");
    let warning = fake.warnings().first().map(|it| it.warning.short.clone()).expect("a warning");
    let expected = "UnusedLockEntry: the definition does not use entries of the lock `kso.lock`: \
                    https://dl.k8s.io/release/v1.29.10/bin/linux/amd64/kubelet, \
                    https://dl.k8s.io/release/v1.29.10/bin/linux/arm64/kubelet";
    assert_eq!(warning, expected);
}

#[tokio::test(start_paused = true)]
async fn all_that_cannot_be_locked_is_told_at_once() {
    let definition = format!("{DEFINITION}images: [{{ image: 'quay.io/a/b:1' }}]\n");
    let fake =
        project().local("dockerfile", "kso.yaml", definition).image_fails(NGINX, "not found").option("target", "lock");
    let fake = fake.http(HELM, [Answer::fails("invalid response status 404")]);
    let told = told(&fake).await;
    for part in [HELM, NGINX, REGISTRY, "cannot resolve quay.io/a/b:1"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
