//! How others come here: the addresses of this host, and one of them as a code for phones.
//!
//! Not here: what is at those addresses (`page`). Called by the main thread for the terminal, and
//! by the page's threads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use qrcode::render::{svg, unicode};
use qrcode::{QrCode, types::QrError};
use serde_json::json;

use super::asked::parameter;
use super::reply::{Reply, json, problem};
use crate::protocol::address::RoomName;

/// The longest address that is made into a code, in bytes: what a camera still reads well.
const LONGEST: usize = 300;

/// Where the server is: the beginning of all of its addresses.
#[derive(Clone, Copy, Debug)]
pub struct BaseUrl {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// With the port that it got.
    pub address: SocketAddr,
}

impl BaseUrl {
    /// The pages under which it can be reached, the likeliest for others first.
    pub fn pages(&self) -> Vec<String> {
        let scheme = self.scheme;
        addresses(self.address).iter().map(|address| format!("{scheme}://{address}/")).collect()
    }

    /// For a terminal: the page for others, as a code; `None` if there is none.
    pub fn code(&self) -> Option<String> {
        let page = self.page_for_others()?;
        let code = QrCode::new(&page).ok()?;
        // Light on dark is what most terminals are, and every camera reads that way round too.
        let mut image = code.render::<unicode::Dense1x2>();
        Some(
            image.dark_color(unicode::Dense1x2::Light).light_color(unicode::Dense1x2::Dark).build(),
        )
    }

    fn page_for_others(&self) -> Option<String> {
        self.pages().into_iter().find(|page| !is_local(page))
    }

    /// `GET /invitation?page=&room=`: how to come to a room. `page` is where the asking page is, not
    /// percent-encoded: only it knows what is in front of the server. If that is on this very host,
    /// the address for others takes its place.
    pub fn invite(&self, url: &str) -> Result<Reply, Reply> {
        let page = parameter(url, "page").unwrap_or_default();
        let room = parameter(url, "room").and_then(RoomName::parse);
        let (true, Some(room)) = (is_page(page), room) else {
            return Err(problem(
                400,
                "page is the address of this page, and room the name of a room.",
            ));
        };
        let page = match self.page_for_others() {
            Some(other) if is_local(page) => other,
            _ => page.to_owned(),
        };
        let url = format!("{page}#{room}");
        let also: Vec<_> =
            self.pages().into_iter().filter(|other| *other != page && !is_local(other)).collect();
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
    url.len() <= LONGEST
        && uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
}

/// Whether an address leads nowhere but to the host that it is typed on.
fn is_local(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || ip.is_some_and(|ip| ip.is_loopback())
}

/// The addresses under which a listener on `address` can be reached: when it listens on all,
/// those of this host's interfaces, the ones for others first.
fn addresses(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let mut interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    // A link-local address needs a zone, and browsers take none.
    interfaces.retain(|interface| !interface.is_link_local());
    // `[::]` takes IPv4 too, `0.0.0.0` nothing else.
    interfaces.retain(|interface| address.is_ipv6() || interface.ip().is_ipv4());
    let way_out = way_out();
    interfaces.sort_by_key(|interface| {
        let ip = interface.ip();
        (interface.is_loopback(), Some(ip) != way_out, ip.is_ipv6())
    });
    interfaces.iter().map(|interface| SocketAddr::new(interface.ip(), address.port())).collect()
}

/// The address from which this host goes out: others in its network know it by that one, and not
/// by those of its containers. To connect UDP sends nothing; it only chooses a route.
fn way_out() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address for documentation (RFC 5737), which nobody has.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
