//! A server with thousands of accounts, which the simulator is not made for: it looks
//! through all tokens of all accounts for each request.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{BoxError, wait_for_the_end};

/// The most tokens that an account may have.
const TOKENS: usize = 50;

/// The API's limit for an IP address, in a second.
const ADDRESS_LIMIT: usize = 200;

struct Server {
    accounts: usize,
    due: usize,
    limit: u32,
    window: Duration,
    started_at: DateTime<Utc>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: usize,
    refused: usize,
    /// The requests of the last second, the oldest first.
    of_a_second: VecDeque<Instant>,
    busiest_second: usize,
    /// The window of each API token: its start, and its requests.
    windows: HashMap<String, (Instant, u32)>,
    /// The new expiry of each renewed token.
    renewed: HashMap<(usize, usize), DateTime<Utc>>,
}

pub(crate) async fn serve(
    accounts: usize,
    due: usize,
    limit: u32,
    window: Duration,
) -> Result<(), BoxError> {
    let server = Arc::new(Server {
        accounts,
        due,
        limit,
        window,
        started_at: Utc::now(),
        counts: Mutex::default(),
    });
    let tokens = "/client/v4/accounts/{account}/access/service_tokens";
    let router = Router::new()
        .route("/client/v4/accounts", get(list_accounts))
        .route(tokens, get(list_tokens))
        .route(&format!("{tokens}/{{token}}/refresh"), post(refresh))
        .fallback(async || failure(StatusCode::NOT_FOUND, 7003))
        .layer(middleware::from_fn_with_state(Arc::clone(&server), count))
        .with_state(Arc::clone(&server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("BENCH_TOKEN_ID={}", token_id(0, 0));
    println!(
        "CLOUDFLARE_BASE_URL=http://{}/client/v4",
        listener.local_addr()?
    );
    println!("CLOUDFLARE_API_TOKEN=an-api-token-for-all-accounts-of-the-bench");
    println!("CLOUDFLARE_ACCOUNT_ID={}", account_id(0));
    tokio::spawn(async { axum::serve(listener, router).await });
    wait_for_the_end().await?;

    let counts = server.counts();
    println!(
        "{{\"requests\": {}, \"refused\": {}, \"renewed\": {}, \"busiest_second\": {}}}",
        counts.requests,
        counts.refused,
        counts.renewed.len(),
        counts.busiest_second
    );
    Ok(())
}

impl Server {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, account: usize, token: usize, renewed: Option<&DateTime<Utc>>) -> Value {
        let days = if token < self.due { 9 } else { 200 };
        let expires_at = self.started_at + TimeDelta::days(days);
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        json!({
            "id": token_id(account, token),
            "client_id": format!("{:032x}.access", account * TOKENS + token),
            "name": format!("a token whose name is number {token}"),
            "duration": "8760h",
            "enabled": true,
            "created_at": time(expires_at - TimeDelta::days(365)),
            "updated_at": time(expires_at - TimeDelta::days(365)),
            "expires_at": time(*renewed.unwrap_or(&expires_at)),
        })
    }
}

fn account_id(account: usize) -> String {
    format!("{account:032x}")
}

fn token_id(account: usize, token: usize) -> String {
    format!("00000000-0000-4000-8000-{account:06x}{token:06x}")
}

/// Counts a request, and refuses it beyond a limit.
async fn count(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let holder = authorization.and_then(|value| value.to_str().ok());
    let holder = holder.unwrap_or_default().to_owned();
    let now = Instant::now();
    let (is_refused, used, left) = {
        let mut counts = server.counts();
        let counts = &mut *counts;
        counts.requests += 1;
        let second = &mut counts.of_a_second;
        second.push_back(now);
        while second
            .front()
            .is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(1))
        {
            second.pop_front();
        }
        counts.busiest_second = counts.busiest_second.max(second.len());
        let (start, used) = counts.windows.entry(holder).or_insert((now, 0));
        if now.duration_since(*start) >= server.window {
            (*start, *used) = (now, 0);
        }
        *used += 1;
        let is_refused = *used > server.limit || second.len() > ADDRESS_LIMIT;
        counts.refused += usize::from(is_refused);
        (
            is_refused,
            *used,
            server.window - now.duration_since(*start),
        )
    };
    let seconds = left.as_millis().div_ceil(1000);
    let mut response = match is_refused {
        true => failure(StatusCode::TOO_MANY_REQUESTS, 971),
        false => next.run(request).await,
    };
    let remaining = server.limit.saturating_sub(used);
    let (limit, window) = (server.limit, server.window.as_secs());
    for (name, value) in [
        (
            "ratelimit",
            format!("\"default\";r={remaining};t={seconds}"),
        ),
        (
            "ratelimit-policy",
            format!("\"default\";q={limit};w={window}"),
        ),
        ("retry-after", seconds.to_string()),
    ] {
        if let Ok(value) = value.parse()
            && (is_refused || name != "retry-after")
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[derive(Deserialize)]
struct Paging {
    page: Option<usize>,
    per_page: Option<usize>,
}

async fn list_accounts(
    State(server): State<Arc<Server>>,
    Query(paging): Query<Paging>,
) -> Response {
    let page = paging.page.unwrap_or(1).max(1);
    let per_page = paging.per_page.unwrap_or(20).clamp(5, 50);
    let ids = (0..server.accounts).skip((page - 1) * per_page);
    let accounts: Vec<Value> = ids
        .take(per_page)
        .map(|account| json!({"id": account_id(account), "name": format!("Account {account}")}))
        .collect();
    success(
        json!(accounts),
        Some(info(accounts.len(), page, per_page, server.accounts)),
    )
}

async fn list_tokens(
    State(server): State<Arc<Server>>,
    Path(account): Path<String>,
    Query(paging): Query<Paging>,
) -> Response {
    let Some(account) = number(&account).filter(|account| *account < server.accounts) else {
        return failure(StatusCode::NOT_FOUND, 7003);
    };
    let page = paging.page.unwrap_or(1).max(1);
    let per_page = paging.per_page.unwrap_or(1000).clamp(1, 1000);
    let counts = server.counts();
    let tokens: Vec<Value> = (0..TOKENS)
        .skip((page - 1) * per_page)
        .take(per_page)
        .map(|token| server.token(account, token, counts.renewed.get(&(account, token))))
        .collect();
    success(
        json!(tokens),
        Some(info(tokens.len(), page, per_page, TOKENS)),
    )
}

async fn refresh(
    State(server): State<Arc<Server>>,
    Path((account, token)): Path<(String, String)>,
) -> Response {
    let token = token.get(30..).and_then(number);
    let (Some(account), Some(token)) = (number(&account), token) else {
        return failure(StatusCode::NOT_FOUND, 12131);
    };
    let expires_at = Utc::now() + TimeDelta::days(365);
    server.counts().renewed.insert((account, token), expires_at);
    success(server.token(account, token, Some(&expires_at)), None)
}

fn number(hexadecimal: &str) -> Option<usize> {
    usize::from_str_radix(hexadecimal, 16).ok()
}

fn info(count: usize, page: usize, per_page: usize, total: usize) -> Value {
    json!({
        "count": count,
        "page": page,
        "per_page": per_page,
        "total_count": total,
        "total_pages": total.div_ceil(per_page),
    })
}

fn success(result: Value, result_info: Option<Value>) -> Response {
    let mut envelope = json!({"success": true, "errors": [], "messages": [], "result": result});
    if let Some(info) = result_info {
        envelope["result_info"] = info;
    }
    axum::Json(envelope).into_response()
}

fn failure(status: StatusCode, code: u32) -> Response {
    let errors = json!([{"code": code, "message": "refused by the server of the benchmarks"}]);
    let envelope = json!({"success": false, "errors": errors, "messages": [], "result": null});
    (status, axum::Json(envelope)).into_response()
}
