//! Renewals with a wrong clock of the client or the API.

use std::sync::Mutex;
use std::time::Duration;

use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy, RenewalReport, WatchEvent};
use cf_service_tokens::{
    Client, Clock, ErrorKind, GoDuration, ManualClock, Retry, RotateServiceToken, ServiceTokens,
};
use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::{DateTime, TimeDelta, Utc};

use crate::support::{self, ACCOUNT, RawServer, TOKEN};

/// A correct clock, and a client with a clock that is ahead of it by `skew`.
fn clocks(skew: TimeDelta) -> (ManualClock, ManualClock) {
    let right = support::exact_clock();
    let client = ManualClock::new(right.now() + skew);
    (right, client)
}

async fn simulator(clock: &ManualClock, tokens: &[(&str, TimeDelta)]) -> Simulator {
    let mut builder = Simulator::builder().clock(clock.reader());
    for (name, left) in tokens {
        builder = builder.token(SeedToken::new(*name).expires_in(*left));
    }
    builder.start().await.unwrap()
}

fn tokens_of(simulator: &Simulator, clock: &ManualClock) -> ServiceTokens {
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .retry(Retry::default().seed(1))
        .clock(clock.clone())
        .build()
        .unwrap();
    let account = client.account(simulator.account_id()).unwrap();
    account.service_tokens()
}

fn outcomes(report: &RenewalReport) -> Vec<(&str, &str)> {
    let mut outcomes: Vec<_> = report
        .tokens
        .iter()
        .map(|token| (token.name.as_deref().unwrap(), token.outcome.as_str()))
        .collect();
    outcomes.sort_unstable();
    outcomes
}

const WINDOW: TimeDelta = TimeDelta::days(30);

#[tokio::test]
async fn tokens_fall_due_by_the_clock_of_the_api() {
    for (skew, in_words) in [
        (TimeDelta::days(-2), "; the clock is 48h behind the API's"),
        (
            TimeDelta::minutes(10),
            "; the clock is 10m ahead of the API's",
        ),
        (TimeDelta::days(2), "; the clock is 48h ahead of the API's"),
        (
            TimeDelta::days(-2000),
            "; the clock is 48000h behind the API's",
        ),
    ] {
        let (right, wrong) = clocks(skew);
        let seconds = TimeDelta::seconds(30);
        let names = [
            ("due", WINDOW - seconds),
            ("not due", WINDOW + seconds),
            ("expired", seconds - WINDOW),
            // By both clocks.
            (
                "long expired",
                -WINDOW - seconds + skew.min(TimeDelta::zero()),
            ),
        ];
        let simulator = simulator(&right, &names).await;
        let policy = RenewalPolicy::new();
        let report = tokens_of(&simulator, &wrong)
            .renew(&policy.clone().dry_run(true))
            .await;
        assert_eq!(
            outcomes(&report),
            [("due", "planned"), ("expired", "planned")],
            "{skew}"
        );
        assert!(report.to_string().ends_with(in_words), "{report}");

        let report = tokens_of(&simulator, &wrong).renew(&policy).await;
        assert_eq!(
            outcomes(&report),
            [("due", "renewed"), ("expired", "renewed")],
            "{skew}"
        );
        assert_eq!(report.clock_skew, GoDuration::try_from(skew).ok());
        assert!(report.to_string().ends_with(in_words), "{report}");
        assert!(report.is_success());
    }
}

#[tokio::test]
async fn up_to_five_minutes_are_ignored() {
    for minutes in [-5, -4, 0, 4, 5] {
        let (right, wrong) = clocks(TimeDelta::minutes(minutes));
        let simulator = simulator(&right, &[("deploy", WINDOW + TimeDelta::minutes(2))]).await;
        let tokens = tokens_of(&simulator, &wrong);
        let report = tokens.renew(&RenewalPolicy::new()).await;
        assert_eq!(report.clock_skew, None, "{minutes}");
        assert_eq!(report.tokens.len(), usize::from(minutes > 2), "{minutes}");
        assert_eq!(tokens.now(), wrong.now());
    }
}

#[tokio::test]
async fn a_watch_waits_by_the_clock_of_the_api() {
    for skew in [
        TimeDelta::days(-2),
        TimeDelta::minutes(10),
        TimeDelta::days(2),
    ] {
        let (right, wrong) = clocks(skew);
        let tokens = [
            ("deploy", WINDOW + TimeDelta::hours(1)),
            ("old", -WINDOW - TimeDelta::hours(1) - skew.abs()),
        ];
        let simulator = simulator(&right, &tokens).await;
        let mut watch = tokens_of(&simulator, &wrong).watch(&RenewalPolicy::new());
        let mut reports = Vec::new();
        loop {
            match watch.next().await {
                WatchEvent::Renewal(RenewalEvent::Finished(report)) => reports.push(report),
                WatchEvent::Waiting { until } if reports.len() == 1 => {
                    assert_eq!(until - wrong.now(), TimeDelta::hours(1), "{skew}");
                    right.advance(Duration::from_secs(60 * 60));
                }
                WatchEvent::Waiting { .. } => break,
                _ => {}
            }
        }
        assert_eq!(outcomes(&reports[0]), [], "{skew}");
        assert_eq!(outcomes(&reports[1]), [("deploy", "renewed")], "{skew}");
    }
}

#[tokio::test]
async fn in_a_watch_with_a_wrong_clock_a_token_that_expires_in_an_outage_stays_due() {
    for (skew, date, outcome) in [
        (TimeDelta::days(-2), RIGHT, "renewed"),
        (TimeDelta::days(2), RIGHT, "renewed"),
        // By this date, the new expiry has passed as well.
        (TimeDelta::zero(), FAR, "failed"),
    ] {
        let (right, wrong) = clocks(skew);
        let left = TimeDelta::days(10);
        let server = server_of(&right, &[Date::OfAProxy, date], left).await;
        let client = server.builder().clock(wrong.clone()).build().unwrap();
        let tokens = client.account(ACCOUNT).unwrap().service_tokens();
        let mut watch = tokens.watch(&RenewalPolicy::new());
        while !matches!(watch.next().await, WatchEvent::Waiting { .. }) {}
        // The token expires, and then the window passes.
        let outage = (left + WINDOW + TimeDelta::days(5)).to_std().unwrap();
        right.advance(outage);
        wrong.advance(outage);
        let report = loop {
            if let WatchEvent::Renewal(RenewalEvent::Finished(report)) = watch.next().await {
                break report;
            }
        };
        assert_eq!(outcomes(&report), [("deploy", outcome)], "{skew}");
    }
}

/// The `Date` header of an answer.
#[derive(Clone, Copy, Debug)]
enum Date {
    /// The date of a clock that is ahead of the correct one by this much.
    Ahead(TimeDelta),
    Absent,
    Garbage,
    /// On the error page of a proxy with a clock that is off by years.
    OfAProxy,
}

const RIGHT: Date = Date::Ahead(TimeDelta::zero());
/// Further ahead than a [`GoDuration`] can tell.
const FAR: Date = Date::Ahead(TimeDelta::days(973 * 365));

fn with_date(answer: String, date: impl std::fmt::Display) -> String {
    answer.replacen("\r\n", &format!("\r\ndate: {date}\r\n"), 1)
}

/// Starts a server of one token that expires in `left`. Its answers have these dates in
/// turn, and then always the last one.
async fn server_of(clock: &ManualClock, dates: &[Date], left: TimeDelta) -> RawServer {
    let (clock, dates) = (clock.clone(), dates.to_vec());
    let expires_at = Mutex::new(clock.now() + left);
    RawServer::scripted(move |index, request| {
        let date = |ahead: TimeDelta| (clock.now() + ahead).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let dated = dates[index.min(dates.len() - 1)];
        if matches!(dated, Date::OfAProxy) {
            let page = support::answer("502 Bad Gateway", "text/html", "<h1>Bad Gateway</h1>");
            let page = with_date(page, date(TimeDelta::days(1000)));
            return page;
        }
        let mut expires_at = expires_at.lock().unwrap();
        if request.starts_with("POST") && request.contains("/refresh") {
            *expires_at = clock.now() + TimeDelta::days(365);
        }
        let token = serde_json::json!({
            "id": TOKEN, "name": "deploy", "expires_at": *expires_at, "client_secret": support::CANARY,
        });
        let result = match request.starts_with("GET") && !request.contains(TOKEN) {
            true => serde_json::json!([token]),
            false => token,
        };
        let body = serde_json::json!({
            "success": true, "errors": [], "messages": [], "result": result,
            "result_info": {"count": 1, "page": 1, "per_page": 1000, "total_count": 1},
        });
        let answer = support::json("200 OK", &body.to_string());
        match dated {
            Date::Ahead(ahead) => with_date(answer, date(ahead)),
            Date::Garbage => with_date(answer, "the day before yesterday"),
            _ => answer,
        }
    })
    .await
}

fn tokens_at(server: &RawServer, clock: &ManualClock) -> ServiceTokens {
    let client = server
        .builder()
        .retry(Retry::default())
        .clock(clock.clone());
    let account = client.build().unwrap().account(ACCOUNT).unwrap();
    account.service_tokens()
}

#[tokio::test]
async fn without_a_date_of_the_api_the_clients_clock_decides() {
    for dates in [[Date::Absent], [Date::Garbage]] {
        let (right, _) = clocks(TimeDelta::zero());
        let server = server_of(&right, &dates, WINDOW + TimeDelta::days(1)).await;
        let report = tokens_at(&server, &right)
            .renew(&RenewalPolicy::new())
            .await;
        assert_eq!(
            (report.tokens.len(), report.clock_skew),
            (0, None),
            "{dates:?}"
        );

        let fast = ManualClock::new(right.now() + TimeDelta::days(2));
        let report = tokens_at(&server, &fast).renew(&RenewalPolicy::new()).await;
        assert_eq!(outcomes(&report), [("deploy", "renewed")], "{dates:?}");
    }
}

#[tokio::test]
async fn the_date_of_a_proxys_error_page_is_ignored() {
    let clock = support::exact_clock();
    let server = server_of(
        &clock,
        &[Date::OfAProxy, Date::Absent],
        WINDOW + TimeDelta::days(1),
    )
    .await;
    let tokens = tokens_at(&server, &clock);
    let report = tokens.renew(&RenewalPolicy::new()).await;
    assert_eq!((report.tokens.len(), report.clock_skew), (0, None));
    assert_eq!(
        server.requests().len(),
        2,
        "the client requests the page of the proxy"
    );
    assert_eq!(tokens.now(), clock.now());
}

#[tokio::test]
async fn where_the_apis_clock_jumps_a_token_is_due_by_the_latest_reading() {
    let year = TimeDelta::days(365);
    for (dates, left, renewed) in [
        // The clock jumps back: by its newest date, the token has another year left.
        ([RIGHT, Date::Ahead(-year)], WINDOW - TimeDelta::days(1), 1),
        // The clock jumps ahead: by its newest date, the token has just expired.
        ([RIGHT, Date::Ahead(WINDOW)], WINDOW + TimeDelta::days(1), 1),
        // By its newest date, the token expired long ago.
        (
            [RIGHT, Date::Ahead(WINDOW * 3)],
            WINDOW - TimeDelta::days(1),
            1,
        ),
        // The clock was always wrong.
        (
            [Date::Ahead(-year), Date::Ahead(-year * 2)],
            WINDOW - TimeDelta::days(1),
            1,
        ),
        ([RIGHT, RIGHT], WINDOW + TimeDelta::days(1), 0),
    ] {
        let clock = support::exact_clock();
        let server = server_of(&clock, &dates, left).await;
        let tokens = tokens_at(&server, &clock);
        tokens.get(TOKEN).await.unwrap();
        clock.advance(Duration::from_secs(600));
        let report = tokens.renew(&RenewalPolicy::new()).await;
        assert_eq!(report.tokens.len(), renewed, "{dates:?}: {report}");
        assert!(report.is_success(), "{dates:?}: {report}");
    }
}

#[tokio::test]
async fn a_date_of_the_api_alone_makes_no_token_long_expired() {
    let ahead = TimeDelta::days(340);
    for (date, outcome, skew) in [
        (
            Date::Ahead(ahead),
            "renewed",
            GoDuration::try_from(-ahead).unwrap(),
        ),
        (FAR, "failed", GoDuration::MIN),
    ] {
        let clock = support::exact_clock();
        let server = server_of(&clock, &[date], ahead - WINDOW - TimeDelta::days(1)).await;
        let tokens = tokens_at(&server, &clock);
        let report = tokens.renew(&RenewalPolicy::new()).await;
        assert_eq!(
            outcomes(&report),
            [("deploy", outcome)],
            "{date:?}: {report}"
        );
        assert_eq!(report.clock_skew, Some(skew), "{date:?}: {report}");
    }
}

#[tokio::test]
async fn a_renewal_is_verified_by_the_earliest_reading() {
    let clock = support::exact_clock();
    // The refresh gives a year, which has passed by the date of its response.
    let dates = [RIGHT, Date::Ahead(TimeDelta::days(400))];
    let server = server_of(&clock, &dates, WINDOW - TimeDelta::days(1)).await;
    let tokens = tokens_at(&server, &clock);
    let report = tokens.renew(&RenewalPolicy::new()).await;
    assert_eq!(outcomes(&report), [("deploy", "renewed")], "{report}");
}

#[tokio::test]
async fn a_single_wrong_date_has_no_lasting_effect() {
    let clock = support::exact_clock();
    let wrong = Date::Ahead(TimeDelta::days(1000));
    let server = server_of(&clock, &[RIGHT, wrong, RIGHT, RIGHT], WINDOW).await;
    let tokens = tokens_at(&server, &clock);
    let mut ahead = Vec::new();
    for _ in 0..4 {
        tokens.get(TOKEN).await.unwrap();
        clock.advance(Duration::from_secs(60));
        ahead.push((tokens.now() - clock.now()).num_days());
    }
    assert_eq!(ahead, [0, 1000, 1000, 0]);
}

#[tokio::test]
async fn a_suspension_or_a_set_clock_is_not_a_jump_of_the_api() {
    let (api, client) = clocks(TimeDelta::days(-2));
    let simulator = simulator(&api, &[("deploy", WINDOW)]).await;
    let tokens = tokens_of(&simulator, &client);
    tokens.find("deploy").await.unwrap();
    assert_eq!(tokens.now(), api.now());

    // The timer of a suspended machine stands still.
    for clock in [&api, &client] {
        clock.set(clock.now() + TimeDelta::hours(8));
    }
    assert_eq!(tokens.now(), api.now());
    tokens.find("deploy").await.unwrap();
    assert_eq!(tokens.now(), api.now());

    client.set(api.now());
    tokens.find("deploy").await.unwrap();
    assert_eq!(tokens.now(), api.now());
}

/// Rotates with a grace period of an hour, and returns when the old secret expires.
async fn rotated(tokens: &ServiceTokens, server: &RawServer) -> DateTime<Utc> {
    let hour = RotateServiceToken::grace(TimeDelta::hours(1));
    tokens.rotate(TOKEN, &hour).await.unwrap();
    let request = server.requests().pop().unwrap();
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let until = body["previous_client_secret_expires_at"].as_str().unwrap();
    until.parse().unwrap()
}

#[tokio::test]
async fn a_grace_period_goes_by_the_clock_of_the_api() {
    for (skew, dates, expected) in [
        (TimeDelta::hours(-2), [RIGHT; 3], TimeDelta::hours(1)),
        (TimeDelta::minutes(10), [RIGHT; 3], TimeDelta::hours(1)),
        (TimeDelta::days(2), [RIGHT; 3], TimeDelta::hours(1)),
        // The error page of a proxy does not show the API's time, and the get is
        // retried.
        (
            TimeDelta::days(-2),
            [Date::OfAProxy, RIGHT, RIGHT],
            TimeDelta::hours(1),
        ),
        // Only the client's clock is known.
        (TimeDelta::hours(2), [Date::Absent; 3], TimeDelta::hours(3)),
        (TimeDelta::hours(2), [Date::Garbage; 3], TimeDelta::hours(3)),
    ] {
        let (right, wrong) = clocks(skew);
        let server = server_of(&right, &dates, WINDOW).await;
        let until = rotated(&tokens_at(&server, &wrong), &server).await;
        let backoff = TimeDelta::from_std(wrong.elapsed()).unwrap();
        let off = (until - right.now() - expected).abs();
        assert!(off <= backoff, "{skew}, {dates:?}: {until}");
        let first = &server.requests()[0];
        assert!(
            first.starts_with("GET "),
            "the first request gets the API's time: {first}"
        );
    }
}

#[tokio::test]
async fn where_the_apis_clock_jumps_a_grace_period_is_the_longest() {
    let year = TimeDelta::days(365);
    for (dates, expected) in [
        ([RIGHT, Date::Ahead(-year)], TimeDelta::hours(1)),
        ([RIGHT, Date::Ahead(year)], year + TimeDelta::hours(1)),
        (
            [Date::Ahead(-year), Date::Ahead(-year * 2)],
            TimeDelta::hours(1),
        ),
    ] {
        let clock = support::exact_clock();
        let server = server_of(&clock, &dates, WINDOW).await;
        let tokens = tokens_at(&server, &clock);
        for _ in dates {
            tokens.get(TOKEN).await.unwrap();
        }
        let until = rotated(&tokens, &server).await;
        assert_eq!(until - clock.now(), expected, "{dates:?}");
    }
}

#[tokio::test]
async fn a_grace_period_that_ends_in_the_past_is_refused() {
    let (right, slow) = clocks(TimeDelta::days(-2));
    let server = server_of(&right, &[RIGHT], WINDOW).await;
    let tomorrow = RotateServiceToken::grace_until(slow.now() + TimeDelta::days(1));
    let tokens = tokens_at(&server, &slow);
    let error = tokens.rotate(TOKEN, &tomorrow).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert_eq!(server.requests().len(), 1, "nothing is rotated");
}
