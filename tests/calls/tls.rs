//! Certificates, proxies and TLS versions, with each TLS library.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, iter};

use crate::support::{ACCOUNT, CANARY, RawServer, TOKEN, in_a_child, json};
use cf_service_tokens::{Client, ClientBuilder, Error, ErrorKind, Retry, RotateServiceToken};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const FINE: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#;

/// Returns the name of a token.
async fn get(builder: ClientBuilder) -> Result<String, Error> {
    install_provider();
    let client = builder.retry(Retry::none()).build()?;
    let token = client.account(ACCOUNT)?.service_tokens().get(TOKEN).await?;
    Ok(token.name.clone().unwrap_or_default())
}

/// The task of the child that installs no crypto provider.
const NO_PROVIDER: &str = "no provider";

/// Installs the crypto provider that `rustls-no-provider` needs.
fn install_provider() {
    let _ = aws_lc_rs::default_provider().install_default();
}

/// Returns an error and its causes. `io::Error::source` skips the error that the
/// `io::Error` wraps.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let next = |error: &&'a (dyn StdError + 'static)| {
        let error = *error;
        let held = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        held.map(|held| held as &(dyn StdError + 'static))
            .or_else(|| error.source())
    };
    iter::successors(Some(error), next).collect()
}

/// Runs in the child processes of the tests that need their own environment.
#[test]
fn child() {
    crate::support::be_a_child(|base_url| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let builder = Client::builder().api_token(CANARY);
        if base_url == NO_PROVIDER {
            let built = [
                builder.build(),
                Client::builder()
                    .api_token(CANARY)
                    .base_url("http://127.0.0.1:1")
                    .http_client(|http| http.no_proxy())
                    .build(),
            ];
            return built
                .map(|client| match client {
                    Ok(_) => "built".to_owned(),
                    Err(error) => format!("{error} ({:?})", error.kind()),
                })
                .join("; ");
        }
        let builder = builder.base_url(base_url);
        match runtime.block_on(get(builder)) {
            Ok(name) => format!("got {name}"),
            Err(error) if error.kind() == ErrorKind::Tls => "no TLS".to_owned(),
            Err(error) => error.to_string(),
        }
    });
}

/// A proxy that records the host of each `CONNECT`, and connects to `target` instead.
async fn proxy(target: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
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

/// Starts a server that gives every request the same response, with a new certificate for
/// `host`. Returns its address, and the certificate as PEM.
async fn tls_server(host: &str) -> (String, String) {
    tls_server_with(CertificateParams::new([host.to_owned()]).unwrap()).await
}

async fn tls_server_with(params: CertificateParams) -> (String, String) {
    let signing_key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&signing_key).unwrap();
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

/// Returns the path of a file in the folder that cargo keeps for tests.
fn file(name: &str, text: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_certificates_are_trusted() {
    let (address, pem) = tls_server("localhost").await;
    let base_url = format!("https://localhost:{}", address.rsplit(':').next().unwrap());
    // On Linux, this variable sets the certificates to trust.
    let trusted = file("trusted.pem", &pem);
    let (_, another) = tls_server("localhost").await;
    let distrusted = file("distrusted.pem", &another);

    let with = |store: String, base_url: String| async move {
        tokio::task::spawn_blocking(move || {
            in_a_child("tls::child", &base_url, &[("SSL_CERT_FILE", &store)])
        })
        .await
        .unwrap()
    };
    assert_eq!(with(trusted.clone(), base_url.clone()).await, "got ci");
    assert_eq!(with(distrusted, base_url.clone()).await, "no TLS");
    // The certificate is for the name, not for the address.
    let by_address = base_url.replace("localhost", "127.0.0.1");
    assert_eq!(with(trusted, by_address).await, "no TLS");

    let mut expired = CertificateParams::new(["localhost".to_owned()]).unwrap();
    expired.not_before = rcgen::date_time_ymd(2019, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let (address, pem) = tls_server_with(expired).await;
    let base_url = format!("https://localhost:{}", address.rsplit(':').next().unwrap());
    let trusted = file("expired.pem", &pem);
    assert_eq!(with(trusted, base_url).await, "no TLS");
}

/// Starts a server that reads the client's first bytes, runs this function on each
/// connection and drops it. Returns the base URL.
async fn broken_server<F: Future<Output = ()> + Send>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            serve(socket).await;
        }
    });
    base_url
}

#[tokio::test]
async fn rustls_takes_precedence_over_the_systems_library() {
    let base_url = broken_server(async |mut socket: TcpStream| {
        socket
            .write_all(b"this is not TLS at all\r\n")
            .await
            .unwrap();
    })
    .await;
    let error = get(Client::builder().api_token(CANARY).base_url(&base_url))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    assert!(!error.is_transient() && !error.may_have_been_applied());
    let host = base_url.trim_start_matches("https://");
    assert_eq!(
        error.to_string(),
        format!(
            "get account service token: the TLS handshake with {host} failed; check the system's \
             certificates and clock, and the base URL"
        )
    );
    let causes = causes(&error);
    #[cfg(feature = "rustls-no-provider")]
    assert!(
        causes.iter().any(|cause| cause.is::<rustls::Error>()),
        "{error:?}"
    );
    #[cfg(not(feature = "rustls-no-provider"))]
    assert!(
        causes.iter().any(|cause| cause.is::<native_tls::Error>()),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_during_the_handshake_is_retried() {
    let closed = broken_server(async |_| ()).await;
    let reset = broken_server(async |socket| socket.set_zero_linger().unwrap()).await;
    install_provider();
    for base_url in [closed, reset] {
        let client = Client::builder()
            .api_token(CANARY)
            .base_url(base_url)
            .retry(Retry::default().attempts(2))
            .clock(crate::support::clock());
        let account = client.build().unwrap().account(ACCOUNT).unwrap();
        let error = account.service_tokens().get(TOKEN).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
        assert_eq!(error.attempts(), 2);
    }
}

#[test]
fn a_missing_crypto_provider_is_a_configuration_error() {
    let said = in_a_child("tls::child", NO_PROVIDER, &[]);
    if cfg!(all(feature = "rustls-no-provider", not(feature = "rustls"))) {
        let expected = "rustls has no crypto provider: install one before the client is built, such as with `rustls::crypto::ring::default_provider().install_default()`, or enable the feature `rustls`, which includes one (Configuration)";
        assert_eq!(said, format!("{expected}; {expected}"));
    } else {
        assert_eq!(said, "built; built");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_and_no_proxy_of_the_environment_are_respected() {
    let (address, pem) = tls_server("api.example.test").await;
    let (proxy, asked) = proxy(address).await;
    let store = file("proxied.pem", &pem);
    let base_url = "https://api.example.test/client/v4";
    // Nothing listens at this address, but the proxy accepts it. It is an address of
    // this machine, but not a loopback address.
    let (_held, address) = crate::support::closed_port();
    let here = format!("https://0.0.0.0:{}", address.port());
    let through = |base_url: &str, variables: &[(&'static str, &str)]| {
        let base_url = base_url.to_owned();
        let variables: Vec<(&str, String)> = variables
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        tokio::task::spawn_blocking(move || {
            let variables: Vec<(&str, &str)> = variables
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            in_a_child("tls::child", &base_url, &variables)
        })
    };

    let proxied = [("HTTPS_PROXY", &*proxy), ("SSL_CERT_FILE", &*store)];
    assert_eq!(through(base_url, &proxied).await.unwrap(), "got ci");
    let heads = asked.lock().unwrap().clone();
    let [head] = &heads[..] else {
        panic!("expected one connection: {heads:?}");
    };
    assert!(
        head.starts_with("CONNECT api.example.test:443 HTTP/1.1"),
        "{head}"
    );
    assert!(
        !head.contains(CANARY),
        "the proxy must not see a credential"
    );

    // The server behind the proxy has no certificate for this host.
    assert_eq!(through(&here, &proxied).await.unwrap(), "no TLS");
    assert_eq!(asked.lock().unwrap().len(), 2);
    let avoided = [
        ("HTTPS_PROXY", &*proxy),
        ("NO_PROXY", "0.0.0.0"),
        ("SSL_CERT_FILE", &*store),
    ];
    let said = through(&here, &avoided).await.unwrap();
    assert!(said.contains("could not connect"), "{said}");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_this_machine_use_no_proxy() {
    let server = RawServer::start(json("200 OK", FINE)).await;
    let (proxy, asked) = proxy("127.0.0.1:1".to_owned()).await;
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (base_url, proxy) = (server.base_url(), proxy.clone());
        let child = move || in_a_child("tls::child", &base_url, &[(variable, &proxy)]);
        let said = tokio::task::spawn_blocking(child).await.unwrap();
        assert_eq!(said, "got ci", "{variable}");
    }
    assert_eq!(asked.lock().unwrap()[..], [""; 0]);
}

// With native-tls, reqwest treats a proxy of any scheme as an HTTP proxy.
#[cfg(feature = "rustls-no-provider")]
#[test]
fn a_proxy_with_an_unsupported_scheme_is_reported() {
    let said = in_a_child(
        "tls::child",
        "https://api.example.test",
        &[("ALL_PROXY", "socks5h://127.0.0.1:1080")],
    );
    insta::assert_snapshot!(said, @"get account service token: could not use the proxy; check HTTPS_PROXY and ALL_PROXY: the proxy's URL must begin with `http://` or `https://`, and contain the user name and the password if the proxy requires them");
}

#[tokio::test]
async fn versions_before_tls_1_2_are_not_offered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let hello = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut record = [0; 5];
        socket.read_exact(&mut record).await.unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([record[3], record[4]]))];
        socket.read_exact(&mut hello).await.unwrap();
        hello
    });
    let builder = Client::builder().api_token(CANARY).base_url(base_url);
    assert!(get(builder).await.unwrap_err().is_connect());
    assert_eq!(offered_versions(&hello.await.unwrap()), [0x0303, 0x0304]);
}

/// Returns the versions that a ClientHello offers (RFC 8446, sections 4.1.2 and 4.2.1),
/// in order.
fn offered_versions(hello: &[u8]) -> Vec<u16> {
    let number = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    // Type and length, version, random.
    let session_id = 4 + 2 + 32;
    let cipher_suites = session_id + 1 + usize::from(hello[session_id]);
    let compressions = cipher_suites + 2 + number(cipher_suites);
    let mut extension = compressions + 1 + usize::from(hello[compressions]) + 2;
    loop {
        let (kind, length) = (number(extension), number(extension + 2));
        if kind == 43 {
            let list = &hello[extension + 5..extension + 4 + length];
            let mut versions: Vec<u16> = list
                .chunks(2)
                .map(|version| u16::from_be_bytes([version[0], version[1]]))
                .collect();
            versions.sort_unstable();
            return versions;
        }
        extension += 4 + length;
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_counts_as_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    install_provider();
    let client = Client::builder()
        .api_token(CANARY)
        .base_url(base_url)
        .http_client(|http| http.connect_timeout(Duration::from_millis(50)))
        .retry(Retry::default().attempts(2))
        .clock(crate::support::clock())
        .build()
        .unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let rotate = RotateServiceToken::revoke_now();
    let error = tokens.rotate(TOKEN, &rotate).await.unwrap_err();
    assert!(error.is_connect(), "{error}");
    assert!(error.kind() != ErrorKind::Timeout, "{error}");
    assert!(!error.may_have_been_applied());
    assert_eq!(
        error.attempts(),
        2,
        "nothing was sent, so the client retries"
    );
}
