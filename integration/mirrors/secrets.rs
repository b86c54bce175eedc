//! What is sent to a file server: a secret as `Authorization`, which is found nowhere afterwards, and plain headers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{Auth, BuildOutput, FRONTEND, Fault, Harness, Kind, Login, Origin, Recipe, Rules, Sample};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_secret_is_sent_and_found_nowhere", a_secret_is_sent_and_found_nowhere),
    ("a_secret_that_is_missing_or_wrong_is_told", a_secret_that_is_missing_or_wrong_is_told),
    ("the_command_sends_the_same_and_keeps_it_from_others", the_command_sends_the_same_and_keeps_it_from_others),
];

const BOTH: &str = "linux/amd64,linux/arm64";
const VALUE: &str = "Bearer 5eldom-s33n-anywhere";
/// What is searched for: a part of it would be too much already.
const TOKEN: &str = "5eldom-s33n-anywhere";

/// A folder with a definition of one pinned and two unpinned files behind a secret, and the file of that secret.
fn project(name: &str, origin: &Origin, more: &str) -> (PathBuf, PathBuf) {
    let harness = Harness::get();
    let _ = harness.frontend();
    let folder = harness.folder(name);
    let (host, url) = (format!("files.{name}.example"), origin.url());
    let pin = origin.sha256(&format!("/{host}/pinned"));
    fs::write(
        folder.join("kso.yaml"),
        format!(
            "# syntax={FRONTEND}\napiVersion: kso/v1\nfiles:\n  - {{ url: 'https://{host}/pinned', sha256: {pin} }}\n  \
             - url: https://{host}/{{arch}}/unpinned\nmirrors:\n  - {{ from: 'https://{host}/', to: ['{}'] }}\n\
             hosts:\n  - {{ at: '{url}/', secret: files-token, headers: {{ User-Agent: tester/1 }} }}\n{more}",
            origin.mirror(&host)
        ),
    )
    .unwrap();
    let secret = harness.folder("secret").join("token");
    fs::write(&secret, VALUE).unwrap();
    (folder, secret)
}

fn given(file: &Path) -> String {
    format!("id=files-token,src={}", file.display())
}

#[track_caller]
fn is_nowhere(words: &[&str], image: &str, output: &BuildOutput) {
    let found = |text: &[u8]| words.iter().any(|word| text.windows(word.len()).any(|part| part == word.as_bytes()));
    assert!(!found(output.stderr.as_bytes()), "{}", output.stderr);
    assert!(!found(output.daemon_log.as_bytes()), "{}", output.daemon_log);
    let everything = Harness::get().registry().everything(image);
    let what: Vec<&str> = everything.iter().map(|(what, _)| what.as_str()).collect();
    assert!(everything.len() > 6, "an index, two manifests, their configs and layers, provenance: {what:?}");
    assert!(everything.iter().any(|(_, bytes)| found_text(bytes, b"buildDefinition")), "provenance: {what:?}");
    for (what, bytes) in everything {
        assert!(!found(&bytes), "{what} of {image} holds a secret");
    }
}

fn found_text(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

fn a_secret_is_sent_and_found_nowhere() {
    let (harness, origin) = (Harness::get(), Origin::start());
    origin.sizes(500..=3_000);
    // A private registry beside it, with the login of `docker login` and the secret for its OCI manifests.
    let login = Login::new("robot", "open s3same");
    let upstream = harness.upstream(Rules { auth: Auth::Token(login.clone()), strict_accept: false });
    let mut recipe = Recipe::new(Kind::Attested, "secrets/app", "1");
    recipe.bases = vec!["secrets".to_owned()];
    upstream.put("secrets/app:1", &Sample::of(&recipe));
    let image = format!("images:\n  - {{ image: '{}', as: 'served:1' }}\n", upstream.reference("secrets/app:1"));
    let (folder, secret) = project("secrets", &origin, &image);
    origin.require(VALUE);
    // A second try is made with the secret too.
    origin.times("/files.secrets.example/pinned", 1, &Fault::Drop);
    origin.times("/files.secrets.example/arm64/unpinned", 1, &Fault::Status(503));
    for target in ["files", "images"] {
        let daemon = harness.fresh_daemon();
        let build = daemon.buildx().build(&folder).file("kso.yaml").target(target).platform(BOTH);
        let (build, config) = build.logins(&[(&upstream.host(), &login)]);
        let build = build.args(["--secret", &given(&secret), "--provenance", "mode=max"]);
        let build = build.args(["--secret", &format!("id=docker-config,src={}", config.display())]);
        let name = format!("org/secrets-{target}:1");
        let output = build.push(&name).run().success();
        is_nowhere(&[TOKEN, &login.password, &login.basic()], &name, &output);
    }
    assert!(origin.requests().iter().all(|request| request.authorization.as_deref() == Some(VALUE)));
    assert!(origin.requests().iter().all(|request| request.user_agent.as_deref() == Some("tester/1")));
    assert!(origin.bodies().values().all(|bodies| *bodies == 1), "{:?}", origin.bodies());
}

fn a_secret_that_is_missing_or_wrong_is_told() {
    let origin = Origin::start();
    let (folder, secret) = project("secrets-missing", &origin, "");
    origin.require(VALUE);
    let build = || Harness::get().buildx().build(&folder).file("kso.yaml").output("oci").0;
    let output = build().run();
    for words in
        ["the secret `files-token`, which `hosts` uses, is missing", "--secret id=files-token,src=FILE", "kso.yaml:4"]
    {
        assert!(output.failure().contains(words), "{words} is missing in:\n{}", output.failure());
    }
    assert_eq!(origin.requests().len(), 0, "nobody is asked without it");
    fs::write(&secret, format!("{TOKEN} is not it")).unwrap();
    let output = build().args(["--secret", &given(&secret)]).run();
    for words in ["status 401", "the secret `files-token` was sent; it must be the whole value"] {
        assert!(output.failure().contains(words), "{words} is missing in:\n{}", output.failure());
    }
    fs::write(&secret, format!("{VALUE}\n")).unwrap();
    let output = build().args(["--secret", &given(&secret)]).run();
    assert!(output.failure().contains("line break"), "{}", output.failure());
    assert!(!output.stderr.contains(TOKEN) && !output.daemon_log.contains(TOKEN), "{}", output.stderr);
}

fn lock(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
    let command = command.env_clear().env("DOCKER_CONFIG", folder).env("TOKEN_OF_FILES", VALUE);
    command.arg("lock").args(arguments).current_dir(folder).output().unwrap()
}

fn the_command_sends_the_same_and_keeps_it_from_others() {
    let (harness, origin, other) = (Harness::get(), Origin::start(), Origin::start());
    let base = harness.registry().reference("docker.io/library/nginx:1.27-alpine");
    let (folder, secret) = project("secrets-lock", &origin, &format!("fileServer: {{ image: '{base}' }}\n"));
    origin.require(VALUE);
    // Another host, also by its name: Go's client and kso's own keep the header for the first.
    let elsewhere = other.url().replace("127.0.0.1", "localhost");
    let path = "/files.secrets-lock.example/arm64/unpinned";
    origin.always(path, Fault::Redirect(format!("{elsewhere}{path}")));

    let output = lock(&folder, &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("the secret `files-token`, which `hosts` uses, is missing"), "{told}");
    let from_variable = lock(&folder, &["--secret", "id=files-token,env=TOKEN_OF_FILES"]);
    assert!(from_variable.status.success(), "{}", String::from_utf8_lossy(&from_variable.stderr));
    let by_variable = fs::read_to_string(folder.join("kso.lock")).unwrap();
    let output = lock(&folder, &["--secret", &given(&secret)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(folder.join("kso.lock")).unwrap();
    assert_eq!(text, by_variable);
    let said = [output.stdout, output.stderr].concat();
    assert!(!text.contains(TOKEN) && !String::from_utf8_lossy(&said).contains(TOKEN));

    fs::remove_file(folder.join("kso.lock")).unwrap();
    let daemon = harness.fresh_daemon();
    let build = daemon.buildx().build(&folder).file("kso.yaml").target("lock").args(["--secret", &given(&secret)]);
    let (build, out) = build.output("local");
    let _ = build.run().success();
    assert_eq!(fs::read_to_string(out.join("kso.lock")).unwrap(), text, "the target writes the same");
    assert!(other.requests().iter().any(|request| request.path == path));
    for request in other.requests() {
        assert_eq!(request.authorization, None, "a redirect does not carry the secret");
    }
}
