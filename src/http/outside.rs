//! A request as its client sent it, in front of the proxies that passed it on.
//!
//! Anyone can send `Forwarded` and `X-Forwarded-*`. They are believed from peers in
//! `--trusted-proxy` alone; and of what such a proxy sends only its own part, because it appends
//! that to what its client sent. A trusted proxy that cannot be understood is answered with a 400:
//! if its words were ignored, all its clients would be one to every limit, and nobody would know.
//!
//! Not here: the grammar of these fields (`forwarded`). Pure functions, on the connection's thread.

use std::net::IpAddr;

use http::uri::Authority;
use ipnet::IpNet;

use super::forwarded::{self, Hop, Node};
use super::request::Request;
use super::response::Response;
use crate::api::cookies::Cookies;
use crate::api::invitation::BaseUrl;

/// The older fields: whom a request came from, and how.
const FOR: &str = "X-Forwarded-For";
const PROTO: &str = "X-Forwarded-Proto";
const HOST: &str = "X-Forwarded-Host";

/// `--trusted-proxy`.
pub struct TrustedProxies(Vec<IpNet>);

/// How a client sees this server, through trusted proxies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outside {
    /// The client's address.
    pub client: IpAddr,
    /// The scheme of its URLs, `http` or `https`; `None` if no proxy tells it.
    pub scheme: Option<&'static str>,
    /// Host and port in its URLs; `None` if no proxy tells them.
    pub host: Option<String>,
    /// The beginning of its paths, which a proxy has taken away, such as `/chat`; empty if none.
    pub prefix: String,
}

/// The cookies for the client that sends this request. Without a trusted proxy their names have this
/// server's own port, whatever the client writes.
pub fn cookies(request: &Request, own: BaseUrl) -> Cookies {
    let Some(outside) = &request.outside else {
        return Cookies::new(own.scheme, own.address.port(), "");
    };
    let scheme = outside.scheme.unwrap_or(own.scheme);
    let authority = request.host.parse::<Authority>().ok();
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = authority.and_then(|authority| authority.port_u16()).unwrap_or(usual);
    Cookies::new(scheme, port, &outside.prefix)
}

impl TrustedProxies {
    /// The proxies in these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.to_vec())
    }

    /// Whether a trusted proxy has this address.
    pub fn contain(&self, address: IpAddr) -> bool {
        // A socket for IPv6 and IPv4 gives an IPv4 peer as `::ffff:192.0.2.1`.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// How the client behind `peer` sees this server. `None` if `peer` is no trusted proxy, or tells
    /// of no client: then it is the client.
    ///
    /// # Errors
    /// The response to a trusted proxy that cannot be understood.
    pub fn outside_of(&self, peer: IpAddr, request: &Request) -> Result<Option<Outside>, Response> {
        if !self.contain(peer) {
            return Ok(None);
        }
        let tells = |name: &str| request.values(name).next().is_some();
        let prefix = only(request, "X-Forwarded-Prefix", forwarded::prefix)?;
        let (client, hop) = match (tells("Forwarded"), [FOR, PROTO, HOST].into_iter().any(tells)) {
            // A proxy that writes one of them passes on what its client says in the other.
            (true, true) => {
                let sentence = "Forwarded and X-Forwarded-* may contradict each other: the proxy \
                                must remove one of them.";
                return Err(Response::refusal(400, sentence));
            }
            (true, false) => self.told_in_one_field(peer, request)?,
            (false, true) => self.told_in_many_fields(peer, request)?,
            (false, false) if prefix.is_none() => return Ok(None),
            (false, false) => (peer, Hop::default()),
        };
        let Hop { scheme, host, .. } = hop;
        Ok(Some(Outside { client, scheme, host, prefix: prefix.unwrap_or_default() }))
    }

    /// In `Forwarded` each proxy has appended an element.
    fn told_in_one_field(
        &self,
        peer: IpAddr,
        request: &Request,
    ) -> Result<(IpAddr, Hop), Response> {
        const NAME: &str = "Forwarded";
        let hops = forwarded::hops(&all(request, NAME)?).ok_or_else(|| unreadable(NAME))?;
        let hidden = || "unknown".to_owned();
        let from: Vec<_> = hops.iter().map(|hop| hop.from.clone().unwrap_or_else(hidden)).collect();
        let from = from.iter().map(String::as_str);
        let (client, number) = self.client(peer, from).ok_or_else(|| unreadable(NAME))?;
        Ok((client, hops.get(number).cloned().unwrap_or_default()))
    }

    /// In `X-Forwarded-For` each proxy has appended an address. The other fields have one value: the
    /// outermost proxy has set it, and those behind it have passed it on.
    fn told_in_many_fields(
        &self,
        peer: IpAddr,
        request: &Request,
    ) -> Result<(IpAddr, Hop), Response> {
        let from = all(request, FOR)?;
        let from: Vec<_> = from.split(',').map(str::trim).filter(|from| !from.is_empty()).collect();
        let (client, _) = self.client(peer, from.into_iter()).ok_or_else(|| unreadable(FOR))?;
        let scheme = only(request, PROTO, forwarded::scheme)?;
        let host = only(request, HOST, forwarded::host)?;
        Ok((client, Hop { from: None, scheme, host }))
    }

    /// Who is behind all trusted proxies, and the number of the hop that tells of them: the last one
    /// that came from no trusted proxy. The hops before it were told by nobody who is trusted.
    /// `None` if a hop cannot be read.
    fn client<'a>(
        &self,
        peer: IpAddr,
        from: impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator,
    ) -> Option<(IpAddr, usize)> {
        let mut nearest = peer;
        for (number, from) in from.enumerate().rev() {
            match forwarded::node(from)? {
                Node::Address(address) if self.contain(address) => nearest = address,
                Node::Address(address) => return Some((address, number)),
                Node::Hidden => return Some((nearest, number)),
            }
        }
        Some((nearest, 0))
    }
}

/// All values of a field in one list.
fn all(request: &Request, name: &'static str) -> Result<String, Response> {
    let values: Result<Vec<_>, _> = request.values(name).map(str::from_utf8).collect();
    values.map(|values| values.join(", ")).map_err(|_| unreadable(name))
}

/// The value of a field that occurs once; `None` if it is not there, or is empty.
fn only<T>(
    request: &Request,
    name: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Response> {
    if request.values(name).all(<[u8]>::is_empty) {
        return Ok(None);
    }
    let value = request.value(name).and_then(read);
    value.map(Some).ok_or_else(|| unreadable(name))
}

fn unreadable(name: &str) -> Response {
    Response::refusal(400, &format!("The proxy tells of its client in a {name} that is malformed."))
}
