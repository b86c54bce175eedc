//! A plain HTTP client for tests: one request, one response read whole, no redirect followed, no status an error.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Context, Result, sha256};

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body's SHA-256 in hex.
    pub fn sha256(&self) -> String {
        sha256(&self.body)
    }
}

/// Sends a request; `body` is sent when there is one. An error when no whole response came.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Result<Response> {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        // Only what the caller sends: registries answer by it.
        .accept(ureq::config::AutoHeaderValue::None)
        .timeout_global(Some(Duration::from_mins(2)))
        .build()
        .new_agent();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let what = || format!("{method} {url}");
    let sent = match body {
        Some(body) => agent.run(request.body(body).context(what())?),
        None => agent.run(request.body(()).context(what())?),
    };
    let mut response = sent.context(what())?;
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_vec().context(what())?;
    Ok(Response { status: response.status().as_u16(), headers, body })
}

/// GETs `url`.
pub fn get(url: &str) -> Result<Response> {
    request("GET", url, &[], None)
}
