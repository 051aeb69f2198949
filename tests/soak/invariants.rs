//! The invariants that hold after every schedule.

use std::error::Error as _;
use std::fmt;

use cf_service_tokens::{Error, ServiceToken};
use cf_service_tokens_simulator::{Operation, Token};

use crate::every_call::{Success, is_true};
use crate::life::{Door, Life, Made, Outcome};
use crate::schedule::name;
use crate::support::CANARY;

/// The prefix of every secret that the simulator makes.
const ISSUED: &str = "cfast_";

/// The violations, a line each.
pub fn violations(life: &Life) -> Vec<String> {
    let mut wrong = Vec::new();
    nothing_is_repeated_in_secret(life, &mut wrong);
    effects_are_owned_up_to(life, &mut wrong);
    for token in &life.before {
        an_old_token_is_as_it_should(life, token, &mut wrong);
    }
    new_tokens_are_asked_for(life, &mut wrong);
    for made in &life.made {
        match &made.outcome {
            Outcome::Success(success) => a_success_is_true(life, made, success, &mut wrong),
            Outcome::Failure(error) => a_failure_holds_no_readable_secret(made, error, &mut wrong),
            Outcome::Abandoned => {}
        }
        nothing_secret_is_printed(made, &mut wrong);
    }
    for door in &life.doors {
        no_secret_is_lost(life, door, &mut wrong);
    }
    if let Some(traces) = &life.traces {
        let secret = traces.lines().find(|line| is_secret(line));
        wrong.extend(secret.map(|line| format!("traced: {line}")));
    }
    wrong
}

impl Made {
    fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Success(_))
    }

    /// Returns how often the call may have been applied, at least and at most,
    /// according to its result.
    fn applied(&self) -> (usize, usize) {
        // A call that must not be repeated is applied at most once.
        let most = |attempts: u32| match self.call.0 {
            Operation::Update | Operation::Refresh => attempts as usize,
            _ => 1,
        };
        match &self.outcome {
            _ if !self.call.changes() => (0, 0),
            Outcome::Success(success) => (1, most(success.attempts)),
            Outcome::Failure(error) if error.may_have_been_applied() => (0, most(error.attempts())),
            Outcome::Failure(_) => (0, 0),
            Outcome::Abandoned => (0, most(u32::MAX)),
        }
    }

    fn may_have_been_applied(&self) -> bool {
        self.applied().1 > 0
    }

    fn attempts(&self) -> u32 {
        match &self.outcome {
            Outcome::Success(success) => success.attempts,
            Outcome::Failure(error) => error.attempts(),
            Outcome::Abandoned => 0,
        }
    }
}

impl Life {
    /// Returns the calls of one operation that are about a token, or create it.
    fn calls(&self, operation: Operation, id: &str) -> impl Iterator<Item = &Made> {
        self.made
            .iter()
            .filter(move |made| made.call.0 == operation && made.id == id)
    }

    fn may_have_been_applied(&self, operation: Operation, id: &str) -> bool {
        self.calls(operation, id).any(Made::may_have_been_applied)
    }

    fn succeeded(&self, operation: Operation, id: &str) -> bool {
        self.calls(operation, id).any(Made::succeeded)
    }

    /// Returns how often the simulator performed the operation.
    fn carried_out(&self, operation: Operation, id: &str) -> usize {
        let path = format!("/{id}");
        let changes = self.log.iter().filter(|request| {
            request.changed
                && request.operation == Some(operation)
                && (id.is_empty() || request.path.contains(&path))
        });
        changes.count()
    }

    /// Returns the names that a token may have or have had.
    fn may_be_called(&self, token: &Token, answer: &str) -> bool {
        let mut updates = self.calls(Operation::Update, &token.id);
        token.name == answer
            || updates.any(|made| made.may_have_been_applied() && name(made.step) == answer)
    }
}

/// Checks that the requests that arrived are the attempts that the callers know of.
fn nothing_is_repeated_in_secret(life: &Life, wrong: &mut Vec<String>) {
    let known: u32 = life.made.iter().map(Made::attempts).sum();
    let (known, sent) = ((known + life.last_attempts) as usize, life.log.len());
    let is_known = |made: &Made| !matches!(made.outcome, Outcome::Abandoned);
    if life.made.iter().all(is_known) && sent > known {
        wrong.push(format!("{sent} requests, but {known} attempts"));
    }
}

/// Checks, for each operation and token, that the number of performed calls lies
/// between the successes and the calls that may have been applied.
fn effects_are_owned_up_to(life: &Life, wrong: &mut Vec<String>) {
    let ids = life.before.iter().map(|token| token.id.as_str());
    for id in ids.chain([""]) {
        for operation in [
            Operation::Create,
            Operation::Update,
            Operation::Delete,
            Operation::Refresh,
            Operation::Rotate,
        ] {
            let is_create = operation == Operation::Create;
            if is_create != id.is_empty() {
                continue;
            }
            let (mut least, mut most) = (0, 0_usize);
            for made in life.calls(operation, id) {
                least += made.applied().0;
                most = most.saturating_add(made.applied().1);
            }
            let count = life.carried_out(operation, id);
            if count < least || count > most {
                wrong.push(format!(
                    "{operation:?} of {id:?} was performed {count} times, not {least} to {most} times"
                ));
            }
        }
    }
}

/// Checks that no token is lost, renamed or changed, except by a call that may have
/// done so.
fn an_old_token_is_as_it_should(life: &Life, token: &Token, wrong: &mut Vec<String>) {
    let id = &token.id;
    let Some(after) = life.after.iter().find(|after| after.id == *id) else {
        if !life.may_have_been_applied(Operation::Delete, id) {
            wrong.push(format!("lost: {token:?}"));
        }
        return;
    };
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{what}: {after:?}, once {token:?}"));
        }
    };
    must(!life.succeeded(Operation::Delete, id), "not deleted");
    must(life.may_be_called(token, &after.name), "renamed");
    let has_its_first_name = after.name == token.name;
    let is_renamed = life.succeeded(Operation::Update, id);
    must(!(is_renamed && has_its_first_name), "not renamed");

    let is_longer = after.expires_at > token.expires_at;
    let is_as_long = after.expires_at == token.expires_at;
    must(is_longer || is_as_long, "shortened");
    let may_be_longer = life.may_have_been_applied(Operation::Refresh, id);
    must(may_be_longer || is_as_long, "refreshed");
    let is_refreshed = life.succeeded(Operation::Refresh, id);
    must(!is_refreshed || is_longer, "not refreshed");

    let rotations = after.client_secret_version - token.client_secret_version;
    let carried_out = life.carried_out(Operation::Rotate, id);
    must(rotations == carried_out as u64, "wrong secret version");

    // The fields that no call changes.
    let mut as_before = after.clone();
    as_before.name.clone_from(&token.name);
    as_before.expires_at = token.expires_at;
    as_before.client_secret_version = token.client_secret_version;
    as_before.updated_at = token.updated_at;
    must(as_before == *token, "changed");
}

/// Checks that one call created each new token, and that each call created at most one.
fn new_tokens_are_asked_for(life: &Life, wrong: &mut Vec<String>) {
    let is_new = |token: &&Token| life.before.iter().all(|old| old.id != token.id);
    let new: Vec<&Token> = life.after.iter().filter(is_new).collect();
    for token in &new {
        let mut creates = life.calls(Operation::Create, "");
        let is_asked_for =
            creates.any(|made| made.may_have_been_applied() && name(made.step) == token.name);
        if !is_asked_for {
            wrong.push(format!("no call created {token:?}"));
        }
    }
    for made in life.calls(Operation::Create, "") {
        let named = new.iter().filter(|token| token.name == name(made.step));
        let (least, most) = made.applied();
        let count = named.count();
        if count < least || count > most {
            wrong.push(format!("step {} created {count} tokens", made.step));
        }
    }
}

fn a_success_is_true(life: &Life, made: &Made, success: &Success, wrong: &mut Vec<String>) {
    let (step, call) = (made.step, made.call);
    let mut must = |holds: bool, what: &str| {
        if !holds {
            let tokens = &success.tokens;
            wrong.push(format!("step {step}, {call}: {what}: {tokens:?}"));
        }
    };
    let known = |answer: &ServiceToken| {
        let all = life.before.iter().chain(&life.after);
        let mut same = all.filter(|token| answer.id.as_ref() == Some(&token.id));
        same.any(|token| {
            let name = answer.name.as_deref().unwrap_or_default();
            answer.client_id.as_ref() == Some(&token.client_id) && life.may_be_called(token, name)
        })
    };
    must(success.tokens.iter().all(known), "unknown token");
    if call.0 == Operation::List {
        let listed = |token: &Token| {
            let mut ids = success.tokens.iter().map(|answer| answer.id.as_ref());
            ids.any(|id| id == Some(&token.id))
        };
        let lasting = |token: &&Token| {
            let mut deletes = life.calls(Operation::Delete, &token.id);
            !deletes.any(Made::may_have_been_applied)
        };
        let mut lasting = life.before.iter().filter(lasting);
        must(lasting.all(listed), "a token is not listed");
        return;
    }
    let [answer] = &success.tokens[..] else {
        return must(false, "expected one token");
    };
    let is_of_one = call.0 != Operation::Create;
    let is_same = answer.id.as_deref() == Some(&made.id);
    must(!is_of_one || is_same, "wrong token");
    let has_name = answer.name == Some(name(step));
    match call.0 {
        Operation::Create => {
            let made = life.after.iter().any(|token| is_true(answer, token));
            must(has_name && made, "not created");
            must(success.credentials.is_some(), "no secret");
        }
        Operation::Update => must(has_name, "wrong name"),
        Operation::Refresh => {
            let after = life.after.iter().find(|token| token.id == made.id);
            let reached = |until| after.is_none_or(|token| token.expires_at >= until);
            must(answer.expires_at.is_none_or(reached), "expires too early");
        }
        Operation::Rotate => must(success.credentials.is_some(), "no secret"),
        _ => {}
    }
}

/// Checks that the caller gets a secret at its documented place, and that the error
/// names a secret at another place in JSON, unless the API reports a failure.
fn a_failure_holds_no_readable_secret(made: &Made, error: &Error, wrong: &mut Vec<String>) {
    let Some(body) = error.body() else {
        return;
    };
    let holds_one = String::from_utf8_lossy(body).contains(ISSUED);
    let document = serde_json::from_slice::<serde_json::Value>(body);
    let Ok(document) = document else {
        return;
    };
    let is_in_place = document["result"]["client_secret"].is_string();
    let is_told = !is_in_place && !error.secret_places().is_empty();
    if holds_one && document["success"] != false && !is_told {
        wrong.push(format!(
            "step {}, {}: the answer contains a secret that is neither returned nor named: {error:?}",
            made.step, made.call
        ));
    }
}

/// Checks that a caller got the secret that opens the app, or that an error says that
/// its call may have made one.
fn no_secret_is_lost(life: &Life, door: &Door, wrong: &mut Vec<String>) {
    let token = &door.token;
    let is_old = life.before.iter().any(|old| old.id == token.id);
    let makers: Vec<&Made> = if is_old {
        life.calls(Operation::Rotate, &token.id).collect()
    } else {
        let creates = life.calls(Operation::Create, "");
        creates
            .filter(|made| name(made.step) == token.name)
            .collect()
    };
    let carried_out = life.carried_out(Operation::Rotate, &token.id);
    let mut must = |holds: bool, what: &str| {
        if !holds {
            let steps = &door.steps;
            wrong.push(format!("{what} (steps {steps:?} have one): {token:?}"));
        }
    };
    let is_unchanged = is_old && carried_out == 0;
    must(door.first_opens == is_unchanged, "the first secret");
    must(door.steps.len() <= 1, "more than one secret");
    let is_explained = makers
        .iter()
        .any(|made| !made.succeeded() && made.may_have_been_applied());
    must(
        is_unchanged || !door.steps.is_empty() || is_explained,
        "its secret is lost",
    );
}

fn nothing_secret_is_printed(made: &Made, wrong: &mut Vec<String>) {
    let printed = match &made.outcome {
        Outcome::Success(success) => format!("{:?} {:?}", success.tokens, success.credentials),
        Outcome::Failure(error) => {
            let mut printed = format!("{error} {error:?} {error:#?}");
            let mut source = error.source();
            while let Some(error) = source {
                printed += &format!("{error} {error:?}");
                source = error.source();
            }
            printed
        }
        Outcome::Abandoned => return,
    };
    if is_secret(&printed) {
        wrong.push(format!("step {} prints a secret", made.step));
    }
}

fn is_secret(text: &str) -> bool {
    text.contains(CANARY) || text.contains(ISSUED)
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "results of the callers:")?;
        for made in &self.made {
            write!(f, "  step {}, {} {}: ", made.step, made.call, made.id)?;
            match &made.outcome {
                Outcome::Success(success) => writeln!(f, "success, {} attempts", success.attempts)?,
                Outcome::Failure(error) => {
                    let may = error.may_have_been_applied();
                    writeln!(f, "{error}, may have been applied: {may}")?;
                }
                Outcome::Abandoned => writeln!(f, "abandoned")?,
            }
        }
        writeln!(f, "requests that the simulator received:")?;
        for request in &self.log {
            let fault = request.fault.as_ref().map(ToString::to_string);
            writeln!(
                f,
                "  {} {}: {:?}, fault {fault:?}, changed: {}",
                request.method, request.path, request.status, request.changed
            )?;
        }
        Ok(())
    }
}
