//! TLS in front of a server: a proxy that decrypts what it passes on.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::BoxError;

/// Starts the proxy in front of a base URL at http, and returns its own. It writes the
/// certificate of its authority to the file, in PEM.
pub(crate) async fn in_front_of(base_url: &str, file: &str) -> Result<String, BoxError> {
    let rest = base_url.strip_prefix("http://").ok_or("not at http")?;
    let (server, path) = rest.split_once('/').ok_or("no path")?;
    let server: SocketAddr = server.parse()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = acceptor(file)?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(proxy(acceptor.clone(), client, server));
        }
    });
    Ok(format!("https://{address}/{path}"))
}

async fn proxy(
    acceptor: TlsAcceptor,
    client: TcpStream,
    server: SocketAddr,
) -> Result<(), BoxError> {
    client.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

fn acceptor(file: &str) -> Result<TlsAcceptor, BoxError> {
    let mut authority = CertificateParams::new(Vec::new())?;
    // Not the default, which the certificate below has: it would look as if it signed itself.
    authority.distinguished_name = DistinguishedName::new();
    let name = "Authority of the benchmarks";
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    fs::write(file, authority.pem())?;
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
