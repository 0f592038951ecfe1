//! Where a command goes as a client, and how it is let in: the address of a room, the token, the keys,
//! and whose certificates it trusts.
//!
//! Not here: the connection (`wire`). Values and pure functions, but for reading certificates. Runs on
//! the main thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use http::{HeaderValue, Uri};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;

use crate::protocol::message::MessageId;
use crate::protocol::v1;

/// Which room, and by which right.
#[derive(Args, Debug)]
pub struct Visit {
    /// The room: `ws://HOST:PORT/ws/ROOM`, or `wss://…` over TLS. `?key=KEY` and `?token=TOKEN` may be
    /// in it.
    #[arg(value_name = "URL")]
    url: String,

    /// The token of a server that asks for one.
    #[arg(long, value_name = "TOKEN", env = "WSROOM_TOKEN", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    token: Option<String>,

    /// The key of a room that has one.
    #[arg(long, value_name = "KEY", env = "WSROOM_ROOM_KEY", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    key: Option<String>,

    /// The key of a user, whose name is then beside what is said. Without it a guest speaks.
    #[arg(long, value_name = "KEY", env = "WSROOM_USER_KEY", hide_env_values = true)]
    // A key may begin with a hyphen.
    #[arg(allow_hyphen_values = true)]
    user_key: Option<String>,

    /// With wss://: trust the certificates in this file (PEM), and no others; such as the server's own
    /// one, of --tls-self-signed. Without it those are trusted that the system trusts.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

/// What of the past is told.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Past {
    /// First all that was said behind this id, as far as the room keeps it; 0: all.
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    pub since: Option<MessageId>,

    /// First the newest N messages of the past.
    #[arg(long, value_name = "N")]
    pub last: Option<u32>,
}

impl Visit {
    /// The handshake of one connection of this session (wsroom.v1, *The handshake*).
    ///
    /// # Errors
    /// A sentence: the address or a key cannot be used.
    pub fn request(&self, session: &str, past: Past) -> Result<Request, String> {
        let mut options = vec![("session", session.to_owned())];
        options.extend(past.since.map(|id| ("since", id.to_string())));
        options.extend(past.last.map(|count| ("last", count.to_string())));
        options.extend(self.key.clone().map(|key| ("key", key)));
        // There is one Authorization field, and a user's key takes it.
        let (bearer, token) = match (&self.user_key, &self.token) {
            (Some(key), token) => (Some(("--user-key", key)), token.clone()),
            (None, token) => (token.as_ref().map(|token| ("--token", token)), None),
        };
        options.extend(token.map(|token| ("token", token)));
        let request = self.address(&options)?.into_client_request();
        let mut request = request.map_err(|error| format!("this address: {error}"))?;
        let fields = request.headers_mut();
        fields.insert("Sec-WebSocket-Protocol", HeaderValue::from_static(v1::NAME));
        if let Some((option, secret)) = bearer {
            let unusable = |_| format!("{option} ***: give it as the server gave it");
            let value = format!("Bearer {secret}").parse().map_err(unusable)?;
            fields.insert("Authorization", value);
        }
        Ok(request)
    }

    /// The address with these options in its query. No error shows the address: a token may be in it.
    fn address(&self, options: &[(&str, String)]) -> Result<Uri, String> {
        let url = self.url.split('#').next().unwrap_or_default();
        if !url.starts_with("ws://") && !url.starts_with("wss://") {
            return Err("the address begins with ws:// or wss://, such as \
                        ws://127.0.0.1:8080/ws/physics"
                .to_owned());
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut pairs: Vec<_> =
            query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
        let own =
            |pair: &String| ["session=", "since=", "last="].iter().any(|o| pair.starts_with(o));
        if pairs.iter().any(own) {
            return Err(
                "leave session, since and last out of the address: the session is made for \
                        each run, and --since and --last are options"
                    .to_owned(),
            );
        }
        for (name, value) in options {
            // The server's grammar of all of them: characters that a query can carry as they are.
            if value.bytes().any(|c| !c.is_ascii_alphanumeric() && !b"._~-".contains(&c)) {
                return Err(format!("--{name} ***: it has A-Z a-z 0-9 . _ ~ - alone"));
            }
            pairs.push(format!("{name}={value}"));
        }
        let uri = format!("{place}?{}", pairs.join("&")).parse();
        uri.map_err(|error| format!("this is no address: {error}"))
    }

    /// How TLS begins; `None` for `ws://`.
    ///
    /// # Errors
    /// A sentence: there are no certificates to trust.
    pub fn tls(&self) -> Result<Option<Arc<ClientConfig>>, String> {
        if !self.url.starts_with("wss://") {
            return match &self.tls_ca {
                Some(_) => Err("--tls-ca is for wss:// addresses".to_owned()),
                None => Ok(None),
            };
        }
        let roots = match &self.tls_ca {
            Some(file) => certificates_in(file)?,
            None => certificates_of_the_system()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        Ok(Some(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }
}

fn certificates_in(file: &Path) -> Result<RootCertStore, String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("--tls-ca {}: {error}; name a PEM file with certificates", file.display())
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() { Err(failed(&"no certificate is in it")) } else { Ok(roots) }
}

fn certificates_of_the_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // A few that cannot be read matter to nobody whose server needs others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this system trusts no certificates: name the server's own with --tls-ca FILE"
            .to_owned());
    }
    Ok(roots)
}
