//! A frontend as a process: from the environment and the wire to exactly one `Return`. Does not know what the frontend
//! does.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{BuildResult, Client, Error, Options, stdio};

/// The last panic's message and place, as the panic hook saw it: the payload alone does not tell the place.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs a frontend on standard input and output until it has returned a result or an error to BuildKit.
///
/// `bug` words the error that the user gets for a panic, from its message and place. What goes wrong is also written
/// to standard error, which is the daemon's log.
pub fn run<F>(options: Options, bug: impl Fn(&str) -> String, frontend: F) -> ExitCode
where
    F: AsyncFnOnce(Client, Options) -> Result<BuildResult, Error>,
{
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
        let text = format!("{}{place}", message_of(panic.payload()));
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let io = stdio::take().map_err(|error| Error::new(error.to_string()))?;
        serve(io, options, bug, frontend).await
    });
    match ended {
        // Also after an error was returned: BuildKit shows that, and would take a failed process for another.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a frontend on any connection: [`run`] without the process.
///
/// # Errors
/// When neither a result nor an error could be returned. An error of the frontend that was returned is not such a failure.
pub async fn serve<I, F>(io: I, options: Options, bug: impl Fn(&str) -> String, frontend: F) -> Result<(), Error>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: AsyncFnOnce(Client, Options) -> Result<BuildResult, Error>,
{
    let client = Client::connect(io).await?;
    let theirs = client.clone();
    let ended = AssertUnwindSafe(async move { frontend(theirs, options).await }).catch_unwind().await;
    let returned = match ended {
        Ok(Ok(result)) => match client.return_result(result).await {
            // Too large, or a reference that BuildKit does not know: nothing has been returned yet.
            Err(error) if !error.is_disconnected() => client.return_error(&error).await,
            returned => returned,
        },
        Ok(Err(error)) => {
            eprintln!("{error}");
            client.return_error(&error).await
        }
        Err(payload) => {
            let seen = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
            let message = seen.unwrap_or_else(|| message_of(payload.as_ref()).to_owned());
            client.return_error(&Error::new(bug(&message))).await
        }
    };
    client.close().await;
    returned
}

fn message_of(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}
