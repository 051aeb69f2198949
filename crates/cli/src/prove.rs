//! Tests what a configuration file names on this machine: sinks, hooks, and the URL to ping.
//! Nothing is delivered, run or requested.

use std::path::Path;

use crate::config::Config;
use crate::failure::Failure;
use crate::hook::Hook;
use crate::secret::journal::Journal;
use crate::secret::sink::NamedBy;

/// The result of a test.
pub(crate) struct Proof {
    /// The kind of what was tested.
    pub(crate) kind: &'static str,
    /// What was found, in a sentence.
    pub(crate) found: Result<String, Failure>,
}

/// Tests everything that the file names, in the order of the file. The journal is that of the
/// rules.
pub(crate) fn all(config: &Config, journal: Option<&Journal>) -> Vec<Proof> {
    let mut proofs = Vec::new();
    let directory = journal.map_or(Path::new(""), Journal::directory);
    for account in &config.accounts {
        for rule in &account.rotate {
            let label = match config.accounts.len() {
                1 => format!("{:?}", rule.token),
                _ => format!("{}, {:?}", account.name, rule.token),
            };
            let sink = &rule.secret_to;
            let proved = sink.prove(directory, NamedBy::Key).map(|_| sink.promise());
            proofs.push(Proof::new("sink", &label, proved));
            let hooks = rule.then.iter();
            proofs.extend(hooks.map(|hook| of_hook(&format!("{label}, then"), hook)));
        }
    }
    let notify = &config.notify;
    let hook = notify.on_failure.iter();
    proofs.extend(hook.map(|hook| of_hook("on_failure", hook)));
    proofs.extend(notify.ping.iter().map(|ping| {
        let proved = ping.prove().map(|()| format!("{ping} can be requested"));
        Proof::new("ping", "notify", proved)
    }));
    proofs
}

fn of_hook(label: &str, hook: &Hook) -> Proof {
    let proved = hook.prove().map_err(Failure::from);
    let proved = proved.map(|()| format!("the hook {hook} can be run"));
    Proof::new("hook", label, proved)
}

impl Proof {
    fn new(kind: &'static str, label: &str, found: Result<String, Failure>) -> Self {
        Self {
            kind,
            found: found
                .map(|words| format!("{label}: {words}"))
                .map_err(|failure| failure.about(label)),
        }
    }
}
