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
    /// `POST …/service_tokens/{id}/refresh`
    Refresh,
    /// `POST …/service_tokens/{id}/rotate`
    Rotate,
}

impl Operation {
    /// Whether it changes anything, if it succeeds.
    pub(crate) fn is_change(self) -> bool {
        !matches!(self, Self::List | Self::Get)
    }
}
