//! The seven calls of the API, for tests that make them all, and a check of their
//! answers against the simulator's state.
#![allow(
    dead_code,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test file uses its part of this, and a test may panic"
)]

use std::fmt;

use cf_service_tokens::{
    Client, CreateServiceToken, Error, Response, RotateServiceToken, ServiceToken,
    ServiceTokenCredentials, UpdateServiceToken,
};
use cf_service_tokens_simulator::{Operation, Simulator, Token};

/// One of the seven calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(pub Operation);

pub const CALLS: [Call; 7] = [
    Call(Operation::List),
    Call(Operation::Get),
    Call(Operation::Create),
    Call(Operation::Update),
    Call(Operation::Delete),
    Call(Operation::Refresh),
    Call(Operation::Rotate),
];

/// The answer to a successful call.
pub struct Success {
    pub attempts: u32,
    pub unreadable: Vec<String>,
    /// The one token, or all of a list.
    pub tokens: Vec<ServiceToken>,
    pub credentials: Option<ServiceTokenCredentials>,
}

impl Call {
    pub fn changes(self) -> bool {
        !matches!(self.0, Operation::List | Operation::Get)
    }

    /// Makes the call, for the token `id` if it takes one. `name` is the name of a
    /// created token, and the new name of an updated one.
    pub async fn make(
        self,
        client: &Client,
        simulator: &Simulator,
        id: &str,
        name: &str,
    ) -> Result<Success, Error> {
        let create = CreateServiceToken::new(name);
        let update = UpdateServiceToken::new().name(name);
        let tokens = client.account(simulator.account_id())?.service_tokens();
        match self.0 {
            Operation::List => tokens.list().page(1).await.map(page),
            Operation::Get => tokens.get(id).await.map(one),
            Operation::Create => tokens.create(&create).await.map(issued),
            Operation::Update => tokens.update(id, &update).await.map(one),
            Operation::Delete => tokens.delete(id).await.map(one),
            Operation::Refresh => tokens.refresh(id).await.map(one),
            Operation::Rotate => {
                let revoking = RotateServiceToken::revoke_now();
                tokens.rotate(id, &revoking).await.map(issued)
            }
            other => panic!("not one of the seven calls: {other:?}"),
        }
    }
}

fn page(answer: Response<cf_service_tokens::ServiceTokenPage>) -> Success {
    Success {
        attempts: answer.attempts(),
        unreadable: answer.unreadable().to_vec(),
        tokens: answer.into_inner().tokens,
        credentials: None,
    }
}

fn one(answer: Response<ServiceToken>) -> Success {
    Success {
        attempts: answer.attempts(),
        unreadable: answer.unreadable().to_vec(),
        tokens: vec![answer.into_inner()],
        credentials: None,
    }
}

fn issued(answer: Response<cf_service_tokens::IssuedServiceToken>) -> Success {
    let (attempts, unreadable) = (answer.attempts(), answer.unreadable().to_vec());
    let (token, credentials) = answer.into_inner().into_parts();
    Success {
        attempts,
        unreadable,
        tokens: vec![token],
        credentials: Some(credentials),
    }
}

/// Whether the fields in an answer are those of the token.
pub fn is_true(answer: &ServiceToken, token: &Token) -> bool {
    let same_name = answer.name.as_ref() == Some(&token.name);
    let same_expiry = answer
        .expires_at
        .is_none_or(|expires_at| expires_at == token.expires_at);
    answer.id.as_ref() == Some(&token.id) && same_name && same_expiry
}

/// Whether the app behind Access lets these credentials in.
pub async fn opens_the_app(
    http: &reqwest::Client,
    simulator: &Simulator,
    credentials: &ServiceTokenCredentials,
) -> bool {
    let request = http.get(simulator.protected_url());
    let request = request.headers(credentials.headers().unwrap());
    request.send().await.unwrap().status() == 200
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{:?}", self.0).to_lowercase())
    }
}
