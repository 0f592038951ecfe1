//! Where clients connect to, and what they speak there: plain, or TLS. Several servers share the
//! clients out among them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use super::credentials;
use crate::relay::clients::session::Session;

#[derive(Clone)]
pub struct Destination {
    pub address: SocketAddr,
    /// The other servers.
    pub others: Vec<SocketAddr>,
    /// What every handshake begins with; `None` where no TLS is spoken.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Destination {
    /// The same for one client: each server in turn has one.
    pub fn for_client(&self, place: usize) -> Self {
        let place = place % (1 + self.others.len());
        let other = place.checked_sub(1).map(|place| self.others[place]);
        let address = other.unwrap_or(self.address);
        Self { address, others: Vec::new(), tls: self.tls.clone() }
    }

    /// The same, for clients that come again and again.
    pub fn resuming(&self) -> Self {
        Self { tls: self.tls.as_deref().map(credentials::resuming), ..self.clone() }
    }

    /// A new client's TLS, if it is to speak it.
    pub fn session(&self) -> io::Result<Option<Box<Session>>> {
        let session = |tls: &Arc<_>| Session::new(Arc::clone(tls), self.address.ip());
        self.tls.as_ref().map(|tls| session(tls).map(Box::new)).transpose()
    }
}
