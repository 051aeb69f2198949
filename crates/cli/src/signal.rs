//! Signals to end: ctrl-c, or SIGTERM as systemd and Kubernetes send it.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Exit, Failure};

/// Completes when the command receives a signal to end. Once this returns, a signal does
/// not kill the process.
pub(crate) fn end() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Failure::new(Exit::Failed, "can't wait for signals").because(error))
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
