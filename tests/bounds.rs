//! What bounds a call: where it may go, over which connections, and how much of
//! an answer it takes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use cf_service_tokens::{Client, ClientBuilder, Error, Retry};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use support::{ACCOUNT, CANARY, RawServer, TOKEN, Then, in_a_child, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const FINE: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#;

/// Gets a token, and says in a few words what became of it.
async fn get(builder: ClientBuilder) -> Result<String, Error> {
    let client = builder.retry(Retry::none()).build()?;
    let token = client.account(ACCOUNT)?.get(TOKEN).await?;
    Ok(token.name.clone().unwrap_or_default())
}

/// The child's side of the tests that need an environment of their own.
#[test]
fn child() {
    support::be_a_child(|base_url| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let builder = Client::builder().api_token(CANARY).base_url(base_url);
        match runtime.block_on(get(builder)) {
            Ok(name) => format!("got {name}"),
            Err(error) if error.is_tls() => "no TLS".to_owned(),
            Err(error) => error.to_string(),
        }
    });
}

#[tokio::test]
async fn no_credential_follows_a_redirect() {
    for code in [301, 302, 303, 307, 308] {
        let elsewhere = RawServer::start(json("200 OK", FINE), Then::Close).await;
        let location = elsewhere.base_url();
        let server = RawServer::answering(move |_| {
            format!("HTTP/1.1 {code} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
        })
        .await;
        for builder in [
            Client::builder().api_token(CANARY),
            Client::builder().global_key("me@example.com", CANARY),
            Client::builder().user_service_key(CANARY),
        ] {
            let error = get(builder.base_url(server.base_url())).await.unwrap_err();
            assert!(error.is_redirect(), "{code}: {error}");
            assert!(error.to_string().contains("\"127.0.0.1\""), "{error}");
        }
        assert_eq!(elsewhere.requests(), [""; 0], "HTTP {code}");
    }
}

#[tokio::test]
async fn an_answer_that_drips_is_cut_at_the_timeout() {
    let head = "HTTP/1.1 200 OK\r\ncf-ray: 8f2b1c9d0e1f2a3b-FRA\r\n\r\n ";
    let server = RawServer::start(head, Then::Drip).await;
    let builder = server.builder().timeout(Duration::from_millis(100));
    let error = get(builder).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.ray_id(), Some("8f2b1c9d0e1f2a3b-FRA"));
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_an_error() {
    let many = "x-a: b\r\n".repeat(10_000);
    let large = format!("x-a: {}\r\n", "b".repeat(2_000_000));
    for headers in [many, large] {
        let server = RawServer::start(
            format!("HTTP/1.1 200 OK\r\n{headers}\r\n{FINE}"),
            Then::Close,
        )
        .await;
        let error = get(server.builder()).await.unwrap_err();
        assert!(error.is_interrupted(), "{error}");
    }
}

#[test]
fn plain_http_goes_to_this_machine_alone_unless_allowed() {
    let to = |url: &str| Client::builder().api_token("t").base_url(url);
    for url in [
        "http://127.0.0.1:1/v4",
        "http://127.9.9.9",
        "http://[::1]:1",
        "http://localhost:80",
    ] {
        assert!(to(url).build().is_ok(), "{url}");
    }
    for url in [
        "http://api.cloudflare.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
    ] {
        let error = to(url).build().unwrap_err();
        assert!(error.is_configuration(), "{url}: {error}");
        assert!(to(url).allow_http().build().is_ok(), "{url}");
    }
}

#[test]
fn a_call_that_has_no_time_cannot_be_set_up() {
    let builder = || Client::builder().api_token("t");
    assert!(
        builder()
            .timeout(Duration::ZERO)
            .build()
            .unwrap_err()
            .is_configuration()
    );
    assert!(
        builder()
            .deadline(Duration::ZERO)
            .build()
            .unwrap_err()
            .is_configuration()
    );
}

/// A proxy that notes what it is asked to connect to, and connects to `target`
/// instead.
async fn proxy(target: String) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (noted, target) = (Arc::clone(&noted), target.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                noted.lock().unwrap().push(head);
                client
                    .write_all(b"HTTP/1.1 200 Connected\r\n\r\n")
                    .await
                    .unwrap();
                let mut server = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, asked)
}

/// A server that speaks TLS with a certificate of its own for `host`, and
/// answers every request alike; its address, and the certificate as PEM.
async fn tls_server(host: &str) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([host.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    return;
                };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(json("200 OK", FINE).as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (address, cert.pem())
}

/// A file in the folder that cargo keeps for tests.
fn file(name: &str, text: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[cfg(feature = "rustls")]
#[tokio::test(flavor = "multi_thread")]
async fn the_systems_certificates_decide() {
    let (address, pem) = tls_server("localhost").await;
    let base_url = format!("https://localhost:{}", address.rsplit(':').next().unwrap());
    // This variable is one of the ways to tell a Linux system what to trust.
    let trusted = file("trusted.pem", &pem);
    let (_, another) = tls_server("localhost").await;
    let distrusted = file("distrusted.pem", &another);

    let with = |store: String, base_url: String| async move {
        tokio::task::spawn_blocking(move || in_a_child(&base_url, &[("SSL_CERT_FILE", &store)]))
            .await
            .unwrap()
    };
    assert_eq!(with(trusted.clone(), base_url.clone()).await, "got ci");
    assert_eq!(with(distrusted, base_url.clone()).await, "no TLS");
    // The certificate is for the name, not for the address.
    let by_address = base_url.replace("localhost", "127.0.0.1");
    assert_eq!(with(trusted, by_address).await, "no TLS");
}

#[cfg(feature = "rustls")]
#[tokio::test(flavor = "multi_thread")]
async fn proxies_of_the_environment_are_used_and_avoided() {
    let (address, pem) = tls_server("api.example.test").await;
    let (proxy, asked) = proxy(address).await;
    let store = file("proxied.pem", &pem);
    let base_url = "https://api.example.test/client/v4";
    let through = |variables: Vec<(&'static str, String)>| async move {
        tokio::task::spawn_blocking(move || {
            let variables: Vec<(&str, &str)> = variables
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            in_a_child(base_url, &variables)
        })
        .await
        .unwrap()
    };

    let proxied = vec![
        ("HTTPS_PROXY", proxy.clone()),
        ("SSL_CERT_FILE", store.clone()),
    ];
    assert_eq!(through(proxied).await, "got ci");
    let heads = asked.lock().unwrap().clone();
    let [head] = &heads[..] else {
        panic!("one connection: {heads:?}");
    };
    assert!(
        head.starts_with("CONNECT api.example.test:443 HTTP/1.1"),
        "{head}"
    );
    assert!(!head.contains(CANARY), "the proxy sees no credential");

    // Nobody has this host but the proxy.
    let avoided = vec![
        ("HTTPS_PROXY", proxy),
        ("NO_PROXY", "api.example.test".to_owned()),
        ("SSL_CERT_FILE", store),
    ];
    let said = through(avoided).await;
    assert!(said.contains("no connection came about"), "{said}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}
