//! The blocking client.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{ACCOUNT, CANARY, RawServer, TOKEN};
use cf_service_tokens::blocking::Client;
use cf_service_tokens::renewal::RenewalPolicy;
use cf_service_tokens::{
    Clock, CreateServiceToken, ManualClock, Method, Retry, RotateServiceToken, UpdateServiceToken,
};
use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// A server in its own runtime, and a blocking client of that server.
struct Setting {
    server: RawServer,
    client: Client,
    // The server stops when its runtime is dropped.
    _runtime: Runtime,
}

fn setting() -> Setting {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(RawServer::answering(|request| {
        let token = json!({ "id": TOKEN, "name": "ci", "client_secret": CANARY });
        let is_list = request.starts_with("GET") && request.contains("service_tokens?");
        let result = if is_list {
            json!([token, { "id": "another", "name": "ci" }])
        } else {
            token
        };
        let body = json!({ "success": true, "errors": [], "messages": [], "result": result });
        crate::support::json("200 OK", &body.to_string())
    }));
    let client = Client::builder()
        .api_token(CANARY)
        .base_url(server.base_url())
        .retry(Retry::none())
        .build()
        .unwrap();
    Setting {
        server,
        client,
        _runtime: runtime,
    }
}

#[test]
fn every_call() {
    let Setting {
        server,
        client,
        _runtime,
    } = setting();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    assert_eq!(tokens.refresh(TOKEN).unwrap().id.as_deref(), Some(TOKEN));
    let rotated = tokens
        .rotate(TOKEN, &RotateServiceToken::revoke_now())
        .unwrap();
    assert_eq!(rotated.credentials().expose_secret(), CANARY);
    tokens.create(&CreateServiceToken::new("ci")).unwrap();
    tokens.get(TOKEN).unwrap();
    tokens
        .update(TOKEN, &UpdateServiceToken::new().enabled(true))
        .unwrap();
    tokens.delete(TOKEN).unwrap();
    assert_eq!(tokens.list().page(1).unwrap().tokens.len(), 2);
    assert_eq!(tokens.list().iter().map(Result::unwrap).count(), 2);

    assert_eq!(
        tokens
            .list()
            .name("ci")
            .search("c")
            .per_page(9)
            .iter()
            .count(),
        2
    );
    client
        .request(Method::GET, "/x")
        .query("a", "b")
        .send::<Value>()
        .unwrap();

    let lines: Vec<String> = server
        .requests()
        .iter()
        .map(|request| request.lines().next().unwrap().replace(" HTTP/1.1", ""))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    POST /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415/refresh
    POST /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415/rotate
    POST /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens
    GET /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415
    PUT /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415
    DELETE /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415
    GET /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens?page=1&per_page=1000
    GET /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens?page=1&per_page=1000
    GET /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens?page=2&per_page=1000
    GET /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens?name=ci&page=1&per_page=9&search=c
    GET /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens?name=ci&page=2&per_page=9&search=c
    GET /client/v4/x?a=b
    ");
}

#[test]
fn threads_share_a_client() {
    let Setting {
        server,
        client,
        _runtime,
    } = setting();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                client
                    .account(ACCOUNT)
                    .unwrap()
                    .service_tokens()
                    .refresh(TOKEN)
                    .unwrap()
            });
        }
    });
    assert_eq!(server.requests().len(), 8);
}

#[test]
fn a_call_in_an_asynchronous_task_is_an_error() {
    let Setting {
        server,
        client,
        _runtime,
    } = setting();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let current_thread = || Builder::new_current_thread().enable_all().build();
    let mut errors = Vec::new();
    for outer in [Runtime::new(), current_thread()] {
        let outer = outer.unwrap();
        let tokens = tokens.clone();
        outer.block_on(async {
            let error = tokens.refresh(TOKEN).unwrap_err();
            assert!(error.is_configuration());
            errors.push(error.to_string());

            let mut listed = tokens.list().iter();
            assert!(listed.next().unwrap().is_err());
            assert!(listed.next().is_none(), "the error ends the listing");

            let tokens = tokens.clone();
            let error = tokio::spawn(async move { tokens.refresh(TOKEN) });
            assert!(error.await.unwrap().unwrap_err().is_configuration());
        });
    }
    errors.dedup();
    insta::assert_snapshot!(errors.join("\n"), @"a blocking call was made in an asynchronous task, and would block the runtime; use the asynchronous client, or make the call inside `spawn_blocking`");
    assert_eq!(server.requests(), [""; 0]);
    tokens.refresh(TOKEN).unwrap();
}

#[test]
fn a_call_on_a_blocking_thread_of_a_runtime_works() {
    let Setting {
        server,
        client,
        _runtime,
    } = setting();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let current_thread = || Builder::new_current_thread().enable_all().build();
    for outer in [Runtime::new(), current_thread()] {
        let outer = outer.unwrap();
        let in_a_blocking_thread = tokens.clone();
        let refreshed = outer.block_on(async {
            // A refused call does not disturb other work on the runtime.
            assert!(tokens.refresh(TOKEN).is_err());
            tokio::task::spawn_blocking(move || in_a_blocking_thread.refresh(TOKEN)).await
        });
        assert_eq!(refreshed.unwrap().unwrap().id.as_deref(), Some(TOKEN));
        let _entered = outer.enter();
        tokens.refresh(TOKEN).unwrap();
    }
    let outer = Runtime::new().unwrap();
    let in_place = outer.block_on(async {
        let tokens = tokens.clone();
        let task = async move { tokio::task::block_in_place(|| tokens.refresh(TOKEN)) };
        tokio::spawn(task).await
    });
    in_place.unwrap().unwrap();
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn a_call_in_an_unconstrained_task_does_not_panic() {
    let Setting {
        server,
        client,
        _runtime,
    } = setting();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let current_thread = || Builder::new_current_thread().enable_all().build();
    for outer in [Runtime::new(), current_thread()] {
        let call = async { tokens.refresh(TOKEN) };
        let refreshed = outer.unwrap().block_on(tokio::task::unconstrained(call));
        assert_eq!(refreshed.unwrap().id.as_deref(), Some(TOKEN));
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn expiry_goes_by_the_clock_of_the_api() {
    let runtime = Runtime::new().unwrap();
    let clock = crate::support::clock();
    let builder = Simulator::builder().clock(clock.reader());
    let builder = builder.token(SeedToken::new("due").expires_in(TimeDelta::days(29)));
    let builder = builder.token(SeedToken::new("not due").expires_in(TimeDelta::days(31)));
    let simulator = runtime.block_on(builder.start()).unwrap();
    let slow = ManualClock::new(clock.now() - TimeDelta::days(2));
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .clock(slow)
        .build()
        .unwrap();
    let account = client.account(simulator.account_id()).unwrap();
    let tokens = account.service_tokens();
    let report = tokens.renew(&RenewalPolicy::new()).unwrap();
    let expected = "2 tokens: 1 renewed, 1 skipped; the clock is 48h behind the API's";
    assert_eq!(report.to_string(), expected);
    assert_eq!(tokens.now(), clock.now());
}

#[test]
fn a_client_may_be_made_and_dropped_inside_a_runtime() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::builder().api_token("t").build().unwrap();
        drop(client);
    });
}

/// Creates 20 tokens, each on a connection that the server closes once it is idle.
/// Returns the numbers of calls that succeeded and of requests that arrived.
fn creates_on_connections_that_close(pause: Duration) -> (usize, usize) {
    let body = json!({
        "success": true, "errors": [], "messages": [],
        "result": { "id": TOKEN, "name": "ci", "client_secret": CANARY },
    });
    let answer = crate::support::json("201 Created", &body.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (idle, idle_sockets) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let mut requests = 0;
        // A connection without a request stops the server.
        while let Ok((mut socket, _)) = listener.accept()
            && socket.read(&mut [0; 4096]).is_ok_and(|count| count > 0)
        {
            requests += 1;
            socket.write_all(answer.as_bytes()).unwrap();
            idle.send(socket).unwrap();
        }
        requests
    });
    let client = Client::builder().api_token("t").base_url(&base_url);
    let client = client.retry(Retry::none()).build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let succeeds = |_: &i32| {
        let outcome = tokens.create(&CreateServiceToken::new("ci"));
        drop(idle_sockets.try_recv());
        std::thread::sleep(pause);
        outcome.is_ok()
    };
    let succeeded = (0..20).filter(succeeds).count();
    drop(TcpStream::connect(base_url.trim_start_matches("http://")));
    (succeeded, server.join().unwrap())
}

#[test]
fn a_connection_that_the_server_closed_while_idle_is_not_used_again() {
    let mut pause = Duration::from_millis(20);
    // A busy machine may need longer to notice that a connection is closed.
    while creates_on_connections_that_close(pause) != (20, 20) {
        pause *= 4;
        assert!(pause < Duration::from_secs(2), "20 creates do not succeed");
    }
}
