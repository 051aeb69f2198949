use std::collections::VecDeque;

use crate::api::Operation;
use crate::faults::Fault;

/// How many requests are remembered.
const CAPACITY: usize = 10_000;

/// A request that the simulator received, and what it answered.
///
/// Neither header values nor bodies are kept, so no secret is.
///
/// See the example of [`Simulator::requests`](crate::Simulator::requests).
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

/// Who is told of each request.
pub(crate) type Listener = Box<dyn Fn(&ReceivedRequest) + Send + Sync>;

/// The latest requests, oldest first.
pub(crate) struct RequestLog {
    requests: VecDeque<ReceivedRequest>,
    listener: Option<Listener>,
}

impl RequestLog {
    pub(crate) fn new(listener: Option<Listener>) -> Self {
        Self {
            requests: VecDeque::new(),
            listener,
        }
    }

    pub(crate) fn push(&mut self, request: ReceivedRequest) {
        if let Some(listener) = &self.listener {
            listener(&request);
        }
        if self.requests.len() == CAPACITY {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    pub(crate) fn to_vec(&self) -> Vec<ReceivedRequest> {
        self.requests.iter().cloned().collect()
    }
}
