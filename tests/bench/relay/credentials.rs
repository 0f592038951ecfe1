//! A certificate for one trial: its files for the server, and the clients' trust in it.
//!
//! Clients check it as any client would. They offer one cipher suite and no resumption, so that
//! every connection of every trial costs the same and encrypts with what `encryption` measures.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::CertifiedKey;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite};
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
}

impl Credentials {
    /// A certificate for one address.
    pub fn make(address: IpAddr) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed([address.to_string()]);
        let CertifiedKey { cert, signing_key } = made.map_err(io::Error::other)?;
        let directory = tempfile::tempdir()?;
        fs::write(chain_in(directory.path()), cert.pem())?;
        fs::write(key_in(directory.path()), signing_key.serialize_pem())?;
        Ok(Self { client: Arc::new(client(cert.der())?), directory })
    }

    /// The program's options for the files.
    pub fn chain_and_key(&self) -> [impl AsRef<Path> + use<>; 2] {
        [chain_in(self.directory.path()), key_in(self.directory.path())]
    }
}
