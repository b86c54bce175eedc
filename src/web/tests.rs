use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::fake::{Fake, run};
use super::*;

fn web() -> Web {
    Web::new(&Trust::default(), Retry { pause: Duration::from_millis(1), ..Retry::default() }).expect("a client")
}

async fn text(web: &Web, url: &str, limit: usize) -> Result<String, Failure> {
    let url: Url = url.parse().unwrap();
    let request = Request { authorization: Some("Bearer secret"), ..Request::get(&url) };
    let read = web.retry(async || {
        let mut response = web.send(request).await?;
        check(&response)?;
        body(&mut response, limit).await
    });
    read.await.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn requests_are_sent_again_while_it_helps() {
    run(async {
        let number = std::cell::Cell::new(0);
        let server = Fake::start(move |_, _| {
            number.set(number.get() + 1);
            match number.get() {
                1 => (503, vec![], vec![]),
                2 => (429, vec!["Retry-After: 0".into()], vec![]),
                3 => (0, vec![], vec![]),
                _ => (200, vec![], b"here".to_vec()),
            }
        })
        .await;
        assert_eq!(text(&web(), &format!("http://{}/", server.host), 4).await, Ok("here".into()));
        assert_eq!(server.lines().len(), 4);
    });
}

#[test]
fn which_statuses_are_asked_again() {
    run(async {
        let tries = async |status: u16| {
            let number = std::cell::Cell::new(0);
            let server = Fake::start(move |_, _| {
                number.set(number.get() + 1);
                (if number.get() == 1 { status } else { 200 }, vec![], vec![])
            })
            .await;
            let answer = text(&web(), &format!("http://{}/", server.host), 0).await;
            assert_eq!(answer.is_ok(), server.lines().len() == 2, "{status}: {answer:?}");
            server.lines().len()
        };
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(tries(status).await, 2, "{status}");
        }
        for status in [400, 401, 403, 404, 405, 410, 416, 421, 451] {
            assert_eq!(tries(status).await, 1, "{status}");
        }
    });
}

#[test]
fn what_is_final_is_asked_once() {
    run(async {
        let server = Fake::start(|_, _| (404, vec![], vec![])).await;
        let failure = text(&web(), &format!("http://{}/", server.host), 4).await.unwrap_err();
        assert_eq!((failure.to_string(), server.lines().len()), ("the server answered with status 404".into(), 1));
        let server = Fake::start(|_, _| (429, vec!["Retry-After: 86400".into()], vec![])).await;
        let failure = text(&web(), &format!("http://{}/", server.host), 4).await.unwrap_err();
        assert_eq!(failure, Failure::Status { status: 429, after: Some(Duration::from_hours(24)) });
        assert_eq!(server.lines().len(), 1);
    });
}

#[test]
fn a_server_without_tls_is_known_as_one() {
    run(async {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", server.local_addr().unwrap());
        let answer = async {
            let (mut client, _) = server.accept().await.unwrap();
            let read = client.read(&mut [0; 4096]).await.unwrap();
            client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            (client, read)
        };
        let web = web();
        let (_, failure) = tokio::join!(answer, text(&web, &url, 4));
        assert_eq!(failure, Err(Failure::Plain));
    });
}

#[test]
fn large_bodies_are_not_read() {
    run(async {
        let server = Fake::start(|_, _| (200, vec![], b"12345".to_vec())).await;
        let url = format!("http://{}/", server.host);
        let failure = text(&web(), &url, 4).await.unwrap_err();
        assert_eq!(failure, Failure::Other("the server sends more than 4 bytes".into()));
        assert_eq!(text(&web(), &url, 5).await, Ok("12345".into()));
    });
}

#[test]
fn other_hosts_get_no_credentials() {
    run(async {
        let other = Fake::start(|_, _| (200, vec![], b"there".to_vec())).await;
        let to = format!("Location: http://{}/there", other.host);
        let server = Fake::start(move |host, asked| match asked.line.as_str() {
            "GET /far" => (307, vec![to.clone()], vec![]),
            "GET /near" => (302, vec![format!("Location: http://{host}/end")], vec![]),
            _ => (200, vec![], b"here".to_vec()),
        })
        .await;
        assert_eq!(text(&web(), &format!("http://{}/far", server.host), 9).await, Ok("there".into()));
        assert_eq!(text(&web(), &format!("http://{}/near", server.host), 9).await, Ok("here".into()));
        let sent = |fake: &Fake| fake.asked().iter().map(|asked| asked.authorization().to_owned()).collect::<Vec<_>>();
        assert_eq!(sent(&other), [""]);
        assert_eq!(sent(&server), ["Bearer secret"; 3]);
        assert!(other.asked().iter().all(|asked| !asked.headers.contains_key("referer")));
    });
}

#[test]
fn https_does_not_lead_to_http() {
    let follow = |urls: &[&str]| {
        let urls: Vec<Url> = urls.iter().map(|url| url.parse().unwrap()).collect();
        let (next, previous) = urls.split_last().unwrap();
        redirection(previous, next)
    };
    let refused = Err("the server redirects from https to http");
    for (urls, expected) in [
        (&["https://a.example/", "https://b.example/"][..], Ok(())),
        (&["http://a.example/", "http://b.example/"], Ok(())),
        (&["http://a.example/", "https://a.example/"], Ok(())),
        (&["https://a.example/", "http://127.0.0.1:5000/"], Ok(())),
        (&["https://a.example/", "http://a.example/"], refused),
        (&["https://a.example/", "http://127.a.example/"], refused),
        (&["http://a.example/", "https://a.example/", "http://a.example/"], refused),
        (&["https://a.example/", "http://127.0.0.1/", "http://b.example/"], refused),
    ] {
        assert_eq!(follow(urls), expected, "{urls:?}");
    }
}

#[test]
fn circles_and_dead_ends() {
    run(async {
        let server = Fake::start(|host, asked| match asked.line.as_str() {
            "GET /nowhere" => (302, vec!["Location: http://".into()], vec![]),
            _ => (302, vec![format!("Location: http://{host}/")], vec![]),
        })
        .await;
        let failure = async |path: &str| text(&web(), &format!("http://{}{path}", server.host), 9).await.unwrap_err();
        assert_eq!(failure("/").await, Failure::Other("the server redirects in a loop".into()));
        let Failure::Other(why) = failure("/nowhere").await else { panic!("it is asked again") };
        assert_eq!(why, "the server redirects to an invalid URL");
        let closed = text(&web(), "http://127.0.0.1:9/", 9).await.unwrap_err();
        assert!(matches!(&closed, Failure::Unreachable(why) if why.contains("refused")), "{closed:?}");
    });
}
