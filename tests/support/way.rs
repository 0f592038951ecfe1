//! The way on which a test speaks: plain, or TLS with a certificate made for this process alone.
//!
//! `WSROOM_TEST_OVER=tls` sends every test of a run over TLS; without it they are plain. The tests
//! are the same, because what is promised is. Not here: the bytes on the way (`stream`), and what
//! is promised of TLS alone.

use std::env::{self, VarError};
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rustls::pki_types::CertificateDer;
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::PATIENCE;
use super::stream::Stream;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    Plain,
    Tls,
}

impl Way {
    /// The way that this run was told to go.
    pub fn of_this_run() -> Self {
        match env::var("WSROOM_TEST_OVER").as_deref() {
            Err(VarError::NotPresent) => Self::Plain,
            Ok("tls") => Self::Tls,
            other => panic!("WSROOM_TEST_OVER is {other:?}: leave it out, or say tls"),
        }
    }

    /// What a server is started with to be found on this way.
    pub fn papers(self) -> Papers {
        let place = (self == Self::Tls).then(|| {
            let place = tempfile::tempdir().expect("a directory");
            IDENTITY.is_written_to(place.path());
            place
        });
        Papers { place }
    }

    /// A new connection. Over TLS its handshake comes with the first byte that is sent or read:
    /// until then the server has heard nothing, as on a plain one.
    pub fn connects(self, address: SocketAddr) -> Stream {
        self.goes_on(TcpStream::connect(address).expect("the server accepts"), address)
    }

    /// The same, from another address of this host, such as 127.0.0.7.
    pub fn connects_from(self, client: &str, address: SocketAddr) -> Stream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let client: IpAddr = client.parse().expect("an address");
        socket.bind(&SocketAddr::new(client, 0).into()).expect("an address of this host");
        socket.connect(&address.into()).expect("the server accepts");
        self.goes_on(socket.into(), address)
    }

    fn goes_on(self, socket: TcpStream, address: SocketAddr) -> Stream {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        match self {
            Self::Plain => Stream::plain(socket),
            Self::Tls => {
                let config = Arc::clone(&IDENTITY.trusted);
                Stream::tls(socket, ClientConnection::new(config, address.ip().into()).unwrap())
            }
        }
    }

    /// How a client begins that trusts the certificate in the papers: TLS 1.2 and 1.3.
    pub fn trusting() -> ClientConfig {
        ClientConfig::clone(&IDENTITY.trusted)
    }

    /// The same, in these versions alone.
    pub fn trusting_in(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        trusting(IDENTITY.certificate.der().clone(), versions)
    }

    /// How a client begins that trusts this certificate and no other.
    pub fn trusting_this(certificate: CertificateDer<'static>) -> ClientConfig {
        trusting(certificate, ALL_VERSIONS)
    }
}

/// The options of a server that name its certificate, if it has one. The files are removed when
/// this is dropped, so it lives as long as the server, which looks at them again.
pub struct Papers {
    place: Option<TempDir>,
}

impl Papers {
    pub fn options(&self) -> Vec<String> {
        let Some(place) = &self.place else { return Vec::new() };
        let path = |name| place.path().join(name).display().to_string();
        vec!["--tls-cert".to_owned(), path(CHAIN), "--tls-key".to_owned(), path(KEY)]
    }

    /// The file with the certificate.
    pub fn chain(&self) -> Option<PathBuf> {
        self.files().map(|(chain, _)| chain)
    }

    /// The files with the certificate and its key.
    pub fn files(&self) -> Option<(PathBuf, PathBuf)> {
        let place = self.place.as_ref()?.path();
        Some((place.join(CHAIN), place.join(KEY)))
    }
}

const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";

/// One for all servers of this process: whoever trusts one of them trusts all.
static IDENTITY: LazyLock<Identity> = LazyLock::new(Identity::new);

struct Identity {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
    trusted: Arc<ClientConfig>,
}

impl Identity {
    fn new() -> Self {
        // A server accepts the names of its certificate alone, so those that tests use are here.
        let names = ["localhost", "127.0.0.1", "::1", "talk.example", "other", "x"];
        let names = names.map(str::to_owned);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let trusted = Arc::new(trusting(certificate.der().clone(), ALL_VERSIONS));
        Self { certificate, key, trusted }
    }

    fn is_written_to(&self, place: &Path) {
        fs::write(place.join(CHAIN), self.certificate.pem()).expect("room for a certificate");
        fs::write(place.join(KEY), self.key.serialize_pem()).expect("room for a key");
    }
}

fn trusting(
    certificate: CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
