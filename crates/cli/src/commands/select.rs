//! Chooses the tokens that arguments name: by id, client id or name.

use std::collections::BTreeMap;

use cf_service_tokens::{ServiceToken, ServiceTokenId};
use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::credential::SECRET_PREFIXES;
use crate::failure::{Exit, Failure};
use crate::secret::reading;
use crate::time;

/// The fewest characters of an id that stand for the whole id, without hyphens.
const MIN_PREFIX_LEN: usize = 8;
/// The most tokens that a failure names.
const MAX_NAMED: usize = 10;
/// How similar a name must be to be suggested, from 0 to 1.
const SIMILAR: f64 = 0.8;

/// A token that an argument names.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) id: ServiceTokenId,
    /// The token as it is listed; `None` for a UUID, which needs no listing.
    pub(crate) listed: Option<ServiceToken>,
}

impl Chosen {
    fn of(token: &ServiceToken) -> Result<Self, Failure> {
        Ok(Self {
            id: ServiceTokenId::new(token.id.as_deref().unwrap_or_default())?,
            listed: Some(token.clone()),
        })
    }

    /// Returns the token of an argument that is an id beyond doubt. An id takes precedence
    /// over a name of the same form. Without its hyphens, it may be a name as well.
    fn of_uuid(asked: &str) -> Option<Self> {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parts: Vec<&str> = asked.split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let is_uuid = lengths == [8, 4, 4, 4, 12] && parts.into_iter().all(is_hex);
        let id = ServiceTokenId::new(asked).ok().filter(|_| is_uuid)?;
        Some(Self { id, listed: None })
    }

    /// Adds what a response left out of the token.
    pub(crate) fn complete(&self, mut answered: ServiceToken) -> ServiceToken {
        answered.id = answered.id.or_else(|| Some(self.id.to_string()));
        answered.name = answered.name.or_else(|| self.name().map(str::to_owned));
        answered
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.listed.as_ref()?.name.as_deref()
    }
}

impl std::fmt::Display for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name:?} ({})", self.id),
            None => self.id.fmt(f),
        }
    }
}

/// How much of an id an argument must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// The whole id, since the command changes the token.
    Whole,
    /// At least its first eight characters.
    Prefix,
}

impl Ids {
    /// Returns how the advice of a command that would change the token begins.
    fn unchanged(self) -> &'static str {
        match self {
            Self::Whole => "nothing was changed; ",
            Self::Prefix => "",
        }
    }
}

/// Returns the one token that an argument names. Only a UUID needs no listing.
///
/// # Errors
///
/// If no token is named, or several are.
pub(crate) async fn one(connection: &Connection, asked: &str, ids: Ids) -> Result<Chosen, Failure> {
    require_no_secret(asked)?;
    if let Some(chosen) = Chosen::of_uuid(asked) {
        return Ok(chosen);
    }
    let tokens = Connection::all(connection.tokens.list()).await?;
    one_of(connection, &tokens, asked, ids)
}

/// Returns the tokens that the arguments name by their whole ids, client ids or names, each
/// token once. One listing serves all arguments; UUIDs alone need none, unless the caller
/// wants to show the tokens.
///
/// # Errors
///
/// If any argument names no token, or several.
pub(crate) async fn each(
    connection: &Connection,
    asked: &[String],
    must_list: bool,
) -> Result<Vec<Chosen>, Failure> {
    for asked in asked {
        require_no_secret(asked)?;
    }
    let uuids: Option<Vec<Chosen>> = asked.iter().map(|asked| Chosen::of_uuid(asked)).collect();
    let found = match uuids.filter(|_| !must_list) {
        Some(chosen) => chosen.into_iter().map(Ok).collect(),
        None => {
            let tokens = Connection::all(connection.tokens.list()).await?;
            let found = asked.iter();
            found
                .map(|asked| one_of(connection, &tokens, asked, Ids::Whole))
                .collect::<Vec<_>>()
        }
    };
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut failures = Vec::new();
    for found in found {
        match found {
            Ok(token) if chosen.iter().any(|other| is_same(other, &token)) => {}
            Ok(token) => chosen.push(token),
            Err(failure) => failures.push(failure),
        }
    }
    match failures.pop() {
        None => Ok(chosen),
        Some(last) => {
            failures.iter().for_each(Failure::show);
            Err(last)
        }
    }
}

/// Keeps the tokens that any of the arguments names, by the start of an id too; all of them
/// without arguments.
///
/// # Errors
///
/// If an argument names no token.
pub(crate) fn narrow(
    connection: &Connection,
    tokens: Vec<ServiceToken>,
    asked: &[String],
) -> Result<Vec<ServiceToken>, Failure> {
    let is_named = are_named(&format!("{} has", of(connection)), &tokens, asked)?;
    let named = tokens.into_iter().zip(is_named);
    Ok(named
        .filter_map(|(token, named)| named.then_some(token))
        .collect())
}

/// Returns which tokens the arguments name: all, if there are no arguments.
///
/// # Errors
///
/// If an argument names no token. The error begins with `whose`, such as `the accounts have`.
pub(crate) fn are_named(
    whose: &str,
    tokens: &[ServiceToken],
    asked: &[String],
) -> Result<Vec<bool>, Failure> {
    let mut is_named = vec![asked.is_empty(); tokens.len()];
    for asked in asked {
        require_no_secret(asked)?;
        let named = matching(tokens, asked, Ids::Prefix);
        if named.is_empty() {
            return Err(unknown(whose, tokens, asked, Ids::Prefix));
        }
        named.into_iter().for_each(|at| is_named[at] = true);
    }
    Ok(is_named)
}

fn of(connection: &Connection) -> String {
    format!("account {}", connection.account_id())
}

fn is_same(one: &Chosen, other: &Chosen) -> bool {
    reading::is_same(one.id.as_str(), other.id.as_str())
}

/// Refuses a secret in the place of a token, and neither repeats nor sends it.
pub(crate) fn require_no_secret(asked: &str) -> Result<(), Failure> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_secret = SECRET_PREFIXES.iter().any(|start| asked.contains(start))
        || (asked.len() == 64 && is_hex(asked));
    match is_secret {
        true => Err(
            Failure::usage("a secret was given where the command expects a token")
                .next("give the token's name, id or client id"),
        ),
        false => Ok(()),
    }
}

pub(crate) fn one_of(
    connection: &Connection,
    tokens: &[ServiceToken],
    asked: &str,
    ids: Ids,
) -> Result<Chosen, Failure> {
    match matching(tokens, asked, ids)[..] {
        [] => Err(unknown(
            &format!("{} has", of(connection)),
            tokens,
            asked,
            ids,
        )),
        [at] => Chosen::of(&tokens[at]),
        ref several => Err(ambiguous(
            several.iter().map(|at| &tokens[*at]),
            asked,
            ids,
            connection.tokens.now(),
        )),
    }
}

/// Returns the positions of the tokens that have the id; if there are none, of those that
/// have the client id, then the name, then an id that begins so.
pub(crate) fn matching(tokens: &[ServiceToken], asked: &str, ids: Ids) -> Vec<usize> {
    let plain = reading::plain(asked);
    let has = |field: &Option<String>, is: &dyn Fn(&str) -> bool| field.as_deref().is_some_and(is);
    let has_id = |token: &ServiceToken| has(&token.id, &|id| reading::plain(id) == plain);
    let has_client_id =
        |token: &ServiceToken| has(&token.client_id, &|id| id.eq_ignore_ascii_case(asked));
    let has_name = |token: &ServiceToken| has(&token.name, &|name| name == asked);
    let begins = |token: &ServiceToken| {
        ids == Ids::Prefix
            && plain.len() >= MIN_PREFIX_LEN
            && has(&token.id, &|id| reading::plain(id).starts_with(&plain))
    };
    let ways: [&dyn Fn(&ServiceToken) -> bool; 4] = [&has_id, &has_client_id, &has_name, &begins];
    ways.into_iter()
        .map(|is| {
            let tokens = tokens.iter().enumerate().filter(|(_, token)| is(token));
            tokens.map(|(at, _)| at).collect::<Vec<_>>()
        })
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn unknown(whose: &str, tokens: &[ServiceToken], asked: &str, ids: Ids) -> Failure {
    let what = format!("{whose} no token with the id, client id or name {asked:?}");
    let unchanged = ids.unchanged();
    let meant = meant(tokens.iter(), asked);
    Failure::new(Exit::Failed, what).next(format!(
        "{unchanged}{meant}`cf-service-tokens list` shows the tokens"
    ))
}

/// Asks whether one of the tokens is meant whose names and ids are most like a text. Empty
/// if none is like it.
pub(crate) fn meant<'t>(tokens: impl Iterator<Item = &'t ServiceToken>, asked: &str) -> String {
    let asked = asked.to_lowercase();
    let likeness = |token: &ServiceToken| {
        let name = token.name.as_deref().unwrap_or_default().to_lowercase();
        let id = token.id.as_deref().unwrap_or_default().to_lowercase();
        let is_part = asked.len() >= 3 && (name.contains(&asked) || id.starts_with(&asked));
        match is_part {
            true => 1.0,
            false => strsim::jaro_winkler(&name, &asked),
        }
    };
    let mut similar: Vec<_> = tokens
        .map(|token| (likeness(token), token))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .collect();
    similar.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let similar = similar.into_iter().take(3);
    let similar: Vec<_> = similar.map(|(_, token)| named(token)).collect();
    match similar.is_empty() {
        true => String::new(),
        false => format!("did you mean {}? ", similar.join(" or ")),
    }
}

fn ambiguous<'t>(
    tokens: impl ExactSizeIterator<Item = &'t ServiceToken>,
    asked: &str,
    ids: Ids,
    now: DateTime<Utc>,
) -> Failure {
    let count = tokens.len();
    let mut failure = Failure::usage(format!("{asked:?} matches {count} tokens"));
    for token in tokens.take(MAX_NAMED) {
        failure = failure.because(format!("{}, {}", named(token), last_seen(token, now)));
    }
    if let Some(others @ 1..) = count.checked_sub(MAX_NAMED) {
        failure = failure.because(format!("{others} more"));
    }
    failure.next(format!("{}give the id of one of them", ids.unchanged()))
}

/// Returns a note for each name that several tokens have.
pub(crate) fn shared_names(tokens: &[ServiceToken]) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for name in tokens.iter().filter_map(|token| token.name.as_deref()) {
        *counts.entry(name).or_insert(0) += 1;
    }
    let shared = counts.into_iter().filter(|(_, count)| *count > 1);
    shared
        .map(|(name, count)| shared_name(name, count))
        .collect()
}

/// Returns the note about a name that several tokens have.
pub(crate) fn shared_name(name: &str, count: usize) -> String {
    format!("{count} tokens are named {name:?}: use their ids")
}

/// Returns a token's name and id.
fn named(token: &ServiceToken) -> String {
    let id = token.id.as_deref().unwrap_or("without an id");
    match &token.name {
        Some(name) => format!("{name:?} ({id})"),
        None => id.to_owned(),
    }
}

/// Returns when a token was last used.
pub(crate) fn last_seen(token: &ServiceToken, now: DateTime<Utc>) -> String {
    match token.last_seen_at {
        Some(at) => format!("last seen {}", time::distance(at - now)),
        None => "never seen".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";

    fn token(id: &str, client_id: &str, name: &str) -> ServiceToken {
        let mut token = ServiceToken::default();
        token.id = Some(id.to_owned());
        token.client_id = Some(client_id.to_owned());
        token.name = Some(name.to_owned());
        token
    }

    #[test]
    fn an_id_takes_precedence_over_a_client_id_a_name_and_a_prefix() {
        let tokens = [
            token(ID, "0.access", "etl"),
            token("second", "1.access", ID),
            token("third", "2.access", "1.access"),
            token("f174e90a-0000-4643-bbbc-4a0ed4fc8415", "3.access", "etl"),
            token("fifth", "4.access", "f174e90a"),
        ];
        for (asked, ids, found) in [
            (ID, Ids::Whole, &[0][..]),
            ("F174E90AFAFE4643BBBC4A0ED4FC8415", Ids::Whole, &[0]),
            ("1.access", Ids::Whole, &[1]),
            ("1.ACCESS", Ids::Whole, &[1]),
            ("etl", Ids::Whole, &[0, 3]),
            ("ETL", Ids::Whole, &[]),
            ("etl ", Ids::Whole, &[]),
            ("f174e90a", Ids::Prefix, &[4]),
            ("f174e90a-f", Ids::Prefix, &[0]),
            ("F174E90A0", Ids::Prefix, &[3]),
            ("f174e90a-f", Ids::Whole, &[]),
            ("f174e90", Ids::Prefix, &[]),
            ("f174e90-", Ids::Prefix, &[]),
            ("", Ids::Prefix, &[]),
        ] {
            assert_eq!(matching(&tokens, asked, ids), found, "{asked} {ids:?}");
        }
    }

    #[test]
    fn only_a_uuid_needs_no_listing() {
        assert!(Chosen::of_uuid(ID).is_some());
        for asked in [
            "",
            "deploy",
            "f174e90a",
            &ID.replace('-', ""),
            &ID[1..],
            &ID.replace('-', "0"),
            &ID.replace('a', "g"),
        ] {
            assert!(Chosen::of_uuid(asked).is_none(), "{asked}");
        }
    }

    #[test]
    fn the_most_similar_names_are_suggested() {
        let tokens = [
            token(ID, "0.access", "Grafana scraper"),
            token("b", "1.access", "Terraform Cloud"),
            token("c", "2.access", "deploy"),
        ];
        for (asked, suggested) in [
            (
                "grafana",
                &[r#""Grafana scraper" (f174e90a-fafe-4643-bbbc-4a0ed4fc8415)"#][..],
            ),
            (
                "scraper",
                &[r#""Grafana scraper" (f174e90a-fafe-4643-bbbc-4a0ed4fc8415)"#],
            ),
            (
                "f174e90a",
                &[r#""Grafana scraper" (f174e90a-fafe-4643-bbbc-4a0ed4fc8415)"#],
            ),
            ("Terrafrom Cloud", &[r#""Terraform Cloud" (b)"#]),
            ("depoly", &[r#""deploy" (c)"#]),
            ("vault", &[]),
            ("", &[]),
        ] {
            let question = match suggested {
                [] => String::new(),
                suggested => format!("did you mean {}? ", suggested.join(" or ")),
            };
            assert_eq!(meant(tokens.iter(), asked), question, "{asked}");
        }
    }
}
