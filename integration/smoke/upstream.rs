//! Source registries: what each asks of its clients, and that BuildKit can pull from them.

use crate::harness::{Auth, Fault, Harness, Kind, Login, Rules, Sample, fleet, get, sha256, step};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("upstreams_have_rules", upstreams_have_rules),
    ("upstreams_want_logins", upstreams_want_logins),
    ("upstreams_fail_as_told", upstreams_fail_as_told),
    ("names_lead_to_upstreams", names_lead_to_upstreams),
    ("a_fleet_is_put", a_fleet_is_put),
];

fn status(url: &str, accept: &str) -> u16 {
    let headers: &[(&str, &str)] = if accept.is_empty() { &[] } else { &[("accept", accept)] };
    crate::harness::request("GET", url, headers, None).unwrap().status
}

fn upstreams_have_rules() {
    let harness = Harness::get();
    let kinds =
        [Kind::OciIndex, Kind::DockerList, Kind::OciManifest("amd64"), Kind::DockerManifest("amd64"), Kind::Schema1];
    // Statuses by digest without Accept, and with the media type there.
    let expected = [("distribution", false, [200, 200, 404, 200, 200]), ("strict", true, [404, 404, 404, 200, 200])];
    for (name, strict_accept, bare) in expected {
        let upstream = harness.upstream(Rules { strict_accept, ..Rules::default() });
        for (number, kind) in kinds.into_iter().enumerate() {
            let sample = Sample::new(kind, &format!("kind-{number}"), "1");
            upstream.put(&format!("kind-{number}:1"), &sample);
            let url = |reference: &str| format!("http://{}/v2/kind-{number}/manifests/{reference}", upstream.host());
            assert_eq!(status(&url(&sample.digest()), ""), bare[number], "{name} {kind:?} without Accept");
            assert_eq!(status(&url(&sample.digest()), "*/*"), bare[number], "{name} {kind:?} with any Accept");
            assert_eq!(status(&url("1"), sample.top().media_type), 200, "{name} {kind:?} with Accept");
        }
        assert_eq!(upstream.manifests()["1"], kinds.len());
    }
}

fn upstreams_want_logins() {
    let harness = Harness::get();
    let (login, wrong) = (Login::new("robot", "open sesame"), Login::new("robot", "guess"));
    for (auth, anonymous) in [
        (Auth::Open, true),
        (Auth::AnonymousToken, true),
        (Auth::Basic(login.clone()), false),
        (Auth::Token(login.clone()), false),
    ] {
        let upstream = harness.upstream(Rules { auth: auth.clone(), strict_accept: true });
        // Each its own bytes: the daemon would not ask twice for what it has.
        let build = |image: &str, login: Option<&Login>| {
            upstream.put(image, &Sample::new(Kind::OciIndex, &format!("{auth:?} {image}"), "1"));
            let folder = harness.folder("context");
            let host = upstream.host();
            let logins: Vec<_> = login.iter().map(|login| (host.as_str(), *login)).collect();
            let dockerfile = format!("FROM {}\n", upstream.reference(image));
            let build = harness.buildx().build(&folder).platform("linux/arm64").stdin(dockerfile).output("tar").0;
            build.logins(&logins).0.run()
        };
        let nobody = build("public/a:1", None);
        assert_eq!(nobody.status.success(), anonymous, "{auth:?}:\n{}", nobody.stderr);
        if !anonymous {
            let _ = build("private/b:1", Some(&login)).success();
            let refused = build("private/c:1", Some(&wrong));
            let said = refused.failure();
            assert!(said.contains("401 Unauthorized") || said.contains("unauthorized: "), "{auth:?}: {said}");
        }
        let schemes: Vec<String> = upstream.calls().into_iter().filter_map(|call| call.authorization).collect();
        let expected = match auth {
            Auth::Open => None,
            Auth::Basic(_) => Some("Basic"),
            Auth::AnonymousToken | Auth::Token(_) => Some("Bearer"),
        };
        assert!(
            expected.is_none_or(|expected| schemes.iter().any(|scheme| scheme == expected)),
            "{auth:?} {schemes:?}"
        );
        assert!(expected.is_some() || schemes.is_empty(), "{schemes:?}");
    }
}

fn upstreams_fail_as_told() {
    let mut upstream = Harness::get().upstream(Rules::default());
    let sample = Sample::new(Kind::OciManifest("amd64"), "faults", "1");
    upstream.put("faults:1", &sample);
    let (digest, right) = sample.blobs.first_key_value().unwrap();
    let url = format!("http://{}/v2/faults/blobs/{digest}", upstream.host());
    assert_eq!(get(&url).unwrap().body, *right);
    upstream.times(digest, 1, &Fault::WrongBytes);
    let wrong = get(&url).unwrap();
    assert_eq!(wrong.body.len(), right.len());
    assert_ne!(sha256(&wrong.body), sha256(right));
    upstream.times(digest, 1, &Fault::Drop);
    assert!(get(&url).is_err());
    upstream.always(digest, Fault::Status(503));
    assert_eq!(get(&url).unwrap().status, 503);
    upstream.heal(digest);
    assert_eq!(get(&url).unwrap().body, *right);
    assert_eq!(upstream.blobs()[digest], 3);
    assert_eq!(get(&format!("http://{}/v2/faults/manifests/2", upstream.host())).unwrap().status, 404);
    upstream.off();
    assert!(get(&url).is_err());
    upstream.on();
    assert_eq!(get(&url).unwrap().status, 200);
}

fn names_lead_to_upstreams() {
    let harness = Harness::get();
    let login = Login::new("robot", "open sesame");
    let public = harness.upstream(Rules { auth: Auth::AnonymousToken, strict_accept: true });
    let private = harness.upstream(Rules { auth: Auth::Token(login.clone()), strict_accept: false });
    public.put("library/busybox:1", &Sample::new(Kind::DockerList, "busybox", "1"));
    private.put("team/app:1", &Sample::new(Kind::Zstd, "app", "1"));
    let daemon = harness.daemon_with(&[("docker.io", &public), ("registry.example", &private)]);
    let folder = harness.folder("context");
    let build = |from: &str| daemon.buildx().build(&folder).stdin(format!("FROM {from}\n")).output("tar").0;
    let _ = build("busybox:1").run().success();
    let _ = build("registry.example/team/app:1").logins(&[("registry.example", &login)]).0.run().success();
    let refused = build("registry.example/team/other:1").run();
    assert!(refused.failure().contains("401 Unauthorized"), "{}", refused.failure());
    assert!(public.calls().iter().all(|call| call.host == "registry-1.docker.io" || call.path == "/token"));
    // What docker.io has not, the harness's registry has.
    let _ = build("nginx:1.27-alpine").run().success();
}

fn a_fleet_is_put() {
    for count in [57, 150] {
        let upstream = Harness::get().upstream(Rules::default());
        let members = fleet::of(count);
        assert_eq!(members.len(), count);
        let (blobs, bytes) = step(&format!("{count} images"), || fleet::put(&members, &upstream));
        eprintln!("harness: {blobs} distinct blobs, {bytes} bytes");
        assert!(blobs >= 600, "{blobs}");
    }
}
