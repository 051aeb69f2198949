//! The simulator in the foreground of a program.

use std::io;

use crate::simulator::Simulator;

impl Simulator {
    /// Returns what a client needs, as the environment variables that Cloudflare's own
    /// clients read: `CLOUDFLARE_BASE_URL`, `CLOUDFLARE_API_TOKEN` and, as the last one,
    /// `CLOUDFLARE_ACCOUNT_ID`.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().account_id("a1").start().await?;
    /// let [.., last] = simulator.environment();
    /// assert_eq!(last, ("CLOUDFLARE_ACCOUNT_ID", "a1"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn environment(&self) -> [(&'static str, &str); 3] {
        [
            ("CLOUDFLARE_BASE_URL", self.base_url()),
            ("CLOUDFLARE_API_TOKEN", self.api_token()),
            ("CLOUDFLARE_ACCOUNT_ID", self.account_id()),
        ]
    }

    /// Serves until the process is interrupted, by ctrl-c or, on Unix, by SIGTERM, and
    /// then shuts down.
    ///
    /// Calls `announce` first, such as to print the [environment](Self::environment).
    /// From then on a signal no longer kills the process, so that a script may send one
    /// as soon as it has read the last line.
    ///
    /// ```no_run
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().believable_account().start().await?;
    /// simulator
    ///     .serve_until_interrupted(|simulator| {
    ///         for (name, value) in simulator.environment() {
    ///             println!("{name}={value}");
    ///         }
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of `announce`, or that of the system if it doesn't tell of signals. The
    /// simulator is shut down then as well.
    pub async fn serve_until_interrupted(
        self,
        announce: impl FnOnce(&Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let interruption = interruption()?;
        announce(&self)?;
        interruption.await;
        self.shutdown().await;
        Ok(())
    }
}

#[cfg(unix)]
fn interruption() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let listen = |kind| {
        signal(kind).map_err(|error| {
            io::Error::new(error.kind(), format!("can't wait for signals: {error}"))
        })
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

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "other systems may fail")]
fn interruption() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
