use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const A_MINUTE: Duration = Duration::from_secs(60);
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A failure of a token, which differs in its words each time.
fn fault(account: &str, token: &str, words: &str) -> Fault {
    let failure = Failure::new(Exit::Failed, words);
    Fault::new(&failure)
        .of_account(account, None)
        .of_token(Some(token), None)
}

fn ledger(accounts: &[&str]) -> Ledger {
    Ledger::new(accounts.iter().map(|&id| id.to_owned()))
}

/// The tokens of the failures that are reported.
fn tokens(news: &News) -> Vec<&str> {
    let tokens = news.faults.iter().map(|fault| fault.token.as_ref());
    tokens
        .map(|token| token.unwrap().id.as_deref().unwrap())
        .collect()
}

#[test]
fn a_failure_is_reported_when_it_is_new_and_then_once_a_day() {
    let mut ledger = ledger(&["a"]);
    let start = Instant::now();
    let mut reports = 0;
    // A pass each minute.
    for minute in 0..3 * 24 * 60 {
        let mut faults = vec![fault("a", "t1", &format!("ray id {minute}"))];
        if minute >= 90 {
            faults.push(fault("a", "t2", "other"));
        }
        ledger.passed("a", faults);
        let news = ledger.take(start + A_MINUTE * minute);
        match minute {
            0 => assert_eq!(tokens(&news), ["t1"]),
            90 => assert_eq!(tokens(&news), ["t2"]),
            _ => {}
        }
        reports += usize::from(!news.faults.is_empty());
    }
    // Both on each of four days that 72 hours touch, 23 hours apart.
    assert_eq!(reports, 8);
}

#[test]
fn a_daily_pass_reports_a_failure_each_day() {
    let mut ledger = ledger(&["a"]);
    let start = Instant::now();
    for day in 0..4 {
        ledger.passed("a", vec![fault("a", "t1", "broken")]);
        // A pass is not to the second a day after the one before it.
        let news = ledger.take(start + A_DAY * day - Duration::from_secs(u64::from(day)));
        assert_eq!(tokens(&news), ["t1"], "{day}");
    }
}

#[test]
fn a_failure_that_comes_back_is_new_and_one_that_goes_on_is_not() {
    let mut ledger = ledger(&["a", "b"]);
    let now = Instant::now();
    ledger.passed("b", vec![fault("b", "t1", "broken")]);
    ledger.passed("a", vec![fault("a", "t1", "broken")]);
    assert_eq!(tokens(&ledger.take(now)), ["t1", "t1"]);
    // Nobody knows whether it is over after a pass that stopped early.
    let outage = Fault::new(&Failure::new(Exit::Unreachable, "no response"));
    let outage = outage.of_account("a", None);
    for _ in 0..2 {
        ledger.stopped("a", vec![outage.clone()]);
        ledger.take(now);
        ledger.passed("a", vec![fault("a", "t1", "broken")]);
        assert_eq!(ledger.take(now).faults.len(), 0);
    }
    // The pass of the other account neither.
    ledger.passed("b", Vec::new());
    ledger.passed("a", vec![fault("a", "t1", "broken")]);
    assert_eq!(ledger.take(now).faults.len(), 0);
    ledger.passed("a", vec![fault("a", "t2", "broken")]);
    assert_eq!(tokens(&ledger.take(now)), ["t2"]);
    ledger.passed("a", vec![fault("a", "t1", "broken")]);
    assert_eq!(tokens(&ledger.take(now)), ["t1"]);
    // An outage, too, is over.
    ledger.stopped("a", vec![outage]);
    assert_eq!(ledger.take(now).faults.len(), 1);
}

#[test]
fn a_failure_is_another_one_by_its_account_its_token_or_its_kind() {
    let mut ledger = ledger(&["a", "b"]);
    let now = Instant::now();
    ledger.passed("a", vec![fault("a", "t1", "broken")]);
    assert_eq!(ledger.take(now).faults.len(), 1);
    ledger.passed("b", vec![fault("b", "t1", "broken")]);
    assert_eq!(ledger.take(now).faults.len(), 1);
    let refused = Failure::new(Exit::Credentials, "refused");
    let refused = Fault::new(&refused).of_account("a", None);
    ledger.passed("a", vec![fault("a", "t1", "broken"), refused]);
    let news = ledger.take(now);
    assert_eq!(news.faults.len(), 1);
    assert_eq!(news.faults[0].what, "refused");
    assert_eq!(ledger.take(now).faults.len(), 0);
}

#[test]
fn a_report_that_failed_is_made_again() {
    let mut ledger = ledger(&["a"]);
    let now = Instant::now();
    ledger.passed("a", vec![fault("a", "t1", "broken")]);
    let news = ledger.take(now);
    ledger.take_back(&news.faults);
    assert_eq!(tokens(&ledger.take(now)), ["t1"]);
}

#[test]
fn a_ping_of_success_needs_a_pass_of_every_account() {
    let mut ledger = ledger(&["a", "b"]);
    let now = Instant::now();
    ledger.passed("a", Vec::new());
    assert_eq!(ledger.take(now).ping, None);
    ledger.passed("b", Vec::new());
    assert_eq!(ledger.take(now).ping, Some(true));
    // One account alone does not keep the alarm silent for the other.
    for _ in 0..9 {
        ledger.passed("a", Vec::new());
        assert_eq!(ledger.take(now).ping, None);
    }
    ledger.passed("b", Vec::new());
    assert_eq!(ledger.take(now).ping, Some(true));
}

#[test]
fn a_failure_pings_at_once_and_so_does_its_end() {
    let mut ledger = ledger(&["a", "b"]);
    let now = Instant::now();
    ledger.passed("a", vec![fault("a", "t1", "broken")]);
    assert_eq!(ledger.take(now).ping, Some(false));
    ledger.passed("a", vec![fault("a", "t1", "broken")]);
    assert_eq!(ledger.take(now).ping, None);
    // The other account went well, which is no success.
    ledger.passed("b", Vec::new());
    assert_eq!(ledger.take(now).ping, Some(false));
    ledger.passed("a", Vec::new());
    assert_eq!(ledger.take(now).ping, Some(true));
}

#[test]
fn what_failed_in_a_pass_has_its_token_and_its_cause() {
    let report = json!({
        "started_at": "2026-11-26T00:00:00Z", "finished_at": "2026-11-26T00:00:01Z",
        "listed": 2, "skipped": {}, "unmatched": ["backup"], "error": null,
        "next_due": null, "next_expiry": null, "clock_skew": null,
        "tokens": [{
            "id": "t1", "name": "deploy", "expires_at": null, "reason": null,
            "outcome": {"status": "not_tried"},
        }],
    });
    let report: RenewalReport = serde_json::from_value(report).unwrap();
    let faults = Fault::of_pass(&report, "a1", Some("prod"));
    let shown = serde_json::to_value(About {
        event: "failure",
        failures: &faults,
    });
    let account = json!({"id": "a1", "name": "prod"});
    let expected = json!({
        "event": "failure",
        "failures": [
            {
                "account": account, "token": null,
                "what": "no token has the id, client id or name \"backup\"",
                "because": [], "next": "correct the configuration file",
            },
            {
                "account": account, "token": {"id": "t1", "name": "deploy"},
                "what": faults[1].what, "because": [], "next": null,
            },
        ],
    });
    assert_eq!(shown.unwrap(), expected);
}

#[tokio::test]
async fn the_hook_runs_only_if_something_failed() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let script = format!("cat >>{}", output::quoted(out.to_str().unwrap()));
    let hook = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let notify = Notify {
        on_failure: Hook::try_from(hook).ok(),
        ping: None,
    };
    notify.report(&[]).await;
    assert!(!out.exists());
    let failure = Failure::new(Exit::Failed, "can't do it")
        .because("it is hard")
        .next("try");
    notify.report(&[Fault::new(&failure)]).await;
    let told: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let expected = json!({
        "event": "failure",
        "failures": [{
            "account": null, "token": null, "what": "can't do it",
            "because": ["it is hard"], "next": "try",
        }],
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_watcher_tries_again_if_its_hook_failed() {
    let notify = Notify {
        on_failure: Hook::try_from(vec!["false".to_owned()]).ok(),
        ping: None,
    };
    let reporter = Reporter::new(notify, ["a".to_owned()]);
    let now = Instant::now();
    reporter.passed("a", vec![fault("a", "t1", "broken")]);
    assert!(reporter.report(now).await);
    assert_eq!(reporter.ledger().take(now).faults.len(), 1);
    assert_eq!(reporter.ledger().take(now).faults.len(), 0);
}

#[tokio::test]
async fn no_pause_follows_a_round_of_which_nobody_is_told() {
    let notify = Notify {
        on_failure: Hook::try_from(vec!["true".to_owned()]).ok(),
        ping: None,
    };
    let reporter = Reporter::new(notify, ["a".to_owned()]);
    let now = Instant::now();
    reporter.passed("a", Vec::new());
    assert!(!reporter.report(now).await);
    reporter.passed("a", vec![fault("a", "t1", "broken")]);
    assert!(reporter.report(now).await);
}
