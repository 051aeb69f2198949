//! The configuration file: accounts, and what is done about their tokens.

mod document;
mod read;
mod secrets;
mod shape;
mod syntax;
mod tables;
mod trust;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cf_service_tokens::renewal::RenewalPolicy;
use clap::{Args, ValueHint};
use reqwest::Url;
use serde::Deserialize as _;
use toml::de::{DeTable, Deserializer};

use self::document::Mistake;
use self::read::Reader;
pub(crate) use self::tables::schema;
use crate::arguments::Global;
use crate::failure::{Exit, Failure};
use crate::hook::Hook;
use crate::secret::sink::Sink;

const VARIABLE: &str = "CF_SERVICE_TOKENS_CONFIG";

/// The option that names the configuration file of a command.
#[derive(Args, Debug)]
pub(crate) struct ConfigFile {
    /// The configuration file that names the accounts and their rules [env:
    /// CF_SERVICE_TOKENS_CONFIG]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

/// The rules of a configuration file.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    /// The accounts in the order of the file, at least one.
    pub(crate) accounts: Vec<AccountRules>,
    pub(crate) notify: Notify,
}

/// An account, and what is done about its tokens.
#[derive(Debug)]
pub(crate) struct AccountRules {
    /// The name that messages show. No other account of the file has it.
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) api_token: ApiTokenSource,
    /// How long before its expiry a token is due.
    pub(crate) within: Duration,
    /// The only tokens to renew; all, if it is empty.
    pub(crate) only: Vec<String>,
    pub(crate) except: Vec<String>,
    pub(crate) include_expired: bool,
    /// How many tokens the account has at least.
    pub(crate) expect_at_least: Option<usize>,
    pub(crate) rotate: Vec<RotationRule>,
}

impl AccountRules {
    /// Returns a failure if the account has fewer tokens than the file expects.
    pub(crate) fn missing(&self, tokens: usize) -> Option<Failure> {
        let expected = self.expect_at_least.filter(|expected| tokens < *expected)?;
        Some(too_few(tokens, expected))
    }

    /// Returns which tokens are renewed, and when.
    pub(crate) fn policy(&self) -> RenewalPolicy {
        let policy = RenewalPolicy::new()
            .window(self.within)
            .except(self.except.iter().cloned())
            .include_expired(self.include_expired);
        match self.only.is_empty() {
            true => policy,
            false => policy.only(self.only.iter().cloned()),
        }
    }
}

/// An account has fewer tokens than the configuration file expects.
pub(crate) fn too_few(tokens: usize, expected: usize) -> Failure {
    let tokens = match tokens {
        1 => "1 service token".to_owned(),
        tokens => format!("{tokens} service tokens"),
    };
    let what = format!("{tokens}, but the configuration file expects at least {expected}");
    Failure::new(Exit::Failed, what).next(
        "find out whether tokens were deleted, and whether the API token still sees all of them; \
         or lower expect_at_least",
    )
}

/// Where the API token of an account is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiTokenSource {
    File(PathBuf),
    Variable(String),
    /// The credentials are those that the command has without a configuration file.
    Environment,
}

/// When a token is rotated, and where its new secret goes.
#[derive(Debug)]
pub(crate) struct RotationRule {
    /// The token's name, id or client id.
    pub(crate) token: String,
    /// How old the secret may become.
    pub(crate) every: Duration,
    /// How long the old secret still works, which is shorter than `every`.
    pub(crate) grace: Duration,
    pub(crate) secret_to: Sink,
    /// The app that the new secret has to open.
    pub(crate) verify: Option<Url>,
    /// What runs after that.
    pub(crate) then: Option<Hook>,
}

/// Who is told how a run ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notify {
    pub(crate) on_failure: Option<Hook>,
    pub(crate) ping: Option<PingSource>,
}

/// Where the URL is read from that is requested after a run. It is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PingSource {
    File(PathBuf),
    Variable(String),
}

impl ConfigFile {
    /// Reads the file that the option or the variable names, if either does. An empty
    /// variable counts as unset. Options that name accounts take precedence over the variable.
    ///
    /// # Errors
    ///
    /// If the file can't be read or has a mistake, or if the command line has another option
    /// that names accounts.
    pub(crate) fn read(
        &self,
        global: &Global,
        all_accounts: bool,
    ) -> Result<Option<Config>, Failure> {
        let other = match () {
            () if global.simulate => Some("--simulate"),
            () if all_accounts => Some("--all-accounts"),
            () if !global.account.is_empty() => Some("--account"),
            () => None,
        };
        match (&self.config, other) {
            (Some(path), None) => Config::read(path).map(Some),
            (Some(_), Some(other)) => {
                let what = format!("--config and {other} can't be used together");
                let next = match other {
                    "--simulate" => "leave one of them out".to_owned(),
                    other => format!("leave {other} out: the file names the accounts"),
                };
                Err(Failure::usage(what).next(next))
            }
            (None, Some(_)) => Ok(None),
            (None, None) => match env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
                Some(path) => Config::read(Path::new(&path)).map(Some),
                None => Ok(None),
            },
        }
    }
}

impl Config {
    /// Returns the rules of an account.
    pub(crate) fn rules(&self, account_id: &str) -> Option<&AccountRules> {
        self.accounts
            .iter()
            .find(|account| account.id == account_id)
    }

    /// Whether any secret is rotated.
    pub(crate) fn rotates(&self) -> bool {
        let mut accounts = self.accounts.iter();
        accounts.any(|account| !account.rotate.is_empty())
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Names each mistake in the file, with its line. Nothing of the file is sent or changed.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let text = trust::read(&path)?;
        Self::parse(&path, &text).map_err(|mistakes| document::failure(&path, &text, mistakes))
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Vec<Mistake>> {
        let root = DeTable::parse(text).map_err(|error| vec![syntax::mistake(text, &error)])?;
        let secrets = secrets::check(root.get_ref());
        if !secrets.is_empty() {
            return Err(secrets);
        }
        let mistakes = shape::check(&root, &tables::schema());
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let file = tables::File::deserialize(Deserializer::from(root)).map_err(|error| {
            // The check of the shape finds what serde would not read.
            let at = error.span().unwrap_or(0..0);
            vec![Mistake::new(at, "unexpected value")]
        })?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mut reader = Reader::new(path, text, directory);
        // First, so that no secret is delivered to its file.
        let notify = reader.notify(file.notify.as_ref());
        let accounts = reader.accounts(&file);
        let config = Self {
            path: path.to_owned(),
            accounts,
            notify,
        };
        match reader.mistakes.is_empty() {
            true => Ok(config.hiding_variables()),
            false => Err(reader.mistakes),
        }
    }

    /// Removes the variables with secrets that the file names from the environment of its
    /// hooks, and of the commands that new secrets go to.
    fn hiding_variables(mut self) -> Self {
        let mut variables = Vec::new();
        for account in &self.accounts {
            if let ApiTokenSource::Variable(name) = &account.api_token {
                variables.push(name.clone());
            }
        }
        if let Some(PingSource::Variable(name)) = &self.notify.ping {
            variables.push(name.clone());
        }
        let accounts = self.accounts.iter_mut();
        for rule in accounts.flat_map(|account| &mut account.rotate) {
            rule.secret_to.hide(&variables);
            if let Some(hook) = &mut rule.then {
                hook.hide(&variables);
            }
        }
        if let Some(hook) = &mut self.notify.on_failure {
            hook.hide(&variables);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    #[test]
    fn the_rules_are_those_of_the_file() {
        let text = r#"
within = "30d"
[[account]]
name = "prod"
id = "023e105f4ecef8ad9ca31a8372d0c353"
api_token_file = "secrets/cf-prod"
except = ["legacy jenkins"]
expect_at_least = 12
[[account.rotate]]
token = "deploy"
every = "90d"
secret_to = "env-file:deploy.env"
verify = "https://app.example.com"
then = ["./reload", "deploy"]
[[account]]
name = "test"
id = "000000000000000000000000000000a2"
api_token_env = "CF_TEST_TOKEN"
within = "45d"
[notify]
on_failure = ["page", "--team", "ops"]
ping_env = "HEALTHCHECK_URL"
"#;
        let config = Config::parse(Path::new("/etc/keep.toml"), text).unwrap();
        let [prod, test] = &config.accounts[..] else {
            panic!("{config:?}");
        };
        assert_eq!(prod.within, time::WINDOW);
        assert_eq!(test.within, time::window("45d").unwrap());
        let source = ApiTokenSource::File("/etc/secrets/cf-prod".into());
        assert_eq!(prod.api_token, source);
        let source = ApiTokenSource::Variable("CF_TEST_TOKEN".to_owned());
        assert_eq!(test.api_token, source);
        assert_eq!(prod.expect_at_least, Some(12));
        let [rule] = &prod.rotate[..] else {
            panic!("{prod:?}");
        };
        assert_eq!(rule.grace, time::grace("24h").unwrap());
        assert_eq!(rule.secret_to, Sink::EnvFile("/etc/deploy.env".into()));
        let hook = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned());
            let mut hook = Hook::try_from(words.collect::<Vec<_>>()).unwrap();
            hook.hide(&["CF_TEST_TOKEN".to_owned(), "HEALTHCHECK_URL".to_owned()]);
            Some(hook)
        };
        assert_eq!(rule.then, hook(&["/etc/reload", "deploy"]));
        assert_eq!(config.notify.on_failure, hook(&["page", "--team", "ops"]));
        let ping = PingSource::Variable("HEALTHCHECK_URL".to_owned());
        assert_eq!(config.notify.ping, Some(ping));
    }

    #[test]
    fn no_command_of_a_rule_has_the_api_token() {
        let text = r#"
[[account]]
name = "prod"
id = "000000000000000000000000000000a1"
api_token_env = "CF_PROD_TOKEN"
[[account.rotate]]
token = "deploy"
every = "90d"
secret_to = "command:vault kv put secret/app key=-"
[notify]
ping_env = "PING_URL"
"#;
        let config = Config::parse(Path::new("/etc/keep.toml"), text).unwrap();
        let sink = &config.accounts[0].rotate[0].secret_to;
        let Sink::Command { hidden, .. } = sink else {
            panic!("{sink:?}");
        };
        assert_eq!(hidden, &["CF_PROD_TOKEN", "PING_URL"]);
    }

    /// A file with most keys.
    const FULL: &str = r#"within = "30d"
[[account]] # comment
name = "prod"
id = "000000000000000000000000000000a1"
api_token_env = 'SECRET'
only = ["SECRET", "b"]
include_expired = true
expect_at_least = 12
[[account.rotate]]
token = "SECRET"
every = "90d"
secret_to = "env-file:SECRET"
then = ["./SECRET", "deploy"]
[notify]
ping_file = "SECRET"
"#;

    #[test]
    fn no_slip_of_the_finger_makes_a_syntax_error_show_a_value() {
        let is_shown = |text: &str| {
            let error = DeTable::parse(text).err()?;
            let mistake = format!("{:?}", syntax::mistake(text, &error));
            mistake.contains("SECRET").then_some(mistake)
        };
        for (at, _) in FULL.char_indices() {
            let (before, rest) = FULL.split_at(at);
            let after = &rest[1..];
            for slip in [
                "", "\"", "'", "=", "[", "]", "\n", "#", ":", "\\", "{", "\u{201c}", "\0",
            ] {
                for text in [
                    format!("{before}{slip}{after}"),
                    format!("{before}{slip}{rest}"),
                ] {
                    assert_eq!(is_shown(&text), None, "{text}");
                    // Whatever else is wrong with it, nothing panics.
                    let _ = Config::parse(Path::new("/etc/keep.toml"), &text);
                }
            }
        }
    }
}
