//! What the servers of files without a checksum say, for `kso check --online`. BuildKit tells nobody a server's headers, so
//! that only kso's own requests can know them. Does not know how it is reported.

use futures_util::{StreamExt, stream};

use crate::definition::Spec;
use crate::diagnostic::rules::NO_ETAG;
use crate::diagnostic::{Diagnostic, quoted};
use crate::kind::files::File;
use crate::name::FileUrl;
use crate::retry::Retry;
use crate::web::{self, Failure, Method, Request, Trust, Url, Web};

/// Servers that are asked at a time.
const AT_ONCE: usize = 8;

/// Asks for each file without a checksum. A file that cannot be had is an error. The error of this is a sentence.
pub(super) fn ask(spec: &Spec) -> Result<Vec<Diagnostic>, String> {
    let web = Web::new(&Trust::default(), Retry::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let unpinned = spec.files.iter().filter(|file| file.sha256.is_none());
    let answers = stream::iter(unpinned).map(|file| check(&web, spec, file)).buffered(AT_ONCE);
    Ok(runtime.block_on(answers.collect::<Vec<_>>()).into_iter().flatten().collect())
}

/// What is reported of a file: of the first place that has it.
async fn check(web: &Web, spec: &Spec, file: &File) -> Option<Diagnostic> {
    let mut lost = None;
    for candidate in spec.candidates(file) {
        match has_etag(web, &candidate).await {
            Ok(true) => return None,
            Ok(false) => {
                let host = quoted(candidate.authority());
                let message = format!(
                    "{host} sends no ETag for {}, so every build downloads it again",
                    quoted(file.url.as_str())
                );
                return Some(at(file, Diagnostic::lint(&NO_ETAG, message)));
            }
            Err(failure) => lost = Some(format!("{}: {failure}", quoted(candidate.as_str()))),
        }
    }
    Some(at(file, Diagnostic::error(format!("cannot download {}", lost?))))
}

fn at(file: &File, problem: Diagnostic) -> Diagnostic {
    problem.at(file.spans.first().cloned())
}

/// Whether the server sends an `ETag`. Some refuse `HEAD`, or answer it with less than `GET`.
async fn has_etag(web: &Web, url: &FileUrl) -> Result<bool, Failure> {
    let url = Url::parse(url.as_str()).map_err(|error| Failure::Other(error.to_string()))?;
    let ask = async |method: &Method| {
        web.retry(async || {
            let response = web.send(Request { method, ..Request::get(&url) }).await?;
            web::check(&response)?;
            Ok(response.headers().contains_key("etag"))
        })
        .await
    };
    match ask(&Method::HEAD).await {
        Ok(true) => Ok(true),
        _ => ask(&Method::GET).await,
    }
}
