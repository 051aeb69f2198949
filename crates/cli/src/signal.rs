//! Signals: to end by ctrl-c or SIGTERM, as systemd and Kubernetes send it, and to look at
//! once by SIGHUP.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Exit, Failure};

/// Whether SIGHUP asks a watcher to look, and not the command to end.
static HANG_UP_IS_TO_LOOK: AtomicBool = AtomicBool::new(false);

/// Completes when the command receives a signal to end. Once this returns, a signal does
/// not kill the process.
pub(crate) fn end() -> Result<impl Future<Output = ()>, Failure> {
    let mut signals = Signals(vec![
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
    ]);
    Ok(async move { signals.next().await })
}

/// Returns the signals to look at once. From now on SIGHUP does not ask the command to end.
pub(crate) fn hang_up() -> Result<Signal, Failure> {
    HANG_UP_IS_TO_LOOK.store(true, Ordering::Relaxed);
    listen(SignalKind::hangup())
}

/// Signals that no longer kill the process.
pub(crate) struct Signals(Vec<Signal>);

impl Signals {
    /// Keeps signals to end from killing the process, also that of a terminal that is
    /// closed, unless it asks a watcher to look.
    pub(crate) fn hold() -> Result<Self, Failure> {
        let mut signals = vec![
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
        ];
        if !HANG_UP_IS_TO_LOOK.load(Ordering::Relaxed) {
            signals.push(listen(SignalKind::hangup())?);
        }
        Ok(Self(signals))
    }

    /// Completes at the next signal.
    pub(crate) async fn next(&mut self) {
        poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            match signals.any(|signal| signal.poll_recv(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// Turns SIGXFSZ, which kills a process that writes past its limit (`ulimit -f`), into an
/// error of that write.
pub(crate) fn survive_file_size_limit() -> Result<(), Failure> {
    let exceeded = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    listen(exceeded).map(drop)
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind)
        .map_err(|error| Failure::new(Exit::Failed, "can't wait for signals").because(error))
}
