//! The requests of the API's operations. The generated methods of [`Requests`] make them.

use std::borrow::Cow;
use std::marker::PhantomData;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Request, RequestBuilder, Url};

use crate::answer::envelope::Envelope;
use crate::client::base_url::BaseUrl;

/// A request, and the type of its answer.
pub(crate) struct Prepared<A> {
    pub(crate) request: Request,
    answer: PhantomData<fn() -> A>,
}

/// The request of a call that returns a `T`.
pub(crate) type Made<T> = Result<Prepared<Envelope<T>>, reqwest::Error>;

impl<A> Prepared<A> {
    pub(crate) fn new(request: Request) -> Self {
        Self {
            request,
            answer: PhantomData,
        }
    }
}

/// Makes requests. The generated code has a method for each operation.
pub(crate) struct Requests {
    /// The path of the base URL, with which generated methods begin each path.
    pub(crate) baseurl: String,
    pub(crate) client: Builders,
}

impl Requests {
    pub(crate) fn new(http: reqwest::Client, base_url: &BaseUrl) -> Self {
        Self {
            baseurl: base_url.path().to_owned(),
            client: Builders {
                http,
                base_url: base_url.url().clone(),
            },
        }
    }
}

/// The bytes that are encoded in a segment of a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes a segment of a path. An id needs no encoding, and is not copied.
pub(crate) fn encode_path(segment: &str) -> Cow<'_, str> {
    utf8_percent_encode(segment, ENCODED).into()
}

/// Begins a request as reqwest's client does, but with the path alone: to parse a whole URL
/// takes twice as long.
pub(crate) struct Builders {
    http: reqwest::Client,
    base_url: Url,
}

impl Builders {
    pub(crate) fn get(&self, path: String) -> RequestBuilder {
        self.request(Method::GET, &path)
    }

    pub(crate) fn post(&self, path: String) -> RequestBuilder {
        self.request(Method::POST, &path)
    }

    pub(crate) fn put(&self, path: String) -> RequestBuilder {
        self.request(Method::PUT, &path)
    }

    pub(crate) fn delete(&self, path: String) -> RequestBuilder {
        self.request(Method::DELETE, &path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base_url.clone();
        url.set_path(path);
        RequestBuilder::from_parts(self.http.clone(), Request::new(method, url))
    }
}
