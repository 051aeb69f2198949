//! Signals: to end by ctrl-c or SIGTERM, as systemd and Kubernetes send it, and to look at
//! once by SIGHUP.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Exit, Failure};

/// Completes when the command receives a signal to end. Once this returns, a signal does
/// not kill the process.
pub(crate) fn end() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Returns the signals to look at once.
pub(crate) fn hang_up() -> Result<Signal, Failure> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind)
        .map_err(|error| Failure::new(Exit::Failed, "can't wait for signals").because(error))
}
