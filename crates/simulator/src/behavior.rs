//! Departures from Cloudflare's document; there is none by default.

/// The switches of a simulator, each of which is off at first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behavior {
    /// Responses hold undocumented fields as well.
    pub(crate) lenient_answers: bool,
    /// An unknown timestamp is `null` rather than left out.
    pub(crate) null_timestamps: bool,
    /// Names and ids of the only tokens that lists show.
    pub(crate) list_only: Option<Vec<String>>,
    /// Pages hold at most this many tokens, and come without `result_info`.
    pub(crate) page_cap: Option<usize>,
    pub(crate) app: AppAuthentication,
}

/// The responses with which the [protected app](crate::Simulator::protected_url) refuses
/// callers.
///
/// ```
/// use cf_service_tokens_simulator::{AppAuthentication, Simulator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Simulator::builder().app_authentication(AppAuthentication::Login);
/// let simulator = builder.start().await?;
/// let answer = reqwest::get(simulator.protected_url()).await?;
/// assert_eq!(answer.status(), 200, "it is the login page");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AppAuthentication {
    /// Strict service-token authentication: 401 for a caller that can't
    /// authenticate, 403 for a valid token that isn't allowed. Never a redirect.
    #[default]
    Strict,
    /// 403 in either case, as before strict authentication.
    Forbid,
    /// 302 to a login page in either case. The page itself has status 200.
    Login,
}
