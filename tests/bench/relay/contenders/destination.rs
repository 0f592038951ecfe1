//! Where clients connect to, and what they speak there: plain, or TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::relay::clients::session::Session;

#[derive(Clone)]
pub struct Destination {
    pub address: SocketAddr,
    /// What every handshake begins with; `None` where no TLS is spoken.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Destination {
    /// A new client's TLS, if it is to speak it.
    pub fn session(&self) -> io::Result<Option<Box<Session>>> {
        let session = |tls: &Arc<_>| Session::new(Arc::clone(tls), self.address.ip());
        self.tls.as_ref().map(|tls| session(tls).map(Box::new)).transpose()
    }
}
