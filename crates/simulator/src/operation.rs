/// What a request asks of the API.
///
/// Known from the path and method alone, before anything is changed.
///
/// See the examples of [`Simulator::requests`](crate::Simulator::requests) and
/// [`Injection`](crate::Injection).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `GET …/service_tokens`
    List,
    /// `POST …/service_tokens`
    Create,
    /// `GET …/service_tokens/{id}`
    Get,
    /// `PUT …/service_tokens/{id}`
    Update,
    /// `DELETE …/service_tokens/{id}`
    Delete,
    /// `POST …/service_tokens/{id}/refresh`, in an account only
    Refresh,
    /// `POST …/service_tokens/{id}/rotate`, in an account only
    Rotate,
}

impl Operation {
    /// Whether it changes anything, if it succeeds.
    pub(crate) fn is_change(self) -> bool {
        !matches!(self, Self::List | Self::Get)
    }
}

/// Where a token lives. The two are apart: neither sees the other's tokens.
///
/// See the example of [`SimulatorBuilder::zone_token`](crate::SimulatorBuilder::zone_token).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Beneath `/accounts/{account_id}`.
    Account,
    /// Beneath `/zones/{zone_id}`.
    Zone,
}
