use std::collections::VecDeque;

use crate::fault::Fault;
use crate::operation::Operation;

/// How many requests are remembered.
const CAPACITY: usize = 10_000;

/// A request that the simulator received, and what it answered.
///
/// Neither header values nor bodies are kept, so no secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The path as it was sent, without the query.
    pub path: String,
    /// The query as it was sent, without the `?`.
    pub query: Option<String>,
    /// What it asked of the API; `None` for an unknown route and for the protected app.
    pub operation: Option<Operation>,
    /// The status that it was answered with; `None` where a fault kept any
    /// answer from being sent.
    pub status: Option<u16>,
    /// The fault that it met.
    pub fault: Option<Fault>,
    /// Whether it changed the state, as any call does that succeeds and does not
    /// only read. Never for the protected app.
    pub changed: bool,
}

/// The latest requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RequestLog(VecDeque<ReceivedRequest>);

impl RequestLog {
    pub(crate) fn push(&mut self, request: ReceivedRequest) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(request);
    }

    pub(crate) fn to_vec(&self) -> Vec<ReceivedRequest> {
        self.0.iter().cloned().collect()
    }
}
