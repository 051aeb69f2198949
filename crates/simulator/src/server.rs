use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::builder::SimulatorBuilder;
use crate::operation::Scope;
use crate::protected;
use crate::request_log::ReceivedRequest;
use crate::routes;
use crate::shared::Shared;
use crate::token::Token;

/// A running simulator: a server on a loopback port, and its state.
///
/// It serves as long as the value lives. Dropping it stops it: no connection
/// is taken any more, answers under way are still written.
/// [`shutdown`](Self::shutdown) does the same and waits for it.
///
/// ```
/// use cf_service_tokens_simulator::{SeedToken, Simulator};
/// use chrono::TimeDelta;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let simulator = Simulator::builder()
///     .token(SeedToken::new("CI deploy").expires_in(TimeDelta::days(9)))
///     .start()
///     .await?;
///
/// assert!(simulator.base_url().starts_with("http://127.0.0.1:"));
/// assert_eq!(simulator.tokens().len(), 1);
/// simulator.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Simulator {
    shared: Arc<Shared>,
    base_url: String,
    protected_url: String,
    protected_url_with_login: String,
    /// Dropped to stop the server.
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Describes a simulator to start.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::new()
    }

    /// Serves what `listener` takes, until the simulator is dropped.
    pub(crate) fn serve(listener: TcpListener, address: SocketAddr, shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let (stop, stopped) = oneshot::channel::<()>();
        let router = routes::router(shared.clone());
        let server = tokio::spawn(async move {
            // Accept errors are retried within, so this ends with the signal only.
            let _ = axum::serve(listener, router)
                .with_graceful_shutdown(async {
                    let _ = stopped.await;
                })
                .await;
        });
        let origin = format!("http://{address}");
        Self {
            shared,
            base_url: format!("{origin}{}", routes::API),
            protected_url: format!("{origin}{}", protected::APP),
            protected_url_with_login: format!("{origin}{}", protected::APP_WITH_LOGIN),
            stop,
            server,
        }
    }

    /// The base URL of the API, such as `http://127.0.0.1:41235/client/v4`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The URL of an app that Access protects, and that turns a caller without
    /// a good service token away with 403 and a page.
    ///
    /// It takes any method, here and on every path beneath, and both forms of
    /// credentials: `CF-Access-Client-Id` with `CF-Access-Client-Secret`, or
    /// an `Authorization` header that holds both as a JSON object. (In an app
    /// of your own you choose the name of that header.) A good token is
    /// answered with 200 and a JSON object whose `service_token` is its name.
    pub fn protected_url(&self) -> &str {
        &self.protected_url
    }

    /// The same app, set up so that Access redirects a caller without a good
    /// service token to a login page: 302, and the page itself answers 200.
    pub fn protected_url_with_login(&self) -> &str {
        &self.protected_url_with_login
    }

    /// The id of the only account.
    pub fn account_id(&self) -> &str {
        self.shared.scope_id(Scope::Account)
    }

    /// The id of the only zone.
    pub fn zone_id(&self) -> &str {
        self.shared.scope_id(Scope::Zone)
    }

    /// The API token that is accepted as `Authorization: Bearer`.
    pub fn api_token(&self) -> &str {
        &self.shared.credentials.api_token
    }

    /// The address that is accepted as `X-Auth-Email`, beside [`api_key`](Self::api_key).
    pub fn email(&self) -> &str {
        &self.shared.credentials.email
    }

    /// The global API key that is accepted as `X-Auth-Key`, beside [`email`](Self::email).
    pub fn api_key(&self) -> &str {
        &self.shared.credentials.api_key
    }

    /// The key that is accepted as `X-Auth-User-Service-Key`.
    pub fn user_service_key(&self) -> &str {
        &self.shared.credentials.user_service_key
    }

    /// All tokens of account and zone as they stand, in order of creation.
    pub fn tokens(&self) -> Vec<Token> {
        self.shared.state().tokens().cloned().collect()
    }

    /// The token with this id as it stands, in account or zone.
    pub fn token(&self, id: &str) -> Option<Token> {
        self.shared
            .state()
            .tokens()
            .find(|token| token.id == id)
            .cloned()
    }

    /// Has an Access policy name the token, or no longer do so. While one
    /// does, the token can't be deleted.
    ///
    /// Returns the token as it stands then, or `None` if there is none with
    /// this id.
    #[must_use = "`None` says that there is no such token, and that nothing was changed"]
    pub fn set_used_by_policy(&self, id: &str, used: bool) -> Option<Token> {
        self.shared.state().set_used_by_policy(id, used)
    }

    /// What was received so far, the latest 10,000 requests, oldest first.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.requests()
    }

    /// Stops: takes no connection any more, and returns once the answers under
    /// way are written.
    pub async fn shutdown(self) {
        drop(self.stop);
        let _ = self.server.await;
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("base_url", &self.base_url)
            .field("account_id", &self.account_id())
            .field("zone_id", &self.zone_id())
            .finish_non_exhaustive()
    }
}
