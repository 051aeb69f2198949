//! The token to try: where it comes from, and whether it was pasted whole and alone.

use std::env;
use std::path::Path;

use cf_service_tokens::{CreateServiceToken, ServiceTokenCredentials};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Verify;
use crate::connection::Connection;
use crate::credential;
use crate::failure::Failure;
use crate::secret::sink::variable_in;

/// The variables that hold a token: those of most scripts, of wrangler and of
/// cloudflared.
const VARIABLES: [(&str, &str); 3] = [
    ("CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET"),
    (
        "CLOUDFLARE_ACCESS_CLIENT_ID",
        "CLOUDFLARE_ACCESS_CLIENT_SECRET",
    ),
    ("TUNNEL_SERVICE_TOKEN_ID", "TUNNEL_SERVICE_TOKEN_SECRET"),
];
const SECRET_PREFIX: &str = "cfast_";
const API_TOKEN_PREFIXES: [&str; 2] = ["cfat_", "cfut_"];

/// A token, and where it comes from.
pub(super) struct Token {
    pub(super) credentials: ServiceTokenCredentials,
    pub(super) source: String,
}

impl Token {
    /// Finds the token that the arguments name, or the environment; of a simulated
    /// account, creates one.
    pub(super) async fn find(
        arguments: &Verify,
        simulation: Option<&Connection>,
        quiet: bool,
    ) -> Result<Self, Failure> {
        if let Some(path) = &arguments.env_file {
            let content =
                credential::read(path, quiet).map_err(|error| unreadable(path, &error))?;
            let content = content.trim_start_matches('\u{feff}');
            let found = Self::among(Some(path), |name| {
                variable_in(content, name).filter(|value| !value.is_empty())
            })?;
            return found.ok_or_else(|| {
                Failure::usage(format!("there is no token in {}", path.display())).next(format!(
                    "the file must set {} and {}, as --secret-to env-file: does",
                    VARIABLES[0].0, VARIABLES[0].1
                ))
            });
        }
        if let (Some(client_id), Some(path)) = (&arguments.client_id, &arguments.secret_file) {
            let secret = credential::read(path, quiet).map_err(|error| unreadable(path, &error))?;
            let secret_name = path.display().to_string();
            return Self::checked(
                ("--client-id", client_id),
                (&secret_name, secret.trim_end()),
                format!("--client-id and {secret_name}"),
            );
        }
        let variable = |name: &str| {
            let value = env::var(name).ok().filter(|value| !value.is_empty());
            value.map(Zeroizing::new)
        };
        if let Some(token) = Self::among(None, variable)? {
            return Ok(token);
        }
        let Some(connection) = simulation else {
            return Err(Failure::usage("no token given").next(
                "set CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET, or use --env-file, or \
                 --client-id with --secret-file",
            ));
        };
        let issued = connection
            .tokens
            .create(&CreateServiceToken::new("verify"))
            .await?;
        Ok(Self {
            credentials: issued.credentials().clone(),
            source: "a new simulated token".to_owned(),
        })
    }

    /// Finds the one token among the variables of a file, or of the environment.
    fn among(
        file: Option<&Path>,
        value: impl Fn(&str) -> Option<Zeroizing<String>>,
    ) -> Result<Option<Self>, Failure> {
        let named = |name: &str| match file {
            Some(file) => format!("{name} in {}", file.display()),
            None => name.to_owned(),
        };
        let mut half = None;
        let mut found: Option<Self> = None;
        for (id_name, secret_name) in VARIABLES {
            let (client_id, secret) = match (value(id_name), value(secret_name)) {
                (Some(client_id), Some(secret)) => (client_id, secret),
                (None, None) => continue,
                (Some(_), None) => {
                    half = half.or(Some((id_name, secret_name)));
                    continue;
                }
                (None, Some(_)) => {
                    half = half.or(Some((secret_name, id_name)));
                    continue;
                }
            };
            let id_name = named(id_name);
            let token = Self::checked(
                (&id_name, &client_id),
                (&named(secret_name), &secret),
                id_name.clone(),
            )?;
            match &found {
                Some(first) if !first.is_same(&token) => {
                    return Err(Failure::usage(format!(
                        "{} and {id_name} belong to different tokens",
                        first.source
                    ))
                    .next("keep one of them"));
                }
                Some(_) => {}
                None => found = Some(token),
            }
        }
        match (found, half) {
            (Some(token), _) => Ok(Some(token)),
            (None, Some((set, missing))) => {
                let what = format!("{} is set, but {missing} is not set", named(set));
                Err(Failure::usage(what).next("set both"))
            }
            (None, None) => Ok(None),
        }
    }

    /// Checks both halves, each with the name of its place.
    fn checked(
        (id_name, client_id): (&str, &str),
        (secret_name, secret): (&str, &str),
        source: String,
    ) -> Result<Self, Failure> {
        let wrong = |name: &str, fault: &str| {
            Failure::usage(format!("the value of {name} {fault}"))
                .next("copy the whole value and nothing else")
        };
        for (name, value) in [(id_name, client_id), (secret_name, secret)] {
            if let Some(fault) = credential::fault(value) {
                return Err(wrong(name, &fault));
            }
        }
        if client_id.starts_with(SECRET_PREFIX) || has_form_of_secret(client_id) {
            return Err(wrong(id_name, "is a client secret, not a client id"));
        }
        if has_form_of_client_id(secret) {
            return Err(wrong(secret_name, "is a client id, not a client secret"));
        }
        if API_TOKEN_PREFIXES
            .iter()
            .any(|prefix| secret.starts_with(prefix))
        {
            return Err(wrong(secret_name, "is an API token, not a client secret"));
        }
        Ok(Self {
            credentials: ServiceTokenCredentials::new(client_id, SecretString::from(secret)),
            source,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.credentials.client_id() == other.credentials.client_id()
            && self.credentials.expose_secret() == other.credentials.expose_secret()
    }

    /// Returns the client id, if it has the form of one and so can't be a secret.
    pub(super) fn client_id(&self) -> Option<&str> {
        let client_id = self.credentials.client_id();
        client_id.filter(|id| has_form_of_client_id(id))
    }

    /// Whether the secret has one of the two forms that Cloudflare has issued.
    pub(super) fn has_known_form(&self) -> bool {
        has_form_of_secret(self.credentials.expose_secret())
    }

    /// Whether a text holds a part of the secret, in any letters.
    pub(super) fn is_in(&self, text: &str) -> bool {
        const PART_LEN: usize = 8;
        let text = text.to_ascii_lowercase();
        let secret = self.credentials.expose_secret();
        let secret = Zeroizing::new(secret.to_ascii_lowercase());
        match secret.as_bytes() {
            short if short.len() < PART_LEN => text.contains(&*secret),
            long => long
                .windows(PART_LEN)
                .any(|part| text.as_bytes().windows(PART_LEN).any(|here| here == part)),
        }
    }
}

fn has_form_of_client_id(text: &str) -> bool {
    text.ends_with(".access") || text.contains(".access.")
}

fn has_form_of_secret(text: &str) -> bool {
    match text.strip_prefix(SECRET_PREFIX) {
        Some(rest) => rest.len() == 48 && rest.bytes().all(|b| b.is_ascii_alphanumeric()),
        None => text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("can't read credentials from {}", path.display())).because(error)
}
