//! The accounts of a configuration file, each with its own credentials.

use std::path::PathBuf;

use cf_service_tokens::{Client, ClientBuilder, Credentials};
use secrecy::{ExposeSecret as _, SecretString};

use super::credentials::{Source, has_credentials};
use super::{API_TOKEN, unusable};
use crate::arguments::Global;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output::quoted;

/// The accounts of a configuration file.
#[derive(Clone)]
pub(super) struct Configured {
    path: PathBuf,
    pub(super) accounts: Vec<ConfiguredAccount>,
}

/// An account of the file, and the client that has its credentials.
#[derive(Clone)]
pub(super) struct ConfiguredAccount {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) source: Source,
    /// The client, or why there is none.
    login: Result<Login, Failure>,
}

/// A client, and the API token that it sends, unless the SDK read the credentials. Accounts
/// with the same API token have clones of one client, and so share its rate limit.
#[derive(Clone)]
struct Login {
    client: Client,
    token: Option<SecretString>,
}

impl Configured {
    /// Reads the credentials of all accounts. Returns the accounts, and a client whose
    /// connections the others share.
    ///
    /// # Errors
    ///
    /// If no account has usable credentials.
    pub(super) fn open(
        config: &Config,
        global: &Global,
        builder: impl Fn() -> ClientBuilder,
    ) -> Result<(Self, Client), Failure> {
        let mut read: Vec<(Source, Result<Option<SecretString>, Failure>)> = Vec::new();
        let mut sources = Vec::new();
        for account in &config.accounts {
            let source = Source::configured(&account.api_token, global)?;
            // Several accounts may have the API token of one standard input.
            if !read.iter().any(|(other, _)| *other == source) {
                let has_none = source == Source::Environment && !has_credentials();
                let token = match has_none {
                    true => Err(no_api_token()),
                    false => source.read(global.quiet),
                };
                read.push((source.clone(), token));
            }
            sources.push(source);
        }
        if let Some(file) = &global.api_token_file
            && !sources.contains(&Source::named(global)?)
        {
            let what = format!("no account uses --api-token-file {}", file.display());
            let path = config.path.display();
            let next = format!("leave it out: each account of {path} names its own API token");
            return Err(Failure::usage(what).next(next));
        }
        // Only a builder takes the credentials of the environment.
        read.sort_by_key(|(_, token)| !matches!(token, Ok(None)));
        let mut base: Option<Client> = None;
        let mut logins: Vec<(Source, Result<Login, Failure>)> = Vec::new();
        for (source, token) in read {
            let login = token.and_then(|token| match (&base, &token) {
                (Some(base), Some(token)) => {
                    log_in(base, token, logins.iter().map(|(_, login)| login))
                }
                (_, token) => {
                    let builder = token.iter().fold(builder(), |builder, token| {
                        builder.api_token((*token).clone())
                    });
                    let client = builder.build().map_err(|error| unusable(&error))?;
                    Ok(Login {
                        client,
                        token: token.clone(),
                    })
                }
            });
            base = base.or_else(|| login.as_ref().ok().map(|login| login.client.clone()));
            logins.push((source, login));
        }
        let accounts = config
            .accounts
            .iter()
            .zip(sources)
            .map(|(account, source)| {
                let login = logins.iter().find(|(other, _)| *other == source);
                let login = login.map(|(_, login)| login.clone());
                ConfiguredAccount {
                    id: account.id.clone(),
                    name: account.name.clone(),
                    login: login.unwrap_or_else(|| Err(no_api_token())),
                    source,
                }
            });
        let configured = Self {
            path: config.path.clone(),
            accounts: accounts.collect(),
        };
        match base {
            Some(base) => Ok((configured, base)),
            None => Err(configured.without_credentials()),
        }
    }

    /// Shows why no account can be used, each reason once, except for the last one, which it
    /// returns.
    fn without_credentials(&self) -> Failure {
        let mut failures = Vec::new();
        let mut sources: Vec<&Source> = Vec::new();
        for (account, failure) in self.failures() {
            if !sources.contains(&&account.source) {
                sources.push(&account.source);
                failures.push(failure);
            }
        }
        let last = failures.pop();
        failures.iter().for_each(Failure::show);
        last.unwrap_or_else(no_api_token)
    }

    /// Returns the accounts without usable credentials, and why they have none.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&ConfiguredAccount, Failure)> {
        self.accounts.iter().filter_map(|account| {
            let failure = account.login.as_ref().err()?.clone();
            Some((account, failure.about(&account.label())))
        })
    }

    /// Returns the client of an account.
    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        let account = self.accounts.iter().find(|account| account.id == id)?;
        account.client()
    }

    /// Where an account's id comes from.
    pub(super) fn origin(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads the files of the API tokens again. Returns whether any holds another token,
    /// which is in use from now on.
    ///
    /// # Errors
    ///
    /// If a file can't be read, and nothing has changed. The known token stays in use.
    pub(super) fn reread(&mut self, base: &Client) -> Result<bool, Failure> {
        let mut read: Vec<(Source, Result<Option<SecretString>, Failure>)> = Vec::new();
        let mut has_changed = false;
        let mut first = None;
        for index in 0..self.accounts.len() {
            let source = &self.accounts[index].source;
            if !source.is_file() {
                continue;
            }
            let token = match read.iter().find(|(other, _)| other == source) {
                Some((_, token)) => token.clone(),
                None => {
                    let token = source.reread();
                    read.push((source.clone(), token.clone()));
                    token
                }
            };
            let login = token.and_then(|token| match token {
                Some(token) if !self.accounts[index].sends(&token) => {
                    let logins = self.accounts.iter().map(|account| &account.login);
                    log_in(base, &token, logins).map(Some)
                }
                _ => Ok(None),
            });
            match login {
                Ok(None) => {}
                Ok(Some(login)) => {
                    has_changed = true;
                    self.accounts[index].login = Ok(login);
                }
                Err(failure) => {
                    let label = self.accounts[index].label();
                    first.get_or_insert_with(|| failure.about(&label));
                }
            }
        }
        match first {
            Some(failure) if !has_changed => Err(failure),
            _ => Ok(has_changed),
        }
    }
}

impl ConfiguredAccount {
    pub(super) fn client(&self) -> Option<&Client> {
        self.login.as_ref().ok().map(|login| &login.client)
    }

    /// Returns the beginning of another command that works on the account.
    pub(super) fn command(&self) -> String {
        match &self.source {
            Source::ConfiguredFile(file) => {
                let file = quoted(&file.to_string_lossy());
                format!(
                    "cf-service-tokens --account {} --api-token-file {file}",
                    self.id
                )
            }
            Source::Variable(name) => format!(
                "{API_TOKEN}=\"${name}\" cf-service-tokens --account {}",
                self.id
            ),
            _ => format!("cf-service-tokens --account {}", self.id),
        }
    }

    fn label(&self) -> String {
        format!("{} ({})", self.name, self.id)
    }

    fn sends(&self, token: &SecretString) -> bool {
        self.login.as_ref().is_ok_and(|login| login.sends(token))
    }
}

impl Login {
    fn sends(&self, token: &SecretString) -> bool {
        let known = self.token.as_ref();
        known.is_some_and(|known| known.expose_secret() == token.expose_secret())
    }
}

/// Returns the login with this API token, if there is one, or else makes it.
fn log_in<'a>(
    base: &Client,
    token: &SecretString,
    mut logins: impl Iterator<Item = &'a Result<Login, Failure>>,
) -> Result<Login, Failure> {
    let known = logins.find_map(|login| login.as_ref().ok().filter(|login| login.sends(token)));
    if let Some(known) = known {
        return Ok(known.clone());
    }
    let credentials = Credentials::ApiToken(token.clone());
    let client = base.with_credentials(credentials);
    Ok(Login {
        client: client.map_err(|error| unusable(&error))?,
        token: Some(token.clone()),
    })
}

/// Neither the configuration file nor the environment has an API token for an account.
fn no_api_token() -> Failure {
    Failure::new(Exit::Credentials, "no API token given").next(
        "give the account an api_token_file or an api_token_env in the configuration file, or set \
         CLOUDFLARE_API_TOKEN for all accounts without one",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::Args as _;
    use clap::FromArgMatches as _;
    use tempfile::TempDir;

    use super::*;

    const CONFIG: &str = r#"
[[account]]
name = "prod"
id = "000000000000000000000000000000a1"
api_token_file = "prod"
[[account]]
name = "lab"
id = "000000000000000000000000000000a2"
api_token_file = "lab"
"#;

    fn id(number: usize) -> String {
        format!("{}a{number}", "0".repeat(30))
    }

    /// The accounts of a file, and the tokens that they send.
    fn open(directory: &Path) -> Result<(Configured, Client), Failure> {
        let path = directory.join("keep.toml");
        fs::write(&path, CONFIG).unwrap();
        let config = Config::read(&path).unwrap();
        let command = Global::augment_args(clap::Command::new("test"));
        let matches = command.try_get_matches_from(["test", "--quiet"]).unwrap();
        let global = Global::from_arg_matches(&matches).unwrap();
        Configured::open(&config, &global, Client::builder)
    }

    fn sends(configured: &Configured) -> Vec<&str> {
        let tokens = configured.accounts.iter().map(|account| {
            let login = account.login.as_ref().ok();
            let token = login.and_then(|login| login.token.as_ref());
            token.map_or("nothing", |token| token.expose_secret())
        });
        tokens.collect()
    }

    #[test]
    fn each_file_is_read_again() {
        let directory = TempDir::new().unwrap();
        let write =
            |name: &str, token: &str| fs::write(directory.path().join(name), token).unwrap();
        let remove = |name: &str| fs::remove_file(directory.path().join(name)).unwrap();
        assert!(open(directory.path()).is_err());
        write("prod", "first\n");
        let (mut configured, base) = open(directory.path()).unwrap();
        assert_eq!(sends(&configured), ["first", "nothing"]);
        assert_eq!(configured.failures().count(), 1);
        assert!(configured.client(&id(1)).is_some() && configured.client(&id(2)).is_none());

        // The file of the other account is there later.
        assert!(configured.reread(&base).is_err());
        write("lab", "second");
        assert!(configured.reread(&base).unwrap());
        assert_eq!(sends(&configured), ["first", "second"]);
        assert!(!configured.reread(&base).unwrap());

        // What can't be read stays in use, and stops no other account.
        remove("prod");
        assert!(configured.reread(&base).is_err());
        write("lab", "third");
        assert!(configured.reread(&base).unwrap());
        assert_eq!(sends(&configured), ["first", "third"]);
    }
}
