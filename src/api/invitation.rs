//! How others find this server: the addresses of this host, and one of them as a QR code.
//!
//! Not here: the page at these addresses (`files`). Called by the main thread for the terminal, and
//! by the page's threads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use qrcode::render::{svg, unicode};
use qrcode::{QrCode, types::QrError};
use serde_json::json;

use super::asked::parameter;
use super::reply::{Reply, json, problem};
use crate::protocol::address::RoomName;

/// The longest page address in a QR code, in bytes. A camera reads a longer one badly.
const MAX_PAGE_BYTES: usize = 300;

/// The beginning of all URLs of the server.
#[derive(Clone, Copy, Debug)]
pub struct BaseUrl {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The address on which it listens, with the port that the system gave it.
    pub address: SocketAddr,
}

impl BaseUrl {
    /// The URLs of the page. The one that works most probably from other hosts is first.
    pub fn pages(&self) -> Vec<String> {
        let scheme = self.scheme;
        addresses(self.address).iter().map(|address| format!("{scheme}://{address}/")).collect()
    }

    /// The page for other hosts as a QR code for a terminal; `None` if other hosts cannot reach it.
    pub fn code(&self) -> Option<String> {
        let page = self.page_for_others()?;
        let code = QrCode::new(&page).ok()?;
        // Most terminals show light text on a dark ground, and cameras read an inverted code too.
        let mut image = code.render::<unicode::Dense1x2>();
        Some(
            image.dark_color(unicode::Dense1x2::Light).light_color(unicode::Dense1x2::Dark).build(),
        )
    }

    fn page_for_others(&self) -> Option<String> {
        self.pages().into_iter().find(|page| !is_local(page))
    }

    /// `GET /invitation?page=&room=&key=`: the URL of a room, with its key if there is one, and its QR
    /// code. `page` is the address of
    /// the page that asks, not percent-encoded: only the page knows the address of a proxy in front
    /// of the server. If it is an address for this host alone, one for other hosts replaces it.
    ///
    /// # Errors
    /// A 400: a parameter is wrong, or the URL is too long for a QR code.
    pub fn invite(&self, url: &str) -> Result<Reply, Reply> {
        let page = parameter(url, "page").unwrap_or_default();
        let room = parameter(url, "room").and_then(RoomName::parse);
        let (true, Some(room)) = (is_page(page), room) else {
            return Err(problem(
                400,
                "page is the address of this page, and room the name of a room.",
            ));
        };
        // The query, if there is one, is this server's token; it belongs to each address.
        let (page, query) = page.split_at(page.find('?').unwrap_or(page.len()));
        let page = match self.page_for_others() {
            Some(other) if is_local(page) => other,
            _ => page.to_owned(),
        };
        let key = parameter(url, "key").map(|key| format!("?key={key}")).unwrap_or_default();
        let url = format!("{page}{query}#{room}{key}");
        let others = self.pages().into_iter().filter(|other| *other != page && !is_local(other));
        let also: Vec<_> = others.map(|other| other + query).collect();
        match svg(&url) {
            Ok(svg) => Ok(json(200, &json!({"url": url, "also": also, "svg": svg}))),
            Err(error) => {
                Err(problem(400, &format!("This address cannot be made into a code: {error}.")))
            }
        }
    }
}

fn svg(url: &str) -> Result<String, QrError> {
    Ok(QrCode::new(url)?.render::<svg::Color>().build())
}

fn is_page(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
    url.len() <= MAX_PAGE_BYTES
        && uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
}

/// Whether a URL leads to the host on which it is typed, whichever host that is.
fn is_local(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || ip.is_some_and(|ip| ip.is_loopback())
}

/// The addresses of a listener on `address`. If it listens on all interfaces, these are the
/// addresses of all interfaces; those for other hosts come first.
fn addresses(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let mut interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    // A link-local address needs a zone, and browsers do not accept zones.
    interfaces.retain(|interface| !interface.is_link_local());
    // `[::]` also accepts IPv4; `0.0.0.0` accepts only IPv4.
    interfaces.retain(|interface| address.is_ipv6() || interface.ip().is_ipv4());
    let outgoing = outgoing_address();
    interfaces.sort_by_key(|interface| {
        let ip = interface.ip();
        (interface.is_loopback(), Some(ip) != outgoing, ip.is_ipv6())
    });
    interfaces.iter().map(|interface| SocketAddr::new(interface.ip(), address.port())).collect()
}

/// The address of this host for connections to other hosts. Other hosts in its network can reach
/// that one, but not the addresses of its containers. A UDP `connect` sends nothing; it only
/// chooses a route.
fn outgoing_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address for documentation (RFC 5737), which no host has.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
