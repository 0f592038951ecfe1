//! The certificate that the server shows: where it comes from, and how it is renewed in place.
//!
//! It is read from files (`--tls-cert`, `--tls-key`), or the program makes it (`self_signed`). Not
//! here: the record layer (`tls`), and the start of a handshake (`door`). The main thread opens the
//! certificate; the thread `certificate` looks for new files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::net::self_signed;
use crate::net::watcher::Watcher;
use crate::options::Options;

/// The certificate in use, and the TLS configuration of every handshake.
pub struct Certificate {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
    /// `None` for a self-signed certificate, which the program never replaces while it runs.
    watcher: Option<Watcher>,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct Files {
    /// `--tls-cert`: PEM, the server's own certificate first, then those of its issuers.
    pub chain: PathBuf,
    /// `--tls-key`: PEM; PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// The contents of both files, to see whether they have changed.
type Contents = (Vec<u8>, Vec<u8>);

/// The certificate and key for the next handshake. A connection does not need them after its
/// handshake, so a new certificate disturbs no client.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl Shown {
    fn new(key: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(key))))
    }

    fn now(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl Certificate {
    /// Opens the certificate that the options name; `None` if they name none. Its files are read
    /// again after each `interval`, and when [`Certificate::renew`] is called.
    ///
    /// # Errors
    /// A sentence with the option, the file and the remedy.
    pub fn open(options: &Options, interval: Duration) -> Result<Option<Self>, String> {
        match Files::named_in(options)? {
            None if options.tls_self_signed => Self::own(options).map(Some),
            None => Ok(None),
            Some(files) => Self::watch(files, interval).map(Some),
        }
    }

    fn watch(files: Files, interval: Duration) -> Result<Self, String> {
        let contents = files.read()?;
        let shown = Shown::new(files.load(&contents)?);
        let config = config(Arc::clone(&shown))?;
        let (mut seen, own) = (contents, Arc::clone(&shown));
        let look = move || renew(&files, &mut seen, &own);
        let watcher = Some(Watcher::start("certificate", interval, look)?);
        Ok(Self { config, shown, watcher })
    }

    fn own(options: &Options) -> Result<Self, String> {
        let pem = self_signed::pem(options.data_file())?;
        let failed = |error: &dyn std::fmt::Display| format!("--tls-self-signed: {error}");
        let chain = vec![CertificateDer::from_pem_slice(&pem).map_err(|error| failed(&error))?];
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| failed(&error))?;
        let key = CertifiedKey::from_der(chain, key, &provider());
        let shown = Shown::new(key.map_err(|error| failed(&error))?);
        Ok(Self { config: config(Arc::clone(&shown))?, shown, watcher: None })
    }

    /// The configuration of a new [`crate::net::tls::Session`].
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The SHA-256 fingerprint of the certificate in use, written as browsers show it.
    pub fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.shown.now().cert[0]);
        let bytes: Vec<_> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    /// When the certificate in use ends, in seconds since 1970. It is read anew each time, as for
    /// [`Certificate::is_for`].
    pub fn expiry(&self) -> Option<i64> {
        validity(&self.shown.now()).map(|validity| validity.until)
    }

    /// Whether the certificate in use is for this name, also by a wildcard. It is read anew each
    /// time, so a renewed one counts at once; next to a handshake that is nothing.
    pub fn is_for(&self, name: &str) -> bool {
        let shown = self.shown.now();
        let Ok(certificate) = ParsedCertificate::try_from(&shown.cert[0]) else { return false };
        let name = ServerName::try_from(name);
        name.is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
    }

    /// Whether this program made the certificate, so that no browser trusts it.
    pub fn is_self_signed(&self) -> bool {
        self.watcher.is_none()
    }

    /// Makes the thread `certificate` look for new files now.
    pub fn renew(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.look_now();
        }
    }
}

/// Uses the certificate in the files if it is new and good. Whole contents are compared, because a
/// renewal may keep the files' sizes and times, or change only symbolic links.
fn renew(files: &Files, seen: &mut Contents, shown: &Shown) {
    let contents = match files.read() {
        Ok(contents) if contents == *seen => return,
        Ok(contents) => contents,
        Err(sentence) => return log::error!("{sentence}; the old certificate stays"),
    };
    match files.load(&contents) {
        Ok(key) => {
            log::info!("new certificate from {}", files.chain.display());
            shown.replace(key);
        }
        // Perhaps only one of the two files is new yet. The next look finds both.
        Err(sentence) => log::error!("{sentence}; the old certificate stays"),
    }
    *seen = contents;
}

/// From when and until when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// It is not good before this.
    pub from: i64,
    /// Nor after this.
    pub until: i64,
}

/// Reads the files of the certificate that the options name, and does not use it; `None` if they name
/// none.
///
/// # Errors
/// A sentence with the option, the file and the remedy.
pub fn look(options: &Options) -> Result<Option<Validity>, String> {
    let Some(files) = Files::named_in(options)? else { return Ok(None) };
    let key = files.load(&files.read()?)?;
    Ok(validity(&key))
}

fn validity(key: &CertifiedKey) -> Option<Validity> {
    let (_, parsed) = x509_parser::parse_x509_certificate(&key.cert[0]).ok()?;
    let validity = parsed.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Some(Validity { from, until })
}

impl Files {
    fn named_in(options: &Options) -> Result<Option<Self>, String> {
        match (&options.tls_cert, &options.tls_key) {
            (None, None) => Ok(None),
            (Some(chain), Some(key)) => Ok(Some(Self { chain: chain.clone(), key: key.clone() })),
            (Some(chain), None) => {
                Err(format!("--tls-cert {} needs its key: add --tls-key FILE", chain.display()))
            }
            (None, Some(key)) => Err(format!(
                "--tls-key {} needs its certificate: add --tls-cert FILE",
                key.display()
            )),
        }
    }

    fn read(&self) -> Result<Contents, String> {
        let read = |option: &str, path: &Path| {
            let remedy = "name a PEM file that this program may read";
            fs::read(path)
                .map_err(|error| format!("{option} {}: {error}; {remedy}", path.display()))
        };
        Ok((read("--tls-cert", &self.chain)?, read("--tls-key", &self.key)?))
    }

    fn load(&self, (chain, key): &Contents) -> Result<CertifiedKey, String> {
        let (cert_file, key_file) = (self.chain.display(), self.key.display());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
            format!(
                "--tls-cert {cert_file}: no certificate in PEM; give the whole chain in one file"
            )
        })?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            format!("--tls-key {key_file}: no private key in PEM; give an unencrypted one (PKCS#8, PKCS#1 or SEC1)")
        })?;
        warn_if_not_good(&chain[0], &cert_file.to_string())?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
            use rustls::{Error, InconsistentKeys};
            match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                    "--tls-key {key_file} is not the key of --tls-cert {cert_file}; give the pair that was issued together"
                ),
                error => format!(
                    "--tls-key {key_file}: {error}; give an RSA key of at least 2048 bits, or one of P-256, P-384 or Ed25519"
                ),
            }
        })
    }
}

/// Warns if the certificate has expired or is not valid yet.
///
/// # Errors
/// It is not an X.509 certificate.
fn warn_if_not_good(certificate: &[u8], file: &str) -> Result<(), String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| {
        format!("--tls-cert {file}: not an X.509 certificate; export it anew as PEM")
    })?;
    let validity = parsed.validity();
    if !validity.is_valid() {
        log::warn!(
            "--tls-cert {file} is good from {} to {}, and browsers will refuse it: renew it",
            validity.not_before,
            validity.not_after
        );
    }
    Ok(())
}

fn config(shown: Arc<Shown>) -> Result<Arc<ServerConfig>, String> {
    let mut config = ServerConfig::builder_with_provider(provider())
        // TLS 1.2 and 1.3: rustls has no others.
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    // A client that comes back resumes its session: a signature less, and no certificate. The session
    // is in the client's ticket, under a key that changes every six hours, so that it takes no memory
    // here. (rustls alone remembers the last 256 sessions.)
    config.ticketer = Ticketer::new().map_err(|error| format!("TLS cannot be set up: {error}"))?;
    // The handshake fails for a client that offers only HTTP/2 (RFC 7301 §3.2). Some clients offer
    // only HTTP/1.0.
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
