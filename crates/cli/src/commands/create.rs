//! `create`: makes a token, and stores its secret.

use std::time::Duration;

use cf_service_tokens::{CreateServiceToken, ServiceToken, TokenDuration};
use clap::Args;

use crate::commands::issue::{self, Destination};
use crate::commands::select;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::secret::deliver::{Delivery, HeldSignals};
use crate::secret::journal::{Journal, RecordName};
use crate::secret::record::{Intent, Operation, Steps};
use crate::secret::recover;
use crate::secret::sink::{NamedBy, Sink};
use crate::time;

/// How long to wait for the expiry of a new token, whose secret is safe already.
const READ_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens create deploy --duration 90d --secret-to env-file:deploy.env")]
pub(crate) struct Create {
    /// The display name of the token
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) destination: Destination,
    /// How long the token is valid: a span, such as 90d, or `forever` [default: a year]
    #[arg(long, value_name = "SPAN", value_parser = time::token_duration)]
    pub(crate) duration: Option<TokenDuration>,
    /// Create the token even if another one has this name
    #[arg(long)]
    pub(crate) allow_duplicate: bool,
}

pub(crate) async fn create(
    connection: &Connection,
    journal: &Journal,
    output: Output,
    arguments: Create,
) -> Result<Exit, Failure> {
    let Create {
        name,
        destination: Destination {
            secret_to,
            keep_env,
        },
        duration,
        allow_duplicate,
    } = arguments;
    let delivery = Delivery::prepare(connection, journal, secret_to, keep_env, NamedBy::Option)?;
    let sink = delivery.sink.clone();
    let mut record = journal.lock(&RecordName::create(connection.account_id(), &name))?;
    let (at, namesakes) =
        recover::settle_create(connection, &mut record, &name, allow_duplicate).await?;

    let mut request = CreateServiceToken::new(&name);
    if let Some(duration) = duration {
        request = request.duration(duration);
    }
    let intent = Intent {
        operation: Operation::Create,
        account_id: connection.account_id().to_owned(),
        token_id: None,
        name: Some(name.clone()),
        client_id: None,
        updated_at: None,
        expires_at: None,
        old_secret_valid_until: None,
        version: None,
        started_at: at,
        may_arrive_until: at + connection.may_arrive(),
        sink: sink.to_string(),
        then_steps: Steps::default(),
        outage_since: None,
    };
    let call = connection.tokens.create(&request);
    let mut signals = HeldSignals::hold()?;
    let created = delivery
        .issue(&mut record, &mut signals, intent.clone(), call)
        .await?;
    recover::settle_created(journal, &mut record, &intent, &created)?;
    let output = output.beside_secret(sink == Sink::Stdout);
    if !issue::shows_result(&output) {
        return Ok(Exit::Success);
    }
    let token = with_expiry(connection, created).await;
    if namesakes > 0 {
        output::remark(select::shared_name(&name, namesakes + 1));
    }
    issue::show(&output, &sink, &token, None, at)
}

/// Reads a new token, unless its expiry is known: the API documents none in the answer
/// to create. The secret is safe, so a failure to read is a note.
async fn with_expiry(connection: &Connection, created: ServiceToken) -> ServiceToken {
    if created.never_expires() || created.expires_at.is_some() {
        return created;
    }
    // Without an id, which the API does not promise either, the call fails unsent.
    let id = created.id.as_deref().unwrap_or_default();
    let hurried = connection.tokens.with(|call| call.deadline(READ_DEADLINE));
    match hurried.get(id).await {
        Ok(token) => token.into_inner(),
        Err(error) => {
            output::remark(format!(
                "the secret is safe, but the new token can't be read, so its expiry is unknown: {error}"
            ));
            created
        }
    }
}
