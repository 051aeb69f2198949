//! Makes a call: its attempts, the pauses between them, and their limits.

pub(crate) mod clock;
pub(crate) mod connect;
pub(crate) mod event;
pub(crate) mod operation;
pub(crate) mod options;
pub(crate) mod pages;
pub(crate) mod rate_limit;
pub(crate) mod raw;
pub(crate) mod request;
pub(crate) mod retry;
pub(crate) mod trace;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use reqwest::{Body, Request, Url};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::Instrument;

use crate::answer::payload::Payload;
use crate::answer::redact::Redactor;
use crate::answer::verdict::Attempt;
use crate::answer::wire;
use crate::call::clock::Clock;
use crate::call::clock::api::ApiClock;
use crate::call::event::{Event, Listener, WaitReason};
use crate::call::operation::Operation;
use crate::call::options::CallOptions;
use crate::call::rate_limit::{AddressLimiter, Permit, RateLimit, RateLimiter};
use crate::call::request::{Made, Requests};
use crate::call::retry::{Retrier, Retry};
use crate::client::base_url::BaseUrl;
use crate::client::credentials::{Credentials, Owner};
use crate::error::Error;
use crate::response::Response;

/// The default deadline. It leaves time for one `Retry-After` of two minutes, which
/// Cloudflare documents.
const DEADLINE: Duration = Duration::from_secs(180);

/// The settings of a client. Clients with other credentials share them.
pub(crate) struct Settings {
    pub(crate) http: reqwest::Client,
    pub(crate) requests: Requests,
    pub(crate) base_url: BaseUrl,
    pub(crate) user_agent: HeaderValue,
    /// The time limit of one attempt, including the answer's body.
    pub(crate) timeout: Duration,
    /// The time limit of a whole call; `None` if the builder sets none.
    pub(crate) deadline: Option<Duration>,
    /// The maximum size of an answer's body, in bytes.
    pub(crate) body_limit: usize,
    pub(crate) retry: Retry,
    pub(crate) rate_limit: RateLimit,
    /// The limit of requests from this IP address, if there is one.
    pub(crate) address_limiter: Option<AddressLimiter>,
    pub(crate) listener: Listener,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) api_clock: ApiClock,
}

/// The state that all calls with the same credentials share.
pub(crate) struct Transport {
    pub(crate) settings: Arc<Settings>,
    /// The headers of every request: the credentials and the user agent.
    headers: HeaderMap,
    pub(crate) redactor: Redactor,
    /// The owner of the API token; `None` for a global key.
    pub(crate) owner: Option<Owner>,
    pub(crate) retrier: Retrier,
    rate_limiter: Arc<RateLimiter>,
}

impl Transport {
    pub(crate) fn new(settings: Arc<Settings>, credentials: &Credentials) -> Result<Self, Error> {
        let mut headers = credentials.headers()?;
        headers.insert(header::USER_AGENT, settings.user_agent.clone());
        Ok(Self {
            headers,
            redactor: Redactor::new(credentials.secrets()),
            owner: credentials.owner(),
            retrier: Retrier::new(settings.retry.clone()),
            rate_limiter: Arc::new(RateLimiter::new(&settings.rate_limit)),
            settings,
        })
    }

    /// Performs one operation, by a request that its generated method has made.
    pub(crate) async fn call<T: Payload>(
        &self,
        operation: &Operation,
        options: &CallOptions,
        request: Made<T>,
    ) -> Result<Response<T>, Error> {
        // This can't fail after the checks of the ids and of the base URL.
        let mut request = request.map_err(|error| {
            let words = "the request could not be built; see the cause";
            Error::invalid_request(words).with_source(error.without_url())
        })?;
        let headers = request.request.headers_mut();
        replace(headers, &self.headers);
        // The call's headers contain no credentials, and take precedence over the client's.
        replace(headers, options.checked()?);
        let deadline = options
            .deadline
            .or(self.settings.deadline)
            .or(options.default_deadline)
            .unwrap_or(DEADLINE);
        let call = Call {
            operation,
            request: request.request,
            timeout: options.timeout.unwrap_or(self.settings.timeout),
            give_up_at: self.settings.clock.elapsed().saturating_add(deadline),
        };
        let span = trace::call(operation);
        let outcome = self.attempts(&call).instrument(span.clone()).await;
        trace::ended(&span, &outcome);
        outcome
    }

    /// Makes attempts until one succeeds, or until another one could not help or could
    /// do harm.
    async fn attempts<T: Payload>(&self, call: &Call<'_>) -> Result<Response<T>, Error> {
        let mut earlier: Option<Error> = None;
        let mut attempt: u32 = 0;
        loop {
            if !has_runtime() {
                return Err(earlier.unwrap_or_else(|| {
                    let words = "the call was polled outside a tokio runtime; poll it inside one";
                    Error::configuration(words)
                }));
            }
            attempt = attempt.saturating_add(1);
            let id = call.operation.id;
            let clock = &*self.settings.clock;
            let wait = |reason| move |time| self.settings.listener.wait(clock, id, reason, time);
            let permit = match self.admit(call, wait(WaitReason::RateLimit)).await {
                Ok(permit) => permit,
                Err(wait) => {
                    trace::rate_limited(wait);
                    return Err(earlier.unwrap_or_else(|| Error::throttled(call.operation, wait)));
                }
            };
            let left = self.left(call);
            // A timer that fires late may leave no time. An attempt without time would
            // send nothing, and its error would hide the earlier one.
            if left.is_zero() {
                permit.unsent();
                return Err(earlier.unwrap_or_else(|| Error::out_of_time(call.operation)));
            }
            let timeout = call.timeout.min(left);
            let url = call.request.url();
            let path = self.settings.listener.listens().then(|| self.path(url));
            let span = trace::attempt(call.operation, &self.settings.base_url, attempt);
            trace::request(&span, url, &self.redactor);
            self.settings.listener.notify(&Event::AttemptStarted {
                operation: id,
                attempt,
            });
            let began_at = clock.elapsed();
            let judged = Attempt {
                operation: call.operation,
                number: attempt,
                began_at: Instant::now(),
                timeout,
                body_limit: self.settings.body_limit,
                base_url: &self.settings.base_url,
                redactor: &self.redactor,
            };
            let request = self.request(call, timeout);
            let settings = Arc::clone(&self.settings);
            let exchanged =
                wire::exchange(settings, permit, request, span.clone().or_current()).await;
            let outcome = judged
                .judge(exchanged)
                .map_err(|error| error.after(attempt, earlier.as_ref()));
            trace::outcome(&span, &outcome);
            let answer = match &outcome {
                Ok(response) => Some(&*response.answer),
                Err(error) => error.answer(),
            };
            if let Some(answer) = answer {
                self.settings.api_clock.observe(answer);
            }
            self.settings.listener.notify(&Event::AttemptEnded {
                operation: id,
                attempt,
                method: &call.operation.method,
                path: path.as_deref().unwrap_or_default(),
                elapsed: clock.elapsed().saturating_sub(began_at),
                status: answer.map(|answer| answer.status),
                error: outcome.as_ref().err(),
            });

            let error = match outcome {
                Ok(response) => {
                    self.retrier.succeeded();
                    return Ok(response);
                }
                Err(error) => error,
            };
            let left = self.left(call);
            let pause = self.retrier.pause(call.operation, &error, attempt, left);
            // The caller may have moved the call out of its runtime meanwhile.
            let Some(pause) = pause.filter(|_| has_runtime()) else {
                return Err(error);
            };
            trace::retry(&error, attempt, pause);
            let _wait = wait(WaitReason::Backoff)(pause);
            clock.sleep(pause).await;
            earlier = Some(error);
        }
    }

    /// Waits until the limits of the credentials and of the IP address have room for a
    /// request.
    ///
    /// # Errors
    ///
    /// The time to wait, if it ends past the deadline.
    async fn admit<W>(
        &self,
        call: &Call<'_>,
        announce: impl Fn(Duration) -> W,
    ) -> Result<Permit, Duration> {
        let clock = &*self.settings.clock;
        let entering = self.rate_limiter.enter(clock, self.left(call), &announce);
        let permit = entering.await?;
        if let Some(limiter) = &self.settings.address_limiter
            && let Err(wait) = limiter.enter(clock, self.left(call), announce).await
        {
            permit.unsent();
            return Err(wait);
        }
        Ok(permit)
    }

    /// Returns the time until the deadline.
    fn left(&self, call: &Call<'_>) -> Duration {
        call.give_up_at
            .saturating_sub(self.settings.clock.elapsed())
    }

    /// Returns the request of an attempt.
    fn request(&self, call: &Call<'_>, timeout: Duration) -> Request {
        // `Request::try_clone` takes twice as long.
        let (method, url) = (call.request.method(), call.request.url());
        let mut request = Request::new(method.clone(), url.clone());
        *request.headers_mut() = call.request.headers().clone();
        // No body is a stream.
        let body = call.request.body().and_then(Body::as_bytes);
        *request.body_mut() = body.map(|bytes| bytes.to_vec().into());
        // The HTTP client has the client's timeout.
        if timeout != self.settings.timeout {
            *request.timeout_mut() = Some(timeout);
        }
        request
    }

    /// Returns the part of a URL below the base URL, for events.
    fn path(&self, url: &Url) -> String {
        let url = url.as_str();
        let path = url.strip_prefix(self.settings.base_url.as_str());
        self.redactor.redact(path.unwrap_or(url))
    }
}

/// Adds headers, which replace those of the same names.
fn replace(headers: &mut HeaderMap, others: &HeaderMap) {
    for name in others.keys() {
        headers.remove(name);
    }
    for (name, value) in others {
        headers.append(name, value.clone());
    }
}

/// Returns whether a task and a timer can start.
fn has_runtime() -> bool {
    Handle::try_current().is_ok()
}

/// The parts of a call that all its attempts share.
struct Call<'a> {
    operation: &'a Operation,
    request: Request,
    timeout: Duration,
    /// The deadline, by the clock's `elapsed`.
    give_up_at: Duration,
}
