//! The SDK's side of the contract tests, asynchronous and blocking alike.
//!
//! `run.sh` starts it with a server in the environment, as `Client::from_env` reads
//! it. Besides `async` or `blocking` comes what to do there:
//!
//! - nothing: takes a token through its whole life.
//! - `calls`: makes each call once. The server is a mock of the API's document, which
//!   makes its answers up.
//! - `neighbours`: reads the things around the tokens.
//! - `refusal`: deletes the token `TOKEN_ID`, and prints the status of the refusal.
//!
//! `serve` alone serves a simulator that accepts a read-only API token as well, and
//! prints the environment of its clients.
#![allow(clippy::print_stdout, reason = "the caller reads it")]

use std::env;
use std::error::Error;
use std::time::Duration;

use cf_service_tokens::{
    Client, ClientBuilder, CreateServiceToken, Retry, RotateServiceToken, TokenDuration,
    UpdateServiceToken, blocking,
};
use cf_service_tokens_simulator::{SeedApiToken, Simulator};

type Outcome = Result<(), Box<dyn Error>>;

/// An id of the form that the API gives.
const TOKEN: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";

const USAGE: &str = "usage: contract serve | async|blocking [calls|neighbours|refusal]";

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::main(flavor = "current_thread")]
async fn asynchronous(part: Part) -> Outcome {
    let client = ClientBuilder::from_env().retry(part.retry()).build()?;
    match part {
        Part::Life => life_async(&client).await,
        Part::Calls => calls_async(&client).await,
        Part::Neighbours => neighbours_async(&client).await,
        Part::Refusal => refusal_async(&client).await,
    }
}

fn blocking(part: Part) -> Outcome {
    let builder = blocking::ClientBuilder::from_env();
    let client = builder.retry(part.retry()).build()?;
    match part {
        Part::Life => life_blocking(&client),
        Part::Calls => calls_blocking(&client),
        Part::Neighbours => neighbours_blocking(&client),
        Part::Refusal => refusal_blocking(&client),
    }
}

enum Part {
    Life,
    Calls,
    Neighbours,
    Refusal,
}

impl Part {
    /// One attempt, so that each answer counts; but a mock under load closes connections
    /// while it answers the three listings that come at once.
    fn retry(&self) -> Retry {
        match self {
            Self::Neighbours => Retry::default(),
            _ => Retry::none(),
        }
    }
}

fn main() -> Outcome {
    let mut arguments = env::args().skip(1);
    let (way, part) = (arguments.next(), arguments.next());
    let part = match part.as_deref() {
        None => Part::Life,
        Some("calls") => Part::Calls,
        Some("neighbours") => Part::Neighbours,
        Some("refusal") => Part::Refusal,
        Some(_) => return Err(USAGE.into()),
    };
    let outcome = match way.as_deref() {
        Some("serve") => serve(),
        Some("async") => asynchronous(part),
        Some("blocking") => blocking(part),
        _ => return Err(USAGE.into()),
    };
    // The error's own text cuts the body short, which holds all that Prism found.
    if let Err(error) = &outcome
        && let Some(body) = error
            .downcast_ref::<cf_service_tokens::Error>()
            .and_then(cf_service_tokens::Error::body)
    {
        println!("{}", String::from_utf8_lossy(body));
    }
    outcome
}

#[tokio::main(flavor = "current_thread")]
async fn serve() -> Outcome {
    let read_only = "read-only-api-token";
    let simulator = Simulator::builder()
        .believable_account()
        .add_api_token(SeedApiToken::new(read_only).read_only())
        .start()
        .await?;
    println!("CLOUDFLARE_BASE_URL={}", simulator.base_url());
    println!("CLOUDFLARE_API_TOKEN={}", simulator.api_token());
    println!("READ_ONLY_API_TOKEN={read_only}");
    println!("CLOUDFLARE_ACCOUNT_ID={}", simulator.account_id());
    std::future::pending().await
}

/// Makes each call once, so that each answer counts.
/// Prints that something holds, or fails.
fn check(what: &str, holds: bool) -> Outcome {
    if !holds {
        return Err(format!("FAILED: {what}").into());
    }
    println!("  ok: {what}");
    Ok(())
}

fn token_id() -> Result<String, Box<dyn Error>> {
    Ok(env::var("TOKEN_ID").map_err(|error| format!("TOKEN_ID: {error}"))?)
}

/// The same program twice: with `async` and `await`, and without.
macro_rules! programs {
    (
        $calls:ident, $life:ident, $neighbours:ident, $refusal:ident, $client:ty, $list:ident
        $(, $async:ident, $await:tt)?
    ) => {
        $($async)? fn $calls(client: &$client) -> Outcome {
            let tokens = client.default_account()?.service_tokens();
            let grace = RotateServiceToken::grace(HOUR);

            let list = tokens.list().name("a").search("b").per_page(1000);
            let page = list.page(1)$(.$await)??;
            check("list: a page", !page.tokens.is_empty() && page.result_info.is_some())?;

            let create = CreateServiceToken::new("deploy");
            let created = tokens.create(&create)$(.$await)??;
            check("create: the least", created.credentials().client_id().is_some())?;
            let create = create
                .duration(TokenDuration::FOREVER)
                .enabled(false)
                .client_secret_version(1)
                .previous_client_secret_expires_at(chrono::Utc::now());
            let created = tokens.create(&create)$(.$await)??;
            check("create: all fields", created.created_at.is_some())?;

            let got = tokens.get(TOKEN)$(.$await)??;
            check("get", got.expires_at.is_some() && got.duration.is_some())?;

            let update = UpdateServiceToken::new().name("renamed");
            let updated = tokens.update(TOKEN, &update)$(.$await)??;
            check("update: one field", updated.name.is_some())?;
            let update = update
                .duration(TokenDuration::DEFAULT)
                .enabled(true)
                .client_secret_version(2)
                .previous_client_secret_expires_at(chrono::Utc::now());
            let updated = tokens.update(TOKEN, &update)$(.$await)??;
            check("update: all fields", updated.enabled.is_some())?;

            let refreshed = tokens.refresh(TOKEN)$(.$await)??;
            check("refresh", refreshed.expires_at.is_some())?;

            let rotated = tokens.rotate(TOKEN, &RotateServiceToken::revoke_now())$(.$await)??;
            check("rotate: at once", rotated.credentials().client_id().is_some())?;
            let rotated = tokens.rotate(TOKEN, &grace)$(.$await)??;
            check("rotate: with a grace", rotated.updated_at.is_some())?;

            let deleted = tokens.delete(TOKEN)$(.$await)??;
            check("delete", deleted.id.is_some())
        }

        $($async)? fn $life(client: &$client) -> Outcome {
            let tokens = client.default_account()?.service_tokens();
            let name = format!("life {}", stringify!($life));

            let create = CreateServiceToken::new(&name);
            let created = tokens.create(&create)$(.$await)??;
            let id = created.id.clone().ok_or("a created token has no id")?;
            check("create: the name is echoed", created.name.as_ref() == Some(&name))?;
            let secret = created.credentials().expose_secret().to_owned();
            check("create: a secret", !secret.is_empty())?;

            let got = tokens.get(&id)$(.$await)??;
            check("get: the same token", got.id.as_ref() == Some(&id))?;
            check("get: it expires", got.expires_at > Some(chrono::Utc::now()))?;

            let mut named = 0;
            let mut all = tokens.list().name(&name).per_page(5).$list();
            while let Some(token) = all.next()$(.$await)? {
                named += usize::from(token?.id.as_ref() == Some(&id));
            }
            check("list: by name, the token once", named == 1)?;
            let mut ids = Vec::new();
            let mut all = tokens.list().per_page(5).$list();
            while let Some(token) = all.next()$(.$await)? {
                ids.push(token?.id.ok_or("a listed token has no id")?);
            }
            check("list: over several pages", ids.len() > 5 && ids.contains(&id))?;
            let page = tokens.list().search(&name).page(1)$(.$await)??;
            let found = matches!(&page.tokens[..], [token] if token.id.as_ref() == Some(&id));
            check("list: by search, the token alone", found)?;

            let update = UpdateServiceToken::new().duration(TokenDuration::FOREVER);
            let updated = tokens.update(&id, &update)$(.$await)??;
            check("update: a duration", updated.duration == Some(TokenDuration::FOREVER))?;
            let update = UpdateServiceToken::new().enabled(false);
            let updated = tokens.update(&id, &update)$(.$await)??;
            check("update: disabled", updated.enabled == Some(false))?;

            let refreshed = tokens.refresh(&id)$(.$await)??;
            let in_a_year = chrono::Utc::now() + HOUR * 24 * 364;
            check("refresh: a year", refreshed.expires_at > Some(in_a_year))?;

            let rotated = tokens.rotate(&id, &RotateServiceToken::revoke_now())$(.$await)??;
            let second = rotated.credentials().expose_secret().to_owned();
            check("rotate at once: a new secret", second != secret)?;
            let grace = RotateServiceToken::grace(HOUR);
            let rotated = tokens.rotate(&id, &grace)$(.$await)??;
            let third = rotated.credentials().expose_secret();
            check("rotate with a grace: a new secret", third != second)?;

            let deleted = tokens.delete(&id)$(.$await)??;
            check("delete: the token", deleted.id.as_ref() == Some(&id))?;
            let gone = tokens.get(&id)$(.$await)?.err().ok_or("a deleted token was found")?;
            check("get: no deleted token", gone.is_token_not_found())
        }

        $($async)? fn $neighbours(client: &$client) -> Outcome {
            let mut accounts = client.accounts();
            let first = accounts.next()$(.$await)?.ok_or("there is no account")??;
            check("accounts: the first", first.id.is_some() && first.name.is_some())?;

            let account = client.default_account()?;
            let organization = account.organization()$(.$await)??;
            check("organization: all of it is read", organization.unreadable().is_empty())?;

            let usage = account.usage()$(.$await)??;
            check("usage: every listing is read", usage.unread().is_empty())?;

            for (what, verified) in [
                ("verify: by the client", client.verify_api_token()$(.$await)?),
                ("verify: by the account", account.verify_api_token()$(.$await)?),
            ] {
                let holds = match verified {
                    Ok(api_token) => api_token.status.is_some(),
                    Err(error) if error.is_configuration() => env::var("CLOUDFLARE_API_KEY").is_ok(),
                    Err(error) => return Err(error.into()),
                };
                check(what, holds)?;
            }
            Ok(())
        }

        $($async)? fn $refusal(client: &$client) -> Outcome {
            let tokens = client.default_account()?.service_tokens();
            let refusal = tokens.delete(token_id()?)$(.$await)?.err();
            let refusal = refusal.ok_or("the call was not refused")?;
            let status = refusal.status().ok_or_else(|| refusal.to_string())?;
            println!("{}", status.as_u16());
            Ok(())
        }
    };
}

programs!(
    calls_async,
    life_async,
    neighbours_async,
    refusal_async,
    Client,
    stream,
    async,
    await
);
programs!(
    calls_blocking,
    life_blocking,
    neighbours_blocking,
    refusal_blocking,
    blocking::Client,
    iter
);
