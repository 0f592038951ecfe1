//! What a request to the API says: its fields, its parameters, its body, and who asks.
//!
//! The request is one that the door has written anew, so it is small, whole and well formed. Not
//! here: what it means (`routes` and on). Runs on the page's threads.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use tiny_http::Request;

use super::reply::{Reply, problem};

/// The field in which the door tells who asks. No client's own field of that name passes.
pub const PEER: &str = "Peer";

/// The value of a header field.
pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut fields = request.headers().iter();
    let found = fields.find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name));
    found.map(|header| header.value.as_str())
}

/// The media type of the body, in lower case and without parameters; empty if none is told.
pub fn media_type(request: &Request) -> String {
    let value = header(request, "Content-Type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The whole body.
///
/// # Errors
/// It was cut short.
pub fn body(request: &mut Request) -> Result<Vec<u8>, Reply> {
    let mut body = Vec::new();
    let read = request.as_reader().read_to_end(&mut body);
    read.map_err(|error| problem(400, &error.to_string()))?;
    Ok(body)
}

/// Who asks, as the door tells it.
pub fn peer(request: &Request) -> IpAddr {
    let address = header(request, PEER).and_then(|address| address.parse().ok());
    address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// The value of a parameter in a query, as it stands there.
pub fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// The whole number in a parameter, or `default` if there is no such parameter.
///
/// # Errors
/// It is no number.
pub fn number<N: FromStr>(url: &str, name: &str, default: N) -> Result<N, Reply> {
    parameter(url, name).map_or(Ok(default), |digits| {
        digits.parse().map_err(|_| problem(400, &format!("{name} is a whole number.")))
    })
}

/// The parameter `limit`, from 1 to `largest`.
///
/// # Errors
/// It is something else.
pub fn limit(url: &str, default: usize, largest: usize) -> Result<usize, Reply> {
    let limit = parameter(url, "limit").map_or(Some(default), |digits| digits.parse().ok());
    limit
        .filter(|limit| (1..=largest).contains(limit))
        .ok_or_else(|| problem(400, &format!("limit is a whole number from 1 to {largest}.")))
}
