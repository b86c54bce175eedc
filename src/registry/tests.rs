use std::time::Duration;

use super::*;
use crate::retry::Retry;
use crate::web::Trust;
use crate::web::fake::{Asked, Fake, Reply, run};

fn client(config: &str) -> Client {
    let retry = Retry { pause: Duration::from_millis(1), ..Retry::default() };
    let web = Web::new(&Trust::default(), retry).expect("a client");
    Client::new(web, Credentials::from_config(config.as_bytes()).expect("a configuration"))
}

/// `u:p` for one registry.
fn login(host: &str) -> String {
    format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"dTpw\"}}}}}}")
}

/// A registry that wants the token `good`, which its token server gives to `u:p` alone.
fn with_tokens(host: &str, asked: &Asked) -> Reply {
    if asked.line.starts_with("GET /token") {
        return match asked.authorization() {
            "Basic dTpw" => (200, vec![], br#"{"token":"good"}"#.to_vec()),
            _ => (401, vec![], vec![]),
        };
    }
    match asked.authorization() {
        "Bearer good" => (200, vec![], b"{}".to_vec()),
        _ => (401, vec![format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"")], vec![]),
    }
}

#[test]
fn tokens_are_asked_for_once_for_each_repository() {
    run(async {
        let registry = Fake::start(with_tokens).await;
        let client = client(&login(&registry.host));
        let ask = |repository: &'static str, tag: &'static str| client.manifest(&registry.host, repository, tag);
        let both = futures_util::future::join(ask("a/b", "1"), ask("a/b", "2")).await;
        assert_eq!(both, (Ok(b"{}".to_vec()), Ok(b"{}".to_vec())));
        assert_eq!(ask("a/b", "3").await, Ok(b"{}".to_vec()));
        assert_eq!(ask("c", "1").await, Ok(b"{}".to_vec()));
        let tokens: Vec<String> = registry.lines().into_iter().filter(|line| line.contains("/token")).collect();
        assert_eq!(
            tokens,
            [
                "GET /token?service=s&scope=repository%3Aa%2Fb%3Apull",
                "GET /token?service=s&scope=repository%3Ac%3Apull"
            ]
        );
        let accepts: Vec<_> =
            registry.asked().iter().filter_map(|asked| asked.headers.get("accept").cloned()).collect();
        assert!(accepts.iter().any(|accept| accept == ACCEPT), "{accepts:?}");
    });
}

#[test]
fn who_is_refused_is_told_why() {
    run(async {
        let registry = Fake::start(with_tokens).await;
        let refused =
            async |config: &str| client(config).manifest(&registry.host, "a", "1").await.unwrap_err().to_string();
        assert_eq!(refused("{}").await, "the registry refuses access without a login (status 401)");
        let wrong = login(&registry.host).replace("dTpw", "dTpx");
        assert_eq!(refused(&wrong).await, "the registry refuses access with this login (status 401)");
        let helper = format!("{{\"credHelpers\":{{\"{}\":\"kso-test-none\"}}}}", registry.host);
        assert_eq!(
            refused(&helper).await,
            "the registry refuses access (status 401), and its login is not available: it is stored in a credential helper, \
             which cannot be run here"
        );
        let forbidden = Fake::start(|_, _| (403, vec![], vec![])).await;
        let failure = client("{}").manifest(&forbidden.host, "a", "1").await.unwrap_err();
        assert_eq!(failure, Failure::Refused { status: 403, login: Login::None });
    });
}

#[test]
fn passwords_go_where_they_belong() {
    run(async {
        // The registry asked has no login kept; another has, on the same machine.
        let registry = Fake::start(with_tokens).await;
        let other = Fake::start(|_, _| (200, vec![], vec![])).await;
        let _ = client(&login(&other.host)).manifest(&registry.host, "a", "1").await;
        assert!(registry.asked().iter().all(|asked| asked.authorization().is_empty()));
        // A token server without TLS elsewhere is told nothing.
        let naming =
            |_: &str, _: &Asked| (401, vec!["WWW-Authenticate: Bearer realm=\"http://192.0.2.1/t\"".into()], vec![]);
        let registry = Fake::start(naming).await;
        let failure = client(&login(&registry.host)).manifest(&registry.host, "a", "1").await.unwrap_err();
        assert_eq!(failure.to_string(), "the registry names a token server without TLS");
    });
}

#[test]
fn basic_logins_and_identity_tokens() {
    run(async {
        let basic = Fake::start(|_, asked| match asked.authorization() {
            "Basic dTpw" => (200, vec![], b"{}".to_vec()),
            _ => (401, vec!["WWW-Authenticate: Basic realm=\"x\"".into()], vec![]),
        })
        .await;
        assert_eq!(client(&login(&basic.host)).manifest(&basic.host, "a", "1").await, Ok(b"{}".to_vec()));
        let failure = client("{}").manifest(&basic.host, "a", "1").await.unwrap_err();
        assert_eq!(failure, Failure::Refused { status: 401, login: Login::None });

        let azure = Fake::start(|host, asked| match asked.line.as_str() {
            "POST /token"
                if asked.body.contains("grant_type=refresh_token") && asked.body.contains("refresh_token=t%2B") =>
            {
                (200, vec![], br#"{"access_token":"good"}"#.to_vec())
            }
            _ => with_tokens(host, asked),
        })
        .await;
        let config = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"dTpw\",\"identitytoken\":\"t+\"}}}}}}", azure.host);
        assert_eq!(client(&config).manifest(&azure.host, "a", "1").await, Ok(b"{}".to_vec()));
    });
}

#[test]
fn a_token_that_died_is_asked_for_again_once() {
    run(async {
        let number = std::cell::Cell::new(0);
        let registry = Fake::start(move |host, asked| {
            if asked.line.starts_with("GET /token") {
                number.set(number.get() + 1);
                return (200, vec![], format!("{{\"token\":\"t{}\"}}", number.get()).into_bytes());
            }
            let wanted = if asked.line.ends_with("/late") { "Bearer t2" } else { "Bearer t1" };
            if asked.authorization() == wanted { (200, vec![], b"{}".to_vec()) } else { with_tokens(host, asked) }
        })
        .await;
        let client = client("{}");
        assert_eq!(client.manifest(&registry.host, "a", "1").await, Ok(b"{}".to_vec()));
        assert_eq!(client.manifest(&registry.host, "a", "late").await, Ok(b"{}".to_vec()));
        let failure = client.manifest(&registry.host, "a", "1").await.unwrap_err();
        assert_eq!(failure, Failure::Refused { status: 401, login: Login::None });
    });
}

#[test]
fn endless_answers_end() {
    run(async {
        let registry = Fake::start(|_, _| (200, vec![], vec![b' '; MAX_DOCUMENT_BYTES + 1])).await;
        let failure = client("{}").manifest(&registry.host, "a", "1").await.unwrap_err();
        assert_eq!(failure.to_string(), "the server sends more than 4194304 bytes");
    });
}

#[test]
fn lists_have_pages() {
    run(async {
        let registry = Fake::start(|host, asked| {
            let next = |to: &str| vec![format!("Link: <{to}>; rel=\"next\"")];
            match asked.line.trim_start_matches("GET ") {
                "/v2/_catalog?n=1000" => {
                    (200, next("/v2/_catalog?last=b&n=1000"), br#"{"repositories":["a","b"]}"#.to_vec())
                }
                "/v2/_catalog?last=b&n=1000" => (200, vec![], br#"{"repositories":["c/d"]}"#.to_vec()),
                "/v2/a/tags/list?n=1000" => (
                    200,
                    next(&format!("http://{host}/v2/a/tags/list?last=1")),
                    br#"{"name":"a","tags":["1"]}"#.to_vec(),
                ),
                "/v2/a/tags/list?last=1" => {
                    (200, next("http://192.0.2.1/v2/"), br#"{"name":"a","tags":["2"]}"#.to_vec())
                }
                "/v2/b/tags/list?n=1000" => (200, vec![], br#"{"name":"b","tags":null}"#.to_vec()),
                "/v2/d/tags/list?n=1000" => (200, next("?n=1000"), br#"{"tags":["1"]}"#.to_vec()),
                "/v2/e/tags/list?n=1000" => (200, vec![], b"<html>".to_vec()),
                _ => (404, vec![], vec![]),
            }
        })
        .await;
        let (client, endpoint) = (client("{}"), Endpoint::of(&registry.host).expect("an endpoint"));
        let listed = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(client.catalog(&endpoint).await, listed(&["a", "b", "c/d"]));
        assert_eq!(client.tags(&endpoint, "a").await, listed(&["1", "2"]), "a page elsewhere is not asked for");
        assert_eq!(client.tags(&endpoint, "b").await, listed(&[]));
        assert_eq!(client.tags(&endpoint, "none").await, listed(&[]));
        assert_eq!(client.tags(&endpoint, "d").await, listed(&["1"]), "a page that leads to itself is the last");
        let failure = client.tags(&endpoint, "e").await.unwrap_err().to_string();
        assert_eq!(failure, "the registry returned a malformed catalog page");
    });
}

#[test]
fn the_catalog_has_a_scope_of_its_own() {
    run(async {
        let registry = Fake::start(|host, asked| match asked.line.as_str() {
            "GET /v2/_catalog?n=1000" if asked.authorization() == "Bearer good" => (200, vec![], b"{}".to_vec()),
            _ => with_tokens(host, asked),
        })
        .await;
        let endpoint = Endpoint::of(&registry.host).expect("an endpoint");
        assert!(client(&login(&registry.host)).catalog(&endpoint).await.is_ok());
        assert!(registry.lines().contains(&"GET /token?service=s&scope=registry%3Acatalog%3A*".to_owned()));
        // What anybody on the way could read is not sent; nobody is asked to find out.
        let exposed = Endpoint::named("http://192.0.2.1:5000").expect("an endpoint");
        let tokens = tokens::Tokens::new(
            client("{}").web,
            Credentials::from_config(login("192.0.2.1:5000").as_bytes()).expect("a configuration"),
        );
        assert_eq!(tokens.login(&exposed), Login::Unavailable("it is not sent over plain HTTP".into()));
    });
}
