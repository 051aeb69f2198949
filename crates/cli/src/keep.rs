//! `keep`: renews the tokens that are due and rotates the secrets that are old, by the rules of
//! a configuration file.

mod left;
mod record;
mod rotations;
mod turn;

use std::pin::pin;
use std::sync::Arc;

use clap::Args;

use self::left::Left;
use self::turn::Turn;
use crate::arguments::Global;
use crate::config::{Config, ConfigFile};
use crate::connection::{Api, Connection};
use crate::failure::{Exit, Failure};
use crate::notify::{Fault, Reporter};
use crate::output::Output;
use crate::progress::Progress;
use crate::prove;
use crate::renew::watch::Plan;
use crate::renew::{Job, Passes, once, watch};
use crate::secret::journal::Journal;
use crate::serve::Calls;
use crate::signal;
use crate::time;

pub(crate) use record::RotationRecord;
pub(crate) use rotations::{Followed, Rotations, Step};

#[derive(Args, Debug)]
#[command(after_long_help = "\
The configuration file names the accounts, and for each the tokens whose secrets are
rotated, how often, and where the new secret goes. `cf-service-tokens config-schema`
explains every key. For example:
  [[account]]
  name = \"prod\"
  id = \"023e105f4ecef8ad9ca31a8372d0c353\"
  api_token_file = \"/etc/cf-service-tokens/prod\"

  [[account.rotate]]
  token = \"deploy\"
  every = \"90d\"
  secret_to = \"env-file:/etc/deploy.env\"

A rotation delivers the new secret, tries it on the app of `verify`, and runs the hook of
`then`. The old secret works until its grace period ends. If a step fails, `keep` says so
and exits with 1; the next run continues with that step and does not rotate again.

The journal records how old each secret is, so it must survive a restart. Only one machine
may rotate the tokens of an account.

Daily from cron, which sends mail only if something failed:
  17 4 * * *  $HOME/.cargo/bin/cf-service-tokens keep --quiet --config /etc/cf-service-tokens.toml

To see what would be done and why, and to test the sinks, the hooks and the journal:
  cf-service-tokens keep --dry-run --config /etc/cf-service-tokens.toml")]
pub(crate) struct Keep {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Show what would be done and why, and change nothing; exit with 5 if anything would
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) passes: Passes,
}

impl Keep {
    /// Reads the configuration file.
    ///
    /// # Errors
    ///
    /// Also if none is named.
    pub(crate) fn config(&self, global: &Global) -> Result<Config, Failure> {
        self.config.read(global, false)?.ok_or_else(no_file)
    }
}

/// No configuration file is named.
pub(crate) fn no_file() -> Failure {
    Failure::usage("no configuration file given").next(
        "use --config or set CF_SERVICE_TOKENS_CONFIG; `renew` renews an account without a file",
    )
}

/// What `keep` does for an account beside the renewals.
#[derive(Clone)]
pub(crate) struct Kept {
    /// How many tokens the account has at least.
    pub(crate) expect_at_least: Option<usize>,
    pub(crate) rotations: Rotations,
}

impl Kept {
    /// Whether the account has any rotation rule.
    pub(crate) fn has_rotations(&self) -> bool {
        !self.rotations.is_empty()
    }
}

/// The rules by which the accounts of a file are kept.
pub(crate) struct Keeper {
    config: Config,
    /// `None` only if no secret is rotated, and there is no place for one.
    journal: Option<Arc<Journal>>,
    left: Arc<Left>,
    turn: Arc<Turn>,
    dry_run: bool,
}

impl Keeper {
    /// # Errors
    ///
    /// If secrets are to be rotated, and no journal survives a restart.
    pub(crate) fn new(
        config: Config,
        journal: Result<Journal, Failure>,
        dry_run: bool,
    ) -> Result<Self, Failure> {
        let rotates = config.rotates();
        let journal = match rotates {
            true => Some(journal?),
            // Runs by hand, or by rules of before, may have left something.
            false => journal.ok(),
        };
        if let (Some(journal), true) = (&journal, rotates) {
            journal.require_lasting()?;
        }
        let journal = journal.map(Arc::new);
        Ok(Self {
            config,
            left: Arc::new(Left::new(journal.clone())),
            journal,
            turn: Arc::default(),
            dry_run,
        })
    }

    /// Returns what a run would find missing on this machine.
    fn unproved(&self) -> Vec<Failure> {
        let journal = self.journal.as_deref();
        let proofs = prove::all(&self.config, journal).into_iter();
        let needed = journal.filter(|_| self.config.rotates());
        let needed = needed.and_then(|journal| journal.prove().err());
        let missing = proofs.filter_map(|proof| proof.found.err());
        missing.chain(needed).collect()
    }

    /// Returns what there is to do in these accounts of the file.
    fn jobs(&self, accounts: Vec<Connection>) -> Vec<Job> {
        let jobs = accounts.into_iter().filter_map(|account| {
            let rules = self.config.rules(account.account_id())?;
            let kept = Kept {
                expect_at_least: rules.expect_at_least,
                rotations: Rotations::new(rules, self),
            };
            Some(Job {
                account,
                policy: rules.policy().dry_run(self.dry_run),
                window: rules.within,
                kept: Some(kept),
            })
        });
        jobs.collect()
    }
}

/// Makes one pass over the accounts.
pub(crate) async fn keep(
    api: &Api,
    keeper: &Keeper,
    output: &Output,
    arguments: &Keep,
    progress: Progress,
) -> Result<Exit, Failure> {
    let view = once::View {
        all: arguments.passes.all,
        dry_run: arguments.dry_run,
        shared_names: None,
    };
    let jobs = keeper.jobs(api.accounts().await?);
    let mut run = pin!(once::run(api, output, jobs, view, progress));
    let interrupted = signal::end()?;
    let mut ended = tokio::select! {
        ended = &mut run => ended?,
        () = interrupted => {
            let again = signal::end()?;
            // The secret that is on its way still arrives, and no other rotation begins.
            keeper.turn.close();
            let is_rotating = keeper.turn.is_taken();
            let what = "interrupted";
            let interrupted = Failure::new(Exit::Failed, what).next("the next run goes on");
            if !is_rotating {
                return Err(interrupted);
            }
            tokio::select! {
                ended = &mut run => ended?,
                () = again => return Err(interrupted),
            }
        }
    };
    let mut exits = vec![ended.exit];
    for failure in keeper.left.elsewhere(&keeper.config) {
        failure.show();
        exits.push(failure.exit);
        ended.faults.push(Fault::new(&failure));
    }
    if arguments.dry_run {
        for failure in keeper.unproved() {
            failure.show();
            exits.push(Exit::Failed);
        }
    }
    for (id, name, failure) in api.failures() {
        failure.show();
        exits.push(failure.exit);
        let fault = Fault::new(&failure).of_account(id, Some(name));
        ended.faults.push(fault);
    }
    ended
        .faults
        .extend(ended.shown.as_ref().err().map(Fault::new));
    if !arguments.dry_run {
        keeper.config.notify.report(&ended.faults).await;
    }
    Exit::of_accounts(&exits).unless_unwritten(ended.shown)
}

/// Makes passes until a signal ends it.
pub(crate) async fn watch(
    api: Api,
    keeper: Keeper,
    output: &Output,
    arguments: &Keep,
    calls: Calls,
) -> Result<Exit, Failure> {
    let ids = keeper.config.accounts.iter().map(|rules| rules.id.clone());
    let reporter = Arc::new(Reporter::new(keeper.config.notify.clone(), ids));
    // The first look for accounts reports them.
    for (_, _, failure) in api.failures() {
        failure.show();
    }
    let plan = Plan {
        jobs: keeper.jobs(api.accounts().await?),
        names_accounts: keeper.config.accounts.len() > 1,
        // An account without credentials may get some.
        find: Some(Box::new(|accounts| {
            let left = keeper.left.elsewhere(&keeper.config);
            left.iter().for_each(Failure::show);
            reporter.passed("", left.iter().map(Fault::new).collect());
            Ok(keeper.jobs(accounts))
        })),
        reporter: Some(Arc::clone(&reporter)),
        listen: arguments.passes.listen,
        interval: arguments.passes.interval,
        window: time::WINDOW,
    };
    watch::run(api, output, plan, calls).await
}
