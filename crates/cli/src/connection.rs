//! The account that a command works on: a real one, or a simulated one.

use std::fs;
use std::path::Path;

use cf_service_tokens::{
    Client, ClientBuilder, Error, ErrorKind, ListServiceTokens, Retry, ServiceToken, ServiceTokens,
};
use cf_service_tokens_simulator::Simulator;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::arguments::Global;
use crate::failure::{Exit, Failure};

/// The tokens that a command works on, and the simulator that has them, if any.
pub(crate) struct Connection {
    pub(crate) tokens: ServiceTokens,
    pub(crate) simulator: Option<Simulator>,
}

impl Connection {
    /// Sets up a client from the arguments and the environment. Sends nothing.
    pub(crate) async fn open(global: &Global, retry: Retry) -> Result<Self, Failure> {
        if global.simulate {
            return Self::simulated(global).await;
        }
        let mut builder = ClientBuilder::from_env().retry(retry);
        if let Some(file) = &global.api_token_file {
            builder = builder.api_token(api_token(file)?);
        }
        if let Some(account) = &global.account {
            builder = builder.account_id(account);
        }
        let client = builder.build().map_err(|error| unusable(&error))?;
        Ok(Self {
            tokens: tokens(&client)?,
            simulator: None,
        })
    }

    /// Starts a simulator whose account has the id that was asked for.
    async fn simulated(global: &Global) -> Result<Self, Failure> {
        let mut builder = Simulator::builder().believable_account();
        if let Some(account) = &global.account {
            builder = builder.account_id(account);
        }
        let simulator = builder
            .start()
            .await
            .map_err(|error| Failure::usage("could not simulate an account").because(error))?;
        let client = Client::builder()
            .base_url(simulator.base_url())
            .api_token(simulator.api_token())
            .account_id(simulator.account_id())
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(Self {
            tokens: tokens(&client)?,
            simulator: Some(simulator),
        })
    }

    /// The id of the account.
    pub(crate) fn account_id(&self) -> &str {
        self.tokens.account_id().as_str()
    }

    /// All the tokens of a listing, in memory.
    pub(crate) async fn all(list: ListServiceTokens) -> Result<Vec<ServiceToken>, Error> {
        let mut stream = list.stream();
        let mut tokens = Vec::new();
        while let Some(token) = stream.next().await {
            tokens.push(token?);
        }
        Ok(tokens)
    }
}

/// The tokens of the account that the arguments or the environment name.
fn tokens(client: &Client) -> Result<ServiceTokens, Failure> {
    let account = client.default_account().map_err(|_| {
        Failure::usage("no account given").next(
            "use --account or set CLOUDFLARE_ACCOUNT_ID; the dashboard shows the id on the \
             account's overview page",
        )
    })?;
    Ok(account.service_tokens())
}

/// Why there is no client, or no account. An invalid id here is the account's, and
/// elsewhere a token's.
fn unusable(error: &Error) -> Failure {
    let failure = Failure::from(error);
    match error.kind() {
        ErrorKind::InvalidId => {
            failure.next("copy the account's id from its overview page in the dashboard")
        }
        _ => failure,
    }
}

/// The API token in a file, without the line break that editors leave.
fn api_token(file: &Path) -> Result<SecretString, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Exit::Credentials,
            format!("can't read the API token from {}", file.display()),
        )
        .because(error)
        .next("--api-token-file takes a file that holds only the API token")
    })?;
    let text = Zeroizing::new(text);
    Ok(SecretString::from(text.trim_end()))
}
