//! The reason why a client left: in words for the log, and as a Close for the client.
//!
//! Not here: sending that Close (`reading`), and cutting off a client that reads nothing (`relay`).
//! Pure functions, on the client's own thread.

use std::io::ErrorKind;

use tungstenite::Error;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::net::connection::timed_out;

/// Explains in words why a client left, and gives the Close to send, if one is still due.
/// tungstenite itself sends no Close when a read fails (RFC 6455 §7.1.7, §7.4.1). `silent`: the
/// client has not answered a Ping.
pub fn explain(error: &Error, silent: bool) -> (String, Option<(CloseCode, &'static str)>) {
    let close = match error {
        Error::ConnectionClosed | Error::AlreadyClosed => return ("closed".into(), None),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            return ("gone without a Close".into(), None);
        }
        Error::Io(error) if silent && timed_out(error) => {
            (CloseCode::Policy, "nothing was heard from you within the idle timeout")
        }
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            (CloseCode::Policy, "a message in too many fragments")
        }
        Error::Io(error) => return (format!("gone: {error}"), None),
        Error::Utf8(_) => (CloseCode::Invalid, "a text message that is not UTF-8"),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            (CloseCode::Size, "a message larger than this server takes (--max-message-size)")
        }
        Error::Protocol(error) => (CloseCode::Protocol, violation(error)),
        _ => (CloseCode::Protocol, "not a WebSocket frame"),
    };
    (format!("Close {}: {}", u16::from(close.0), close.1), Some(close))
}

/// Names the rule of RFC 6455 that a client has broken.
fn violation(error: &ProtocolError) -> &'static str {
    match error {
        ProtocolError::NonZeroReservedBits => "a reserved bit is set (RFC 6455 section 5.2)",
        ProtocolError::InvalidOpcode(_) => "an unknown opcode (RFC 6455 section 5.2)",
        ProtocolError::UnmaskedFrameFromClient => "an unmasked frame (RFC 6455 section 5.1)",
        ProtocolError::FragmentedControlFrame => {
            "a fragmented control frame (RFC 6455 section 5.5)"
        }
        ProtocolError::ControlFrameTooBig => {
            "a control frame over 125 bytes (RFC 6455 section 5.5)"
        }
        ProtocolError::UnexpectedContinueFrame => {
            "a continuation of nothing (RFC 6455 section 5.4)"
        }
        ProtocolError::ExpectedFragment(_) => {
            "a new message inside a fragmented one (RFC 6455 section 5.4)"
        }
        ProtocolError::InvalidCloseSequence => "a Close with half a code (RFC 6455 section 5.5.1)",
        _ => "a violation of RFC 6455",
    }
}
