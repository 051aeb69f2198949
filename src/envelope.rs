//! What the API wraps every answer in, turned into a `Result`.
//!
//! The HTTP status alone says little: an answer may be a failure under HTTP
//! 200, or a success that holds nothing.

use serde::Deserialize;
use serde_json::Value;

use crate::decode::Decoded;
use crate::generated::types::{
    ApiMessage, ServiceToken, ServiceTokenEnvelope, ServiceTokenListEnvelope,
};
use crate::issued::IssuedServiceToken;
use crate::page::ServiceTokenPage;

/// The envelopes of answers, one for each shape of result.
pub(crate) trait Envelope {
    /// What the envelope is there to carry.
    type Result;

    /// Takes the envelope apart, judging nothing.
    fn open(self) -> Opened<Self::Result>;

    /// What must not be lost with an answer that can't be read, if it is there.
    fn rescue(_document: &Value) -> Option<Decoded<Self::Result>> {
        None
    }

    /// The result, or why there is none.
    fn into_result(self) -> Result<Delivered<Self::Result>, Undelivered>
    where
        Self: Sized,
    {
        let Opened {
            success,
            errors,
            messages,
            result,
        } = self.open();
        match result {
            Some(result) if success => Ok(Delivered { result, messages }),
            _ => Err(Undelivered {
                success,
                errors,
                messages,
            }),
        }
    }
}

/// An envelope's four fields.
pub(crate) struct Opened<R> {
    pub(crate) success: bool,
    pub(crate) errors: Vec<ApiMessage>,
    pub(crate) messages: Vec<ApiMessage>,
    pub(crate) result: Option<R>,
}

/// What a success holds.
pub(crate) struct Delivered<R> {
    pub(crate) result: R,
    pub(crate) messages: Vec<ApiMessage>,
}

/// What is left of an envelope without a result that may be relied on.
pub(crate) struct Undelivered {
    /// Whether the API called it a success all the same.
    pub(crate) success: bool,
    pub(crate) errors: Vec<ApiMessage>,
    pub(crate) messages: Vec<ApiMessage>,
}

impl Envelope for ServiceTokenEnvelope {
    type Result = ServiceToken;

    fn open(self) -> Opened<ServiceToken> {
        let Self {
            success,
            errors,
            messages,
            result,
        } = self;
        Opened {
            success,
            errors,
            messages,
            result,
        }
    }
}

impl Envelope for ServiceTokenListEnvelope {
    type Result = ServiceTokenPage;

    fn open(self) -> Opened<ServiceTokenPage> {
        let Self {
            success,
            errors,
            messages,
            result,
            result_info,
        } = self;
        Opened {
            success,
            errors,
            messages,
            result: result.map(|tokens| ServiceTokenPage {
                tokens,
                result_info,
            }),
        }
    }
}

/// The envelope around a result of any kind, for calls that the fragment lacks.
#[derive(Deserialize)]
pub(crate) struct AnyEnvelope<T> {
    success: bool,
    errors: Vec<ApiMessage>,
    messages: Vec<ApiMessage>,
    result: Option<T>,
}

impl<T> Envelope for AnyEnvelope<T> {
    type Result = T;

    fn open(self) -> Opened<T> {
        let Self {
            success,
            errors,
            messages,
            result,
        } = self;
        Opened {
            success,
            errors,
            messages,
            result,
        }
    }
}

/// The envelope around a new secret.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct IssuedServiceTokenEnvelope(AnyEnvelope<IssuedServiceToken>);

impl Envelope for IssuedServiceTokenEnvelope {
    type Result = IssuedServiceToken;

    fn open(self) -> Opened<IssuedServiceToken> {
        self.0.open()
    }

    fn rescue(document: &Value) -> Option<Decoded<IssuedServiceToken>> {
        IssuedServiceToken::rescue(document)
    }
}
