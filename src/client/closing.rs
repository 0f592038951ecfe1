//! The reason why a client left: in words for the log, and as a Close for the client.
//!
//! Not here: sending that Close (`reading`), and cutting off a client that reads nothing (`relay`).
//! Pure functions, on the client's own thread.

use std::io::ErrorKind;

use tungstenite::Error;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::net::connection::timed_out;
use crate::relay::events::Parting;

/// The end of a client.
pub struct Ending {
    /// Why, for the log.
    pub why: String,
    /// The Close to send, if one is still due.
    pub close: Option<(CloseCode, &'static str)>,
    /// How the client leaves, for the other members.
    pub parting: Parting,
}

/// The code of the Close for a client that was silent for too long. It may come back at once, so it
/// is not 1008 (RFC 6455 §7.4.2: 4000 to 4999 are for private use).
const SILENT: CloseCode = CloseCode::Library(4002);

/// Explains why a client left. tungstenite itself sends no Close when a read fails (RFC 6455 §7.1.7,
/// §7.4.1). `silent`: the client has not answered a Ping.
pub fn explain(error: &Error, silent: bool) -> Ending {
    let close = match error {
        Error::ConnectionClosed | Error::AlreadyClosed => {
            return Ending { why: "closed".into(), close: None, parting: Parting::Closed };
        }
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            return lost("gone without a Close".into(), None);
        }
        Error::Io(error) if silent && timed_out(error) => {
            let close = (SILENT, "nothing was heard from you within the idle timeout");
            return lost(in_words(close), Some(close));
        }
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            (CloseCode::Policy, "a message in too many fragments")
        }
        Error::Io(error) if error.kind() == ErrorKind::OutOfMemory => {
            (CloseCode::Again, "too many texts that JSON makes longer are here: try again later")
        }
        Error::Io(error) => return lost(format!("gone: {error}"), None),
        Error::Utf8(_) => (CloseCode::Invalid, "a text message that is not UTF-8"),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            (CloseCode::Size, "a message larger than this server takes (--max-message-size)")
        }
        Error::Protocol(error) => (CloseCode::Protocol, violation(error)),
        _ => (CloseCode::Protocol, "not a WebSocket frame"),
    };
    Ending { why: in_words(close), close: Some(close), parting: Parting::Closed }
}

fn lost(why: String, close: Option<(CloseCode, &'static str)>) -> Ending {
    Ending { why, close, parting: Parting::Lost }
}

fn in_words((code, reason): (CloseCode, &str)) -> String {
    format!("Close {}: {reason}", u16::from(code))
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
