//! What a registry says that it has: its repositories, and their tags. Owns how the pages follow each other; does not know
//! what should be there.

use std::collections::BTreeSet;

use reqwest::header::LINK;
use serde::Deserialize;

use super::tokens::CATALOG;
use super::{Client, Endpoint, Failure};
use crate::web::{self, Request, Response, Url};

/// How many names are asked for at once (`n`); a registry may give fewer.
const PAGE: usize = 1000;
/// The longest page, in bytes: names have 255 at most.
const PAGE_BYTES: usize = 1 << 20;
/// Pages that are read of one list.
const PAGES: usize = 10_000;

/// A page of either list. A repository without tags may have `null`.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    repositories: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Client {
    /// The repositories of a registry (`_catalog`). Many registries do not list them.
    pub async fn catalog(&self, endpoint: &Endpoint) -> Result<BTreeSet<String>, Failure> {
        self.list(endpoint, CATALOG, "_catalog").await
    }

    /// The tags of a repository; none where there is no such repository.
    pub async fn tags(&self, endpoint: &Endpoint, repository: &str) -> Result<BTreeSet<String>, Failure> {
        match self.list(endpoint, repository, &format!("{repository}/tags/list")).await {
            Err(Failure::NotFound) => Ok(BTreeSet::new()),
            listed => listed,
        }
    }

    async fn list(&self, endpoint: &Endpoint, repository: &str, path: &str) -> Result<BTreeSet<String>, Failure> {
        let mut names = BTreeSet::new();
        let first = endpoint.url(&format!("{path}?n={PAGE}"))?;
        let mut next = Some(first.clone());
        let mut pages = 0;
        while let Some(url) = next {
            pages += 1;
            if pages > PAGES {
                return Err(web::Failure::Other("the registry returned a catalog without an end".into()).into());
            }
            let (page, link) = self
                .ask(endpoint, repository, Request::get(&url), async |response| {
                    let link = link(response, &url);
                    Ok((web::body(response, PAGE_BYTES).await?, link))
                })
                .await?;
            let unread = || web::Failure::Other("the registry returned a malformed catalog page".into());
            let page: Page = serde_json::from_slice(&page).map_err(|_| unread())?;
            let before = names.len();
            names.extend(page.repositories.into_iter().chain(page.tags).flatten());
            // A page without anything new is the last, whatever it says.
            next = link.filter(|link| link.origin() == first.origin() && names.len() > before);
        }
        Ok(names)
    }
}

/// Where the next page is: `Link: </v2/_catalog?last=x&n=1000>; rel="next"`.
fn link(response: &Response, page: &Url) -> Option<Url> {
    let text = response.headers().get(LINK)?.to_str().ok()?;
    let (target, parameters) = text.trim().strip_prefix('<')?.split_once('>')?;
    parameters.contains("next").then(|| page.join(target).ok()).flatten()
}
