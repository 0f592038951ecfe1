//! The parts of a request to the API: its header fields, its parameters, its body, and its peer.
//!
//! The proxy has written each request anew, so it is small, whole and well formed. Not here: what a
//! request means (`routes` and the files behind it). Runs on the page's threads.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use tiny_http::Request;

use super::reply::{Reply, problem};

/// The header field in which the proxy names the client's IP address. A client's own field of that
/// name does not reach tiny_http.
pub const PEER: &str = "Peer";

/// The value of a header field; of the first one if there are more.
pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut fields = request.headers().iter();
    let found = fields.find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name));
    found.map(|header| header.value.as_str())
}

/// The media type of the body, in lower case and without parameters; empty if there is none.
pub fn media_type(request: &Request) -> String {
    let value = header(request, "Content-Type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The whole body.
///
/// # Errors
/// A 400: the body was cut short.
pub fn body(request: &mut Request) -> Result<Vec<u8>, Reply> {
    let mut body = Vec::new();
    let read = request.as_reader().read_to_end(&mut body);
    read.map_err(|error| problem(400, &error.to_string()))?;
    Ok(body)
}

/// The IP address of the client, from the field [`PEER`].
pub fn peer(request: &Request) -> IpAddr {
    let address = header(request, PEER).and_then(|address| address.parse().ok());
    address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// The value of a parameter in a query, not decoded; of the first one if there are more.
pub fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// The whole number in a parameter, or `default` if there is no such parameter.
///
/// # Errors
/// A 400: it is no whole number, or too large.
pub fn number<N: FromStr>(url: &str, name: &str, default: N) -> Result<N, Reply> {
    parameter(url, name).map_or(Ok(default), |digits| {
        digits.parse().map_err(|_| problem(400, &format!("{name} is a whole number.")))
    })
}

/// The parameter `limit`, from 1 to `largest`.
///
/// # Errors
/// A 400: it is no whole number in that range.
pub fn limit(url: &str, default: usize, largest: usize) -> Result<usize, Reply> {
    let limit = parameter(url, "limit").map_or(Some(default), |digits| digits.parse().ok());
    limit
        .filter(|limit| (1..=largest).contains(limit))
        .ok_or_else(|| problem(400, &format!("limit is a whole number from 1 to {largest}.")))
}
