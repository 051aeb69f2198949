//! The memory of a pass grows with the number of due tokens, hardly with the size of
//! the account.

use crate::support::{ACCOUNT, RawServer};
use cf_service_tokens::Client;
use cf_service_tokens::renewal::RenewalPolicy;
use serde_json::{Value, json};

/// Makes a dry run over the account at the base URL, and prints the peak memory. A
/// child process, so that only the pass uses memory.
#[test]
fn child() {
    crate::support::be_a_child(|base_url| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let report = runtime.unwrap().block_on(async {
            let client = Client::builder().api_token("t").base_url(base_url);
            let client = client.clock(crate::support::clock()).build().unwrap();
            let policy = RenewalPolicy::new().dry_run(true);
            client
                .account(ACCOUNT)
                .unwrap()
                .service_tokens()
                .renew(&policy)
                .await
        });
        format!(
            "{} {} {}",
            report.listed,
            report.tokens.len(),
            crate::support::peak_memory()
        )
    });
}

/// Starts a server with an account of this many tokens. The first ten are due.
async fn account(count: usize) -> RawServer {
    RawServer::scripted(move |_, request| {
        let (_, page) = request.split_once("page=").unwrap();
        let page: usize = page.split(['&', ' ']).next().unwrap().parse().unwrap();
        let numbers = (page - 1) * 50..page * 50;
        let tokens: Vec<Value> = numbers
            .map(|number| {
                let expires_at = if number < 10 {
                    "2026-12-01T00:00:00Z"
                } else {
                    "2027-06-01T00:00:00Z"
                };
                json!({
                    "id": format!("f174e90a-fafe-4643-bbbc-{number:012}"),
                    "client_id": format!("{number:032x}.access.example.com"),
                    "name": format!("a token with the name {number}"),
                    "duration": "8760h",
                    "created_at": "2026-01-01T00:00:00Z",
                    "updated_at": "2026-01-01T00:00:00Z",
                    "expires_at": expires_at,
                })
            })
            .collect();
        let body = json!({
            "success": true, "errors": [], "messages": [], "result": tokens,
            "result_info": { "page": page, "per_page": 50, "count": 50, "total_count": count },
        });
        crate::support::json("200 OK", &body.to_string())
    })
    .await
}

/// Returns the peak memory, in bytes, of a pass over this many tokens.
async fn peak_of(count: usize) -> usize {
    let server = account(count).await;
    let base_url = server.base_url();
    let child = tokio::task::spawn_blocking(move || {
        crate::support::in_a_child("passes::child", &base_url, &[])
    });
    let answer = child.await.unwrap();
    let numbers: Vec<usize> = answer
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    let [listed, due, peak] = numbers[..] else {
        panic!("{answer}");
    };
    assert_eq!((listed, due), (count, 10));
    peak
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_account() {
    let (small, large) = (peak_of(1_000).await, peak_of(9_000).await);
    println!("peak memory: {small} bytes for 1,000 tokens, {large} for 9,000");
    // The tokens alone would be more than 3.6 MB.
    assert!(large < small + 1024 * 1024, "{small} {large}");
}
