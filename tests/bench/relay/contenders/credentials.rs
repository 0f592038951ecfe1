//! A certificate for one trial: its files for the server, and the clients' trust in it.
//!
//! Clients check it as any client would. They offer one cipher suite and no resumption, so that
//! every connection of every trial costs the same and encrypts with what `encryption` measures. Only
//! in `churn` they come again, and resume.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite};
use tempfile::TempDir;

/// What rustls agrees on with itself when it is not told.
const SUITE: SupportedCipherSuite = cipher_suite::TLS13_AES_256_GCM_SHA384;

/// The same for people, and for programs that read the figures.
pub const SUITE_NAME: &str = "TLS 1.3, AES-256-GCM";

pub struct Credentials {
    /// Removed with this: the server looks at the files from time to time.
    directory: TempDir,
    /// What clients speak TLS with.
    pub client: Arc<ClientConfig>,
    /// What a server speaks with them that does nothing else.
    pub server: Arc<ServerConfig>,
}

impl Credentials {
    /// A certificate for one address.
    pub fn make(address: IpAddr) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed([address.to_string()]);
        let CertifiedKey { cert, signing_key } = made.map_err(io::Error::other)?;
        let client = Arc::new(client(cert.der().clone())?);
        let server = Arc::new(server(cert.der().clone(), &signing_key)?);
        let credentials = Self { directory: tempfile::tempdir()?, client, server };
        fs::write(credentials.chain(), cert.pem())?;
        fs::write(credentials.key(), signing_key.serialize_pem())?;
        Ok(credentials)
    }

    /// The program's options for the files.
    pub fn options(&self) -> [OsString; 4] {
        ["--tls-cert".into(), self.chain().into(), "--tls-key".into(), self.key().into()]
    }

    fn chain(&self) -> PathBuf {
        self.directory.path().join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }
}

/// The same clients, that come again and again as browsers do.
pub fn resuming(client: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = client.clone();
    config.resumption = Resumption::in_memory_sessions(1);
    Arc::new(config)
}

fn server(certificate: CertificateDer<'static>, key: &KeyPair) -> io::Result<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    config.ticketer = Ticketer::new().map_err(io::Error::other)?;
    Ok(config)
}

fn client(certificate: CertificateDer<'_>) -> io::Result<ClientConfig> {
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate).map_err(io::Error::other)?;
    let provider = CryptoProvider { cipher_suites: vec![SUITE], ..default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}
