//! Reads the tables of the file into rules, and checks what no schema can.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::document::{Mistake, line_of};
use super::tables::{AccountTable, File, NotifyTable, RotateTable, Text};
use super::{AccountRules, ApiTokenSource, Notify, PingSource, RotationRule};
use crate::commands::verify;
use crate::connection::{account_id, is_unexpanded};
use crate::hook::Hook;
use crate::secret::reading;
use crate::secret::sink::Sink;
use crate::time;

/// The grace period of a rule without one of its own, as of `rotate`.
const GRACE: Duration = Duration::from_secs(86_400);

/// Reads the tables of one file.
pub(super) struct Reader<'t> {
    text: &'t str,
    /// The directory of the file, at which relative paths start.
    directory: &'t Path,
    pub(super) mistakes: Vec<Mistake>,
    /// The files that secrets are delivered to or read from, and the lines that name them.
    files: Vec<(PathBuf, Use, usize)>,
}

/// What a file in the rules is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Source,
    Sink,
}

impl<'t> Reader<'t> {
    pub(super) fn new(path: &Path, text: &'t str, directory: &'t Path) -> Self {
        Self {
            text,
            directory,
            mistakes: Vec::new(),
            files: vec![(settled(path), Use::Source, 0)],
        }
    }

    pub(super) fn accounts(&mut self, file: &File) -> Vec<AccountRules> {
        let within = self.within(file.within.as_ref()).unwrap_or(time::WINDOW);
        self.each_once(
            file.account.iter().map(|account| &account.name),
            "name",
            str::eq,
            "give each account a name of its own",
        );
        let is_same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        self.each_once(
            file.account.iter().map(|account| &account.id),
            "id",
            is_same,
            "list each account once: put the rules of both under one [[account]]",
        );
        let sources: Vec<_> = file
            .account
            .iter()
            .map(|account| self.api_token(account))
            .collect();
        let accounts = file.account.iter().zip(sources);
        accounts
            .map(|(account, api_token)| self.account(account, api_token, within))
            .collect()
    }

    fn account(
        &mut self,
        table: &AccountTable,
        api_token: ApiTokenSource,
        within: Duration,
    ) -> AccountRules {
        if let Some(fault) = account_id::fault(table.id.as_str()) {
            self.wrong("id", &table.id, &fault, account_id::NEXT);
        }
        let only = texts(table.only.as_deref());
        let except = texts(table.except.as_deref());
        for text in table.except.iter().flatten() {
            if only.iter().any(|only| only == text.as_str()) {
                self.wrong("except", text, "only has it too", "leave one of them out");
            }
        }
        let rules = table.rotate.as_deref().unwrap_or_default();
        self.each_once(
            rules.iter().map(|rule| &rule.token),
            "token",
            is_same_token,
            "leave one of the two rules out",
        );
        AccountRules {
            name: table.name.as_str().to_owned(),
            id: table.id.as_str().to_owned(),
            api_token,
            within: self.within(table.within.as_ref()).unwrap_or(within),
            only,
            except,
            include_expired: table.include_expired.unwrap_or_default(),
            expect_at_least: table.expect_at_least,
            rotate: rules.iter().filter_map(|rule| self.rule(rule)).collect(),
        }
    }

    fn api_token(&mut self, table: &AccountTable) -> ApiTokenSource {
        match (&table.api_token_file, &table.api_token_env) {
            (Some(_), Some(other)) => {
                self.wrong(
                    "api_token_env",
                    other,
                    "api_token_file is set too",
                    "leave one of them out",
                );
                ApiTokenSource::Environment
            }
            (Some(file), None) => {
                let path = self.path("api_token_file", file, file.as_str());
                self.files
                    .push((settled(&path), Use::Source, self.line(&file.span())));
                ApiTokenSource::File(path)
            }
            (None, Some(name)) => {
                self.variable("api_token_env", name);
                ApiTokenSource::Variable(name.as_str().to_owned())
            }
            (None, None) => ApiTokenSource::Environment,
        }
    }

    /// Reads a rule; `None` if it has a mistake.
    fn rule(&mut self, table: &RotateTable) -> Option<RotationRule> {
        let before = self.mistakes.len();
        let every = self.span("every", &table.every, time::age);
        let grace = table.grace.as_ref().map(|grace| {
            self.span("grace", grace, |text| match time::span(text) {
                Ok(grace) if grace.is_zero() => Err("the shortest grace period is 10m".to_owned()),
                _ => time::grace(text),
            })
        });
        let grace = grace.unwrap_or(Some(GRACE));
        if let (Some(every), Some(grace)) = (every, grace)
            && grace >= every
        {
            let at = table.grace.as_ref().unwrap_or(&table.every);
            let fault = format!(
                "the grace period ({}) must be shorter than every ({}), or a second rotate would end \
                 it",
                time::length(grace),
                time::length(every)
            );
            self.mistakes
                .push(Mistake::new(at.span(), fault).next("set a shorter grace"));
        }
        let secret_to = self.sink(&table.secret_to);
        let verify = table.verify.as_ref().map(|url| self.url(url));
        let then = table.then.as_ref().map(|words| self.hook("then", words));
        if self.mistakes.len() > before {
            return None;
        }
        Some(RotationRule {
            token: table.token.as_str().to_owned(),
            every: every?,
            grace: grace?,
            secret_to: secret_to?,
            verify: verify.flatten(),
            then: then.flatten(),
        })
    }

    pub(super) fn notify(&mut self, table: Option<&NotifyTable>) -> Notify {
        let Some(table) = table else {
            return Notify::default();
        };
        let ping = match (&table.ping_file, &table.ping_env) {
            (Some(_), Some(other)) => {
                self.wrong(
                    "ping_env",
                    other,
                    "ping_file is set too",
                    "leave one of them out",
                );
                None
            }
            (Some(file), None) => {
                let path = self.path("ping_file", file, file.as_str());
                self.files
                    .push((settled(&path), Use::Source, self.line(&file.span())));
                Some(PingSource::File(path))
            }
            (None, Some(name)) => {
                self.variable("ping_env", name);
                Some(PingSource::Variable(name.as_str().to_owned()))
            }
            (None, None) => None,
        };
        let on_failure = table.on_failure.as_ref();
        Notify {
            on_failure: on_failure.and_then(|words| self.hook("on_failure", words)),
            ping,
        }
    }

    fn sink(&mut self, text: &Text) -> Option<Sink> {
        const KEY: &str = "secret_to";
        const NEXT: &str = "write FILE, file:FILE, env-file:FILE or command:COMMAND";
        let Ok(sink) = text.as_str().parse() else {
            self.wrong(KEY, text, "not a sink", NEXT);
            return None;
        };
        let sink = match sink {
            Sink::Stdout | Sink::GithubEnv => {
                self.wrong(KEY, text, "the secret would be lost after the run", NEXT);
                return None;
            }
            Sink::File { path, is_bare } => Sink::File {
                path: self.path(KEY, text, path),
                is_bare,
            },
            Sink::EnvFile(path) => Sink::EnvFile(self.path(KEY, text, path)),
            command => command,
        };
        if let Err(failure) = sink.require_lasting() {
            self.wrong(KEY, text, &failure.in_one_line().0, NEXT);
        }
        if let Sink::File { path, .. } | Sink::EnvFile(path) = &sink {
            self.written(KEY, text, path);
        }
        Some(sink)
    }

    /// Notes a file that a secret is delivered to, which nothing else may use.
    fn written(&mut self, key: &str, text: &Text, path: &Path) {
        let path = settled(path);
        let other = self.files.iter().find(|(other, ..)| *other == path);
        let fault = match other {
            None => None,
            Some((_, Use::Sink, line)) => Some(format!(
                "line {line} delivers a secret to this file too, and would replace it"
            )),
            Some((_, Use::Source, 0)) => Some("this is the configuration file itself".to_owned()),
            Some((_, Use::Source, line)) => Some(format!(
                "line {line} reads this file, which the secret would replace"
            )),
        };
        if let Some(fault) = fault {
            self.wrong(key, text, &fault, "use another file");
        }
        self.files.push((path, Use::Sink, self.line(&text.span())));
    }

    fn url(&mut self, text: &Text) -> Option<Url> {
        let url = match verify::app_url(text.as_str()) {
            Ok(url) => url,
            Err(failure) => {
                let (fault, next) = failure.in_one_line();
                let mistake = Mistake::new(text.span(), format!("verify: {fault}"));
                self.mistakes
                    .push(next.into_iter().fold(mistake, Mistake::next));
                return None;
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            let what = "verify: the URL holds a user name or a password";
            self.mistakes
                .push(Mistake::new(text.span(), what).next("leave it out"));
            return None;
        }
        Some(url)
    }

    fn hook(&mut self, key: &str, words: &[Text]) -> Option<Hook> {
        let (program, arguments) = words.split_first()?;
        let name = program.as_str();
        if arguments.is_empty() && name.contains(char::is_whitespace) {
            self.wrong(
                key,
                program,
                "no shell reads this, so all of it would be the name of a program",
                &format!(
                    "write each word as a string: {key} = [{}]",
                    quoted_words(name)
                ),
            );
            return None;
        }
        if is_unexpanded(Path::new(name)) {
            let next = "write the whole path";
            self.wrong(key, program, "no shell expands this path", next);
        }
        let words = words.iter().map(|text| text.as_str().to_owned());
        match Hook::try_from(words.collect::<Vec<_>>()) {
            Ok(hook) => Some(hook.relative_to(self.directory)),
            Err(fault) => {
                let next =
                    format!("write it as in {key} = [\"systemctl\", \"reload\", \"deploy\"]");
                self.wrong(key, program, fault, &next);
                None
            }
        }
    }

    /// Returns a path of the file, which starts at the file's directory.
    fn path(&mut self, key: &str, text: &Text, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        if is_unexpanded(path) {
            self.wrong(
                key,
                text,
                "no shell expands this path",
                "write the whole path",
            );
        }
        self.directory.join(path)
    }

    fn variable(&mut self, key: &str, text: &Text) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = text.as_str();
        if name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_name) {
            let what = format!("{key} is not the name of a variable");
            let next = format!("write the name alone, such as {key} = \"CF_PROD_TOKEN\"");
            self.mistakes
                .push(Mistake::new(text.span(), what).next(next));
        }
    }

    fn within(&mut self, text: Option<&Text>) -> Option<Duration> {
        self.span("within", text?, time::window)
    }

    fn span(
        &mut self,
        key: &str,
        text: &Text,
        parse: impl FnOnce(&str) -> Result<Duration, String>,
    ) -> Option<Duration> {
        match parse(text.as_str()) {
            Ok(span) => Some(span),
            Err(fault) => {
                // The faults of options have no advice of their own.
                let (fault, next) = match fault.split_once("; ") {
                    Some((fault, next)) => (fault, next.to_owned()),
                    None => (&*fault, format!("write it as in {key} = \"30d\"")),
                };
                self.wrong(key, text, fault, &next);
                None
            }
        }
    }

    /// Notes each text that is the same as an earlier one.
    fn each_once<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a Text> + Clone,
        key: &str,
        is_same: impl Fn(&str, &str) -> bool,
        next: &str,
    ) {
        for (index, text) in texts.clone().enumerate() {
            let mut earlier = texts.clone().take(index);
            if let Some(first) = earlier.find(|first| is_same(first.as_str(), text.as_str())) {
                let fault = format!("line {} has it too", self.line(&first.span()));
                self.wrong(key, text, &fault, next);
            }
        }
    }

    fn wrong(&mut self, key: &str, text: &Text, fault: &str, next: &str) {
        let what = format!("{key} = {:?}: {fault}", text.as_str());
        self.mistakes
            .push(Mistake::new(text.span(), what).next(next));
    }

    fn line(&self, at: &Range<usize>) -> usize {
        line_of(self.text, at)
    }
}

fn texts(texts: Option<&[Text]>) -> Vec<String> {
    let texts = texts.unwrap_or_default().iter();
    texts.map(|text| text.as_str().to_owned()).collect()
}

/// Whether two texts name one token: a name, or an id or a client id in two spellings.
fn is_same_token(one: &str, other: &str) -> bool {
    let is_id = |text: &str| {
        text.len() >= 32 && reading::plain(text).starts_with(|c: char| c.is_ascii_hexdigit())
    };
    one == other || (is_id(one) && reading::is_same(one, other))
}

/// Returns the one spelling of a path by which two are compared, as far as it exists.
fn settled(path: &Path) -> PathBuf {
    let whole = || {
        let (parent, name) = (path.parent()?.canonicalize().ok()?, path.file_name()?);
        Some(parent.join(name))
    };
    path.canonicalize()
        .ok()
        .or_else(whole)
        .unwrap_or_else(|| path.to_owned())
}

/// Splits a command line at its blanks, for an example.
fn quoted_words(line: &str) -> String {
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| format!("{word:?}"))
        .collect();
    words.join(", ")
}
