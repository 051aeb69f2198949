//! The account or zone that a command works on: a real one, or a simulated one.

use std::fs;
use std::path::Path;

use cf_service_tokens::{
    AccountServiceTokens, Client, ClientBuilder, CreateServiceToken, Error, IssuedServiceToken,
    ListServiceTokens, Response, Retry, ServiceToken, UpdateServiceToken, ZoneServiceTokens,
};
use cf_service_tokens_simulator::Simulator;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::arguments::Global;
use crate::exit::Exit;
use crate::explain::Failure;
use crate::page;

/// The tokens that a command works on, and the simulator that has them, if any.
pub(crate) struct Connection {
    tokens: Scope,
    pub(crate) simulator: Option<Simulator>,
}

enum Scope {
    Account(AccountServiceTokens),
    Zone(ZoneServiceTokens),
}

/// The same call in either scope.
macro_rules! in_scope {
    ($self:ident, $tokens:ident => $call:expr) => {
        match &$self.tokens {
            Scope::Account($tokens) => $call,
            Scope::Zone($tokens) => $call,
        }
    };
}

impl Connection {
    /// Sets up a client as the arguments and the environment say. Nothing is sent.
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
            tokens: scope(&client, global)?,
            simulator: None,
        })
    }

    /// An account of the simulator's, under the ids that were asked for.
    async fn simulated(global: &Global) -> Result<Self, Failure> {
        let mut builder = Simulator::builder().believable_account();
        if let Some(account) = &global.account {
            builder = builder.account_id(account);
        }
        if let Some(zone) = &global.zone {
            builder = builder.zone_id(zone);
        }
        let simulator = builder
            .start()
            .await
            .map_err(|error| Failure::usage("no account can be simulated").because(error))?;
        let client = Client::builder()
            .base_url(simulator.base_url())
            .api_token(simulator.api_token())
            .account_id(simulator.account_id())
            .build()?;
        Ok(Self {
            tokens: scope(&client, global)?,
            simulator: Some(simulator),
        })
    }

    /// The account's tokens, for what a zone's can't do.
    pub(crate) fn account(&self, what: &str) -> Result<&AccountServiceTokens, Failure> {
        match &self.tokens {
            Scope::Account(tokens) => Ok(tokens),
            Scope::Zone(_) => Err(Failure::usage(format!(
                "a zone's tokens can't be {what}: Cloudflare's API has no such call"
            ))
            .next("to move a zone's token's expiry, use `update ID --duration 8760h`")),
        }
    }

    /// The id of the account or zone.
    pub(crate) fn owner(&self) -> &str {
        match &self.tokens {
            Scope::Account(tokens) => tokens.account_id().as_str(),
            Scope::Zone(tokens) => tokens.zone_id().as_str(),
        }
    }

    /// The account or zone, for the page.
    pub(crate) fn page_owner(&self) -> page::Owner {
        match &self.tokens {
            Scope::Account(tokens) => page::Owner::Account(tokens.account_id().to_string()),
            Scope::Zone(tokens) => page::Owner::Zone(tokens.zone_id().to_string()),
        }
    }

    pub(crate) fn list(&self) -> ListServiceTokens {
        in_scope!(self, tokens => tokens.list())
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

    pub(crate) async fn get(&self, id: &str) -> Result<Response<ServiceToken>, Error> {
        in_scope!(self, tokens => tokens.get(id).await)
    }

    pub(crate) async fn create(
        &self,
        request: &CreateServiceToken,
    ) -> Result<Response<IssuedServiceToken>, Error> {
        in_scope!(self, tokens => tokens.create(request).await)
    }

    pub(crate) async fn update(
        &self,
        id: &str,
        request: &UpdateServiceToken,
    ) -> Result<Response<ServiceToken>, Error> {
        in_scope!(self, tokens => tokens.update(id, request).await)
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<Response<ServiceToken>, Error> {
        in_scope!(self, tokens => tokens.delete(id).await)
    }
}

fn scope(client: &Client, global: &Global) -> Result<Scope, Failure> {
    if let Some(zone) = &global.zone {
        let tokens = client.zone(zone).map_err(|error| unusable(&error))?;
        return Ok(Scope::Zone(tokens));
    }
    let tokens = client.default_account().map_err(|_| {
        Failure::usage("it is not said whose tokens these are").next(
            "name the account by --account, or set CLOUDFLARE_ACCOUNT_ID, or name a zone by --zone; \
             the dashboard shows the ids on the overview pages",
        )
    })?;
    Ok(Scope::Account(tokens))
}

/// Why there is no client, or no account or zone. It is not about a token's id, as
/// invalid ids are elsewhere.
fn unusable(error: &Error) -> Failure {
    let failure = Failure::from(error);
    match error.is_invalid_id() {
        true => failure.next("copy the id from the overview page in the dashboard"),
        false => failure,
    }
}

/// The API token in a file, without the line break that editors leave.
fn api_token(file: &Path) -> Result<SecretString, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Exit::Credentials,
            format!("the API token can't be read from {}", file.display()),
        )
        .because(error)
        .next("--api-token-file names a file that holds the API token and nothing else")
    })?;
    let text = Zeroizing::new(text);
    Ok(SecretString::from(text.trim_end()))
}
