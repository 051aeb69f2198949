//! What the API wraps every answer in, turned into a `Result`.
//!
//! The HTTP status alone says little: an answer may be a failure under HTTP
//! 200, or a success that holds nothing.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::decode::{self, Decoded, Undecodable};
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

    /// Whether the result may be something else that was taken for one: the
    /// generated code reads a list as an object, by the order of its fields.
    fn is_doubtful(&self) -> bool {
        false
    }

    /// Leaves out of a result, that is not null, what can't be read of it.
    fn tidy(_result: &mut Value, _unreadable: &mut Vec<String>) -> Result<(), Undecodable> {
        Ok(())
    }

    /// The result of a success that has nothing to tell, if that can be one.
    fn nothing() -> Option<Self::Result> {
        None
    }

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
            Some(result) if success => Ok(Delivered {
                result,
                errors,
                messages,
            }),
            _ => Err(Undelivered {
                refused: !success,
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
    pub(crate) errors: Vec<ApiMessage>,
    pub(crate) messages: Vec<ApiMessage>,
}

/// What is left of an envelope without a result that may be relied on.
#[derive(Default)]
pub(crate) struct Undelivered {
    /// Whether the API itself called it no success.
    pub(crate) refused: bool,
    pub(crate) errors: Vec<ApiMessage>,
    pub(crate) messages: Vec<ApiMessage>,
}

impl<R: DeserializeOwned> Envelope for AnyEnvelope<R> {
    type Result = R;

    fn open(self) -> Self {
        Self {
            result: self.result.or_else(Self::nothing),
            ..self
        }
    }

    fn nothing() -> Option<R> {
        R::deserialize(Value::Null).ok()
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

    fn is_doubtful(&self) -> bool {
        self.result.as_ref().is_some_and(|token| token.id.is_none())
    }

    fn tidy(result: &mut Value, unreadable: &mut Vec<String>) -> Result<(), Undecodable> {
        decode::service_token(result, "result", unreadable).map(drop)
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

    fn is_doubtful(&self) -> bool {
        let mut tokens = self.result.iter().flatten();
        tokens.any(|token| token.id.is_none())
    }

    fn tidy(result: &mut Value, unreadable: &mut Vec<String>) -> Result<(), Undecodable> {
        let tokens = result.as_array_mut().into_iter().flatten();
        for (index, token) in tokens.enumerate() {
            decode::service_token(token, &format!("result[{index}]"), unreadable)?;
        }
        Ok(())
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

    fn tidy(result: &mut Value, unreadable: &mut Vec<String>) -> Result<(), Undecodable> {
        decode::service_token(result, "result", unreadable).map(drop)
    }

    fn rescue(document: &Value) -> Option<Decoded<IssuedServiceToken>> {
        IssuedServiceToken::rescue(document)
    }
}
