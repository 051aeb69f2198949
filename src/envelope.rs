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
    fn open(self) -> AnyEnvelope<Self::Result>;

    /// What must not be lost with an answer that can't be read, if it is there.
    fn rescue(_document: &Value) -> Option<Decoded<Self::Result>> {
        None
    }

    /// The result, or why there is none.
    fn into_result(self) -> Result<Delivered<Self::Result>, Undelivered>
    where
        Self: Sized,
    {
        let AnyEnvelope {
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

/// The four fields of every envelope, around a result of any kind.
#[derive(Deserialize)]
pub(crate) struct AnyEnvelope<R> {
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

impl<R> Envelope for AnyEnvelope<R> {
    type Result = R;

    fn open(self) -> Self {
        self
    }
}

impl Envelope for ServiceTokenEnvelope {
    type Result = ServiceToken;

    fn open(self) -> AnyEnvelope<ServiceToken> {
        AnyEnvelope {
            success: self.success,
            errors: self.errors,
            messages: self.messages,
            result: self.result,
        }
    }
}

impl Envelope for ServiceTokenListEnvelope {
    type Result = ServiceTokenPage;

    fn open(self) -> AnyEnvelope<ServiceTokenPage> {
        AnyEnvelope {
            success: self.success,
            errors: self.errors,
            messages: self.messages,
            result: self.result.map(|tokens| ServiceTokenPage {
                tokens,
                result_info: self.result_info,
            }),
        }
    }
}

/// The envelope around a new secret.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct IssuedServiceTokenEnvelope(AnyEnvelope<IssuedServiceToken>);

impl Envelope for IssuedServiceTokenEnvelope {
    type Result = IssuedServiceToken;

    fn open(self) -> AnyEnvelope<IssuedServiceToken> {
        self.0
    }

    fn rescue(document: &Value) -> Option<Decoded<IssuedServiceToken>> {
        IssuedServiceToken::rescue(document)
    }
}
