//! Listing all service tokens: the stream returns each token once, and a listing that
//! may be incomplete ends with an error, whatever counts the API returns.

use crate::support::RawServer;
use cf_service_tokens::{Error, ErrorKind, ServiceToken, ServiceTokens};
use cf_service_tokens_simulator::{SeedToken, Simulator};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

/// The outcome of a listing: the names of its tokens, the number of requested pages,
/// and its error.
struct Listed {
    names: Vec<String>,
    pages: usize,
    error: Option<Error>,
}

/// Starts a server with this many tokens that returns `info(page, per_page)` with each
/// page.
async fn server(
    total: usize,
    most_per_page: usize,
    info: impl Fn(usize, usize) -> Value + Send + Sync + 'static,
) -> RawServer {
    RawServer::answering(move |request| {
        let page = number(request, "page=").unwrap_or(1);
        let per_page = number(request, "per_page=")
            .unwrap_or(20)
            .min(most_per_page);
        let tokens: Vec<Value> = (0..total)
            .skip((page - 1) * per_page)
            .take(per_page)
            .map(|index| json!({ "id": format!("id-{index}"), "name": format!("token {index}") }))
            .collect();
        let mut body = json!({ "success": true, "errors": [], "messages": [], "result": tokens });
        let info = info(page, per_page);
        if !info.is_null() {
            body["result_info"] = info;
        }
        crate::support::json("200 OK", &body.to_string())
    })
    .await
}

/// Returns the value of a parameter in the request's query.
fn number(request: &str, name: &str) -> Option<usize> {
    let (_, query) = request.lines().next()?.split_once('?')?;
    let query = query.split(' ').next()?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.parse().ok())
}

async fn all(server: &RawServer, tokens: ServiceTokens, per_page: u32) -> Listed {
    let mut stream = tokens.list().per_page(per_page).stream();
    let mut names = Vec::new();
    let mut error = None;
    while let Some(token) = stream.next().await {
        match token {
            Ok(token) => names.push(token.name.unwrap()),
            Err(failure) => error = Some(failure),
        }
    }
    assert!(stream.next().await.is_none(), "the stream has ended");
    Listed {
        names,
        pages: server.requests().len(),
        error,
    }
}

async fn assert_lists_all(
    what: &str,
    total: usize,
    pages: usize,
    info: impl Fn(usize, usize) -> Value + Send + Sync + 'static,
) {
    let server = server(total, 1000, info).await;
    let listed = all(&server, server.tokens(), 10).await;
    assert!(listed.error.is_none(), "{what}: {:?}", listed.error);
    let expected: Vec<String> = (0..total).map(|index| format!("token {index}")).collect();
    assert_eq!(listed.names, expected, "{what}");
    assert_eq!(listed.pages, pages, "{what}: requested pages");
}

#[tokio::test]
async fn with_counts_only_existing_pages_are_requested() {
    for (total, pages) in [
        (0_usize, 1),
        (1, 1),
        (9, 1),
        (10, 1),
        (11, 2),
        (20, 2),
        (25, 3),
    ] {
        let total_pages = total.div_ceil(10);
        assert_lists_all("all counts", total, pages, move |page, per_page| {
            json!({ "page": page, "per_page": per_page, "total_count": total, "total_pages": total_pages })
        })
        .await;
        assert_lists_all("the count alone", total, pages, move |page, per_page| {
            json!({ "page": page, "per_page": per_page, "total_count": total })
        })
        .await;
        assert_lists_all(
            "numbers with a point",
            total,
            pages,
            move |_, _| json!({ "total_count": total as f64, "total_pages": total_pages as f64 }),
        )
        .await;
    }
}

#[tokio::test]
async fn without_counts_the_listing_ends_at_an_empty_page() {
    for (total, pages) in [(0, 1), (9, 2), (10, 2), (11, 3), (25, 4)] {
        assert_lists_all("nothing", total, pages, |_, _| Value::Null).await;
        assert_lists_all("empty", total, pages, |_, _| json!({})).await;
        assert_lists_all(
            "the page alone",
            total,
            pages,
            |page, per_page| json!({ "page": page, "per_page": per_page }),
        )
        .await;
    }
}

#[tokio::test]
async fn capped_pages_without_counts_lose_no_token() {
    let server = server(100, 20, |_, _| Value::Null).await;
    let listed = all(&server, server.tokens(), 1000).await;
    assert!(listed.error.is_none(), "{:?}", listed.error);
    assert_eq!((listed.names.len(), listed.pages), (100, 6));
}

#[tokio::test]
async fn an_ordinary_account_costs_one_request() {
    let mut builder = Simulator::builder();
    for index in 0..50 {
        builder = builder.token(SeedToken::new(format!("token {index}")));
    }
    let simulator = builder.start().await.unwrap();
    let tokens = crate::support::tokens_of(&simulator);
    let listed: Vec<ServiceToken> = tokens.list().stream().try_collect().await.unwrap();
    assert_eq!(listed.len(), 50);
    assert_eq!(simulator.requests().len(), 1);
}

#[tokio::test]
async fn wrong_counts_are_ignored() {
    // Wrong counts may cost one extra page, but no token and no endless listing.
    for info in [
        json!({ "page": "one", "per_page": "ten", "total_count": null, "total_pages": [] }),
        json!({ "page": -1, "per_page": -1, "total_count": -1, "total_pages": -1 }),
        json!({ "page": 0.5, "per_page": 0.5, "total_count": 0.5, "total_pages": 0.5 }),
        json!({ "page": 0, "per_page": 0, "total_count": 0, "total_pages": 0 }),
        json!({ "page": 1, "per_page": 10, "total_count": 3, "total_pages": 0 }),
        json!({ "total_pages": 1e300, "total_count": 1e300 }),
        // The API's count includes the empty page.
        json!({ "total_pages": 4 }),
        json!("info"),
        json!([1, 2]),
    ] {
        let what = info.to_string();
        assert_lists_all(&what, 25, 4, move |_, _| info.clone()).await;
    }
}

#[tokio::test]
async fn contradictory_counts_do_not_end_the_listing() {
    for (info, pages) in [
        (json!({ "total_count": 10, "total_pages": 3 }), 3),
        (json!({ "total_count": 25, "total_pages": 1 }), 3),
        (json!({ "total_count": 25, "total_pages": 4 }), 4),
    ] {
        let what = info.to_string();
        assert_lists_all(&what, 25, pages, move |_, _| info.clone()).await;
    }
}

#[tokio::test]
async fn a_token_twice_on_a_page_is_listed_and_counted_once() {
    let server = RawServer::answering(|request| {
        let ids = match number(request, "page=") {
            Some(1) => vec![1, 1],
            Some(2) => vec![2],
            _ => Vec::new(),
        };
        let tokens: Vec<Value> = ids
            .into_iter()
            .map(|id| json!({ "id": format!("id-{id}"), "name": format!("token {id}") }))
            .collect();
        let info = json!({ "total_count": 2 });
        let body = json!({ "success": true, "errors": [], "messages": [], "result": tokens, "result_info": info });
        crate::support::json("200 OK", &body.to_string())
    })
    .await;
    let listed = all(&server, server.tokens(), 2).await;
    assert!(listed.error.is_none(), "{:?}", listed.error);
    assert_eq!(listed.names, ["token 1", "token 2"]);
}

#[tokio::test]
async fn smaller_pages_than_requested_lose_no_token() {
    let server = server(
        25,
        5,
        |page, per_page| json!({ "page": page, "per_page": per_page }),
    )
    .await;
    let listed = all(&server, server.tokens(), 100).await;
    assert_eq!(listed.names.len(), 25);
}

#[tokio::test]
async fn a_page_count_by_the_requested_size_loses_no_token() {
    let server = server(60, 20, |page, per_page| {
        json!({ "page": page, "per_page": per_page, "total_pages": 2, "total_count": 60 })
    })
    .await;
    let listed = all(&server, server.tokens(), 50).await;
    assert_eq!(listed.names.len(), 60);
}

#[tokio::test]
async fn a_server_without_pages_gets_at_most_one_more_request() {
    let server = RawServer::answering(|_| {
        let tokens: Vec<Value> = (0..10)
            .map(|i| json!({ "id": format!("{i}"), "name": format!("{i}") }))
            .collect();
        let body = json!({ "success": true, "errors": [], "messages": [], "result": tokens });
        crate::support::json("200 OK", &body.to_string())
    })
    .await;
    let listed = all(&server, server.tokens(), 10).await;
    assert_eq!(listed.names.len(), 10);
    assert_eq!(listed.pages, 2);
}

/// Starts a server that returns the same page for every request, with a different
/// `last_seen_at` each time.
async fn stuck(info: Value) -> RawServer {
    RawServer::scripted(move |index, _| {
        let tokens: Vec<Value> = (0..10)
            .map(|i| json!({ "id": format!("{i}"), "name": format!("{i}"), "last_seen_at": format!("2026-11-24T12:00:{index:02}Z") }))
            .collect();
        let mut body = json!({ "success": true, "errors": [], "messages": [], "result": tokens });
        body["result_info"] = info.clone();
        crate::support::json("200 OK", &body.to_string())
    })
    .await
}

#[tokio::test]
async fn a_repeated_page_is_recognised_by_its_ids() {
    let server = stuck(Value::Null).await;
    let listed = all(&server, server.tokens(), 10).await;
    assert!(listed.error.is_none(), "the API counts no more tokens");
    assert_eq!((listed.names.len(), listed.pages), (10, 2));
}

#[tokio::test]
async fn a_repeated_page_without_ids_is_recognised_by_its_tokens() {
    for (is_stuck, names, pages) in [(true, 10, 2), (false, 25, 4)] {
        let server = RawServer::answering(move |request| {
            let page = number(request, "page=").unwrap();
            let first = if is_stuck { 0 } else { (page - 1) * 10 };
            let tokens: Vec<Value> = (first..25)
                .take(10)
                .map(|index| json!({ "name": format!("token {index}") }))
                .collect();
            let body = json!({ "success": true, "errors": [], "messages": [], "result": tokens });
            crate::support::json("200 OK", &body.to_string())
        })
        .await;
        let listed = all(&server, server.tokens(), 10).await;
        assert!(listed.error.is_none(), "the API counts no more tokens");
        assert_eq!((listed.names.len(), listed.pages), (names, pages));
    }
}

#[tokio::test]
async fn a_repeated_page_in_place_of_more_tokens_is_an_error() {
    for info in [json!({ "total_count": 25 }), json!({ "total_pages": 3 })] {
        let server = stuck(info.clone()).await;
        let listed = all(&server, server.tokens(), 10).await;
        assert_eq!((listed.names.len(), listed.pages), (10, 2), "{info}");
        let error = listed.error.unwrap();
        assert!(error.kind() == ErrorKind::Decode && error.kind() != ErrorKind::InvalidRequest);
        assert!(!error.may_have_been_applied());
        assert_eq!(error.ray_id(), Some("8f2b1c9d0e1f2a3b-FRA"));
        if info["total_pages"].is_null() {
            insta::assert_snapshot!(error, @"list account service tokens: the listing is incomplete: page 2 repeats earlier entries after 10 service tokens, but the API counts 25 service tokens; list again (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 686 bytes)");
        }

        // With a search, the counts may include other tokens.
        let server = stuck(info).await;
        let mut stream = server.tokens().list().name("a").per_page(10).stream();
        let mut count = 0;
        while let Some(token) = stream.next().await {
            token.unwrap();
            count += 1;
        }
        assert_eq!((count, server.requests().len()), (10, 2));
    }
}

#[tokio::test]
async fn an_empty_page_in_place_of_promised_tokens_is_an_error() {
    for (info, words) in [
        (
            json!({ "total_count": 1_000_000 }),
            "page 4 is empty after 25 service tokens, but the API counts 1000000 service tokens",
        ),
        (
            json!({ "total_count": 26, "total_pages": 3 }),
            "page 4 is empty after 25 service tokens, but the API counts 26 service tokens",
        ),
        (
            json!({ "total_pages": 9 }),
            "page 4 is empty after 25 service tokens, but the API counts 9 pages",
        ),
    ] {
        let server = server(25, 1000, move |_, _| info.clone()).await;
        let listed = all(&server, server.tokens(), 10).await;
        assert_eq!((listed.names.len(), listed.pages), (25, 4));
        let error = listed.error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn an_empty_page_without_counts_keeps_the_earlier_counts() {
    for last in [Value::Null, json!({}), json!({ "total_count": 0 })] {
        let server = server(20, 1000, move |page, _| match page {
            1 | 2 => json!({ "total_count": 30 }),
            _ => last.clone(),
        })
        .await;
        let listed = all(&server, server.tokens(), 10).await;
        assert_eq!((listed.names.len(), listed.pages), (20, 3));
        let error = listed.error.unwrap().to_string();
        assert!(error.contains("the API counts 30"), "{error}");
    }
}

#[tokio::test]
async fn a_token_deleted_meanwhile_lowers_the_count() {
    let server = server(20, 1000, |page, _| match page {
        1 => json!({ "total_count": 21 }),
        _ => json!({ "total_count": 20 }),
    })
    .await;
    let listed = all(&server, server.tokens(), 10).await;
    assert!(listed.error.is_none(), "{:?}", listed.error);
    assert_eq!((listed.names.len(), listed.pages), (20, 2));
}

#[tokio::test]
async fn a_listing_may_be_as_large_as_a_body() {
    for (body_limit, listed, is_complete) in [(4 << 20, 2, false), (64 << 20, 3, true)] {
        let server = RawServer::scripted(|index, _| {
            let large = json!({ "id": index.to_string(), "name": "x".repeat(2 << 20) });
            let tokens = if index < 3 { vec![large] } else { Vec::new() };
            let body = json!({ "success": true, "errors": [], "messages": [], "result": tokens });
            crate::support::json("200 OK", &body.to_string())
        })
        .await;
        let client = server.builder().body_limit(body_limit).build().unwrap();
        let account = client.account(crate::support::ACCOUNT).unwrap();
        let outcome = all(&server, account.service_tokens(), 1).await;
        assert_eq!(outcome.names.len(), listed, "{body_limit}");
        assert_eq!(outcome.error.is_none(), is_complete, "{:?}", outcome.error);
    }
}

/// Starts a server that repeats pages with these numbers of tokens in a cycle.
async fn pages(pages: &'static [&'static [u32]], info: Value) -> RawServer {
    RawServer::scripted(move |index, _| {
        let page = pages[index % pages.len()];
        let tokens: Vec<Value> = page
            .iter()
            .map(|i| json!({ "id": format!("{i}"), "name": format!("{i}") }))
            .collect();
        let mut body = json!({ "success": true, "errors": [], "messages": [], "result": tokens });
        body["result_info"] = info.clone();
        crate::support::json("200 OK", &body.to_string())
    })
    .await
}

#[tokio::test]
async fn pages_in_a_cycle_end_the_listing() {
    let circle: &[&[u32]] = &[&[1, 2], &[3, 4], &[5]];
    for (info, is_complete) in [(Value::Null, true), (json!({ "total_count": 6 }), false)] {
        let server = pages(circle, info).await;
        let listed = all(&server, server.tokens(), 2).await;
        assert_eq!(listed.names, ["1", "2", "3", "4", "5"]);
        assert_eq!(listed.pages, 4);
        assert_eq!(listed.error.is_none(), is_complete);
    }
}

#[tokio::test]
async fn overlapping_pages_list_each_token_once() {
    let overlapping: &[&[u32]] = &[&[1, 2, 3], &[3, 4, 5], &[5, 2], &[]];
    for (info, pages_asked, is_complete) in [
        (Value::Null, 3, true),
        (json!({ "total_count": 5 }), 2, true),
        (json!({ "total_count": 6 }), 3, false),
    ] {
        let server = pages(overlapping, info).await;
        let listed = all(&server, server.tokens(), 3).await;
        assert_eq!(listed.names, ["1", "2", "3", "4", "5"]);
        assert_eq!(listed.pages, pages_asked);
        assert_eq!(listed.error.is_none(), is_complete);
    }
}

#[tokio::test]
async fn a_search_ends_although_the_counts_include_all_tokens() {
    for info in [
        json!({ "total_count": 4000 }),
        json!({ "total_pages": 400 }),
        json!({ "total_count": 4000, "total_pages": 400 }),
    ] {
        let server = server(25, 1000, move |_, _| info.clone()).await;
        let mut stream = server.tokens().list().search("token").per_page(10).stream();
        let mut count = 0;
        while let Some(token) = stream.next().await {
            token.unwrap();
            count += 1;
        }
        assert_eq!(count, 25);
        assert_eq!(server.requests().len(), 4);
    }
}

#[tokio::test]
async fn an_error_ends_the_stream() {
    let server = RawServer::answering(|request| {
        if number(request, "page=") == Some(2) {
            return crate::support::answer("500 Internal Server Error", "text/plain", "");
        }
        let tokens: Vec<Value> = (0..10)
            .map(|i| json!({ "id": format!("{i}"), "name": format!("{i}") }))
            .collect();
        let body = json!({ "success": true, "errors": [], "messages": [], "result": tokens });
        crate::support::json("200 OK", &body.to_string())
    })
    .await;
    let listed = all(&server, server.tokens(), 10).await;
    assert_eq!(listed.names.len(), 10);
    assert_eq!(listed.error.unwrap().status().unwrap(), 500);
    assert_eq!(listed.pages, 2);
}

#[tokio::test]
async fn one_unreadable_token_does_not_hide_the_others() {
    let server = RawServer::answering(|_| {
        let body = json!({ "success": true, "errors": [], "messages": [], "result": [
            { "name": "a", "last_seen_at": "yesterday" }, { "name": "b", "expires_at": 7 }, { "name": "c" }
        ] });
        crate::support::json("200 OK", &body.to_string())
    })
    .await;
    let page = server.tokens().list().page(1).await.unwrap();
    assert_eq!(page.tokens.len(), 3);
    assert_eq!(
        page.unreadable(),
        ["result[0].last_seen_at", "result[1].expires_at"]
    );
}

#[tokio::test]
async fn a_page_of_tokens_that_all_have_unreadable_fields() {
    let server = RawServer::answering(|_| {
        let token = json!({ "name": "a", "last_seen_at": "yesterday", "created_at": 7, "enabled": "yes", "client_secret_version": 2.0 });
        let remark = json!({ "code": "one", "message": "b" });
        let body = json!({ "success": true, "errors": vec![&remark; 200], "messages": [], "result": vec![token; 50] });
        crate::support::json("200 OK", &body.to_string())
    })
    .await;
    let page = server.tokens().list().page(1).await.unwrap();
    assert_eq!(page.tokens.len(), 50);
    let mut tokens = page.tokens.iter();
    assert!(tokens.all(|token| token.name.as_deref() == Some("a")));
    assert_eq!(page.tokens[49].client_secret_version, Some(2));
    assert_eq!(page.unreadable().len(), 200 + 50 * 3);
}

#[tokio::test]
async fn an_entry_that_is_not_a_token_is_an_error() {
    for (tokens, path) in [
        (r#"[{"name":"a"},"b"]"#, "result[1]"),
        (r#"[{"id":"a"},[]]"#, "result[1]"),
        (r#"[{"id":"a"},null]"#, "result[1]"),
        (
            r#"[["a",1,null,null,true,null,null,null,"ci",null]]"#,
            "result[0]",
        ),
        (r#"{"id":"a"}"#, "result"),
    ] {
        let body = format!(r#"{{"success":true,"errors":[],"messages":[],"result":{tokens}}}"#);
        let server = RawServer::answering(move |_| crate::support::json("200 OK", &body)).await;
        let error = server.tokens().list().page(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        assert!(error.to_string().contains(&format!("`{path}`")), "{error}");
        assert!(!error.may_have_been_applied(), "a listing changes nothing");
    }
}

/// The stream holds one page at a time: it requests the second only when the first is
/// used up.
#[tokio::test]
async fn pages_are_requested_as_needed() {
    let server = server(25, 1000, |_, _| json!({ "total_count": 25 })).await;
    let mut stream = server.tokens().list().per_page(10).stream();
    assert_eq!(server.requests().len(), 0);
    for _ in 0..10 {
        stream.next().await.unwrap().unwrap();
    }
    assert_eq!(server.requests().len(), 1);
    stream.next().await.unwrap().unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_token_is_found_by_its_exact_name() {
    // A server that ignores case, and that miscounts its pages.
    let server = RawServer::answering(|request| {
        let named = |name: &str, id: &str| serde_json::json!({ "id": id, "name": name });
        let found = match request.contains("name=twin") {
            true => vec![named("twin", "a"), named("Twin", "b"), named("twin", "c")],
            false => vec![named("Deploy", "d"), named("deploy", "e")],
        };
        let body =
            serde_json::json!({ "success": true, "errors": [], "messages": [], "result": found });
        crate::support::json("200 OK", &body.to_string())
    })
    .await;
    let tokens = server.tokens();
    assert_eq!(
        tokens.find("deploy").await.unwrap().id.as_deref(),
        Some("e")
    );

    let none = tokens.find("DEPLOY").await.unwrap_err();
    assert!(none.is_not_found() && none.kind() != ErrorKind::Ambiguous);
    insta::assert_snapshot!(none, @r#"no service token has the name "DEPLOY" in the account 023e105f4ecef8ad9ca31a8372d0c353; check the name and the account"#);
    let several = tokens.find("twin").await.unwrap_err();
    assert!(several.kind() == ErrorKind::Ambiguous && !several.is_not_found());
    insta::assert_snapshot!(several, @r#"2 service tokens have the name "twin": a, c; give the id of one of them"#);
}
