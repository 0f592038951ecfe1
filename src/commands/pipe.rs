//! `wsroom pipe`: standard input and output are a member of a room.
//!
//! Each line of the input is said as a message, and each message of the room is a line of the output. Not
//! here: how nothing is lost (`member`). The main thread listens and prints; the thread `input` reads.

use std::io::{self, BufReader, IsTerminal, Write};

use clap::Args;

use super::event::{Event, Say, complain, for_terminal};
use super::lines;
use super::member::{End, Member, Part};
use super::visit::{Past, Visit};

/// The options of `pipe`.
#[derive(Args, Debug)]
pub struct Pipe {
    #[command(flatten)]
    visit: Visit,

    #[command(flatten)]
    past: Past,

    /// The output is the events of wsroom.v1, one JSON object in each line, and each line of the input
    /// is an event of a client. The bytes of binary messages are in base64.
    #[arg(long)]
    json: bool,

    /// Print own messages too.
    #[arg(long)]
    echo: bool,

    /// Go on listening when the input has ended, until Ctrl-C.
    #[arg(long)]
    stay: bool,
}

/// How lines are read and written.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    Texts,
    Events,
}

/// Joins the room, until the input has ended and all of it is kept.
///
/// # Errors
/// A sentence: the server does not let it in, or a line was not said.
pub fn run(pipe: &Pipe) -> Result<(), String> {
    let form = if pipe.json { Form::Events } else { Form::Texts };
    let end = if pipe.stay { End::BySignal } else { End::WithInput };
    let mut member = Member::new(&pipe.visit, pipe.past, end)?;
    let mut out = io::stdout();
    let mut start_reading = |limit| match form {
        Form::Texts => lines::start(BufReader::new(io::stdin()), limit, |line, number| {
            Say::text(line, number).map(Some)
        }),
        Form::Events => {
            let longest = lines::longest_event(limit);
            lines::start(BufReader::new(io::stdin()), longest, move |line, number| {
                Say::event(&line, number, limit).map(Some)
            })
        }
    };
    let mut listener = |event: &Event| {
        if event.is_own() && !pipe.echo { Ok(()) } else { print(&mut out, form, event) }
    };
    member.takes_part(Part { input: &mut start_reading, listener: &mut listener })
}

fn print(out: &mut impl PrintTo, form: Form, event: &Event) -> io::Result<()> {
    let mut line = match (form, event.kind()) {
        (Form::Events, _) => event.to_json(),
        (Form::Texts, "message") if out.is_terminal() => for_terminal(event.text("text")),
        (Form::Texts, "message") => event.text("text").to_owned(),
        (Form::Texts, "binary") => {
            let size = event.bytes.as_ref().map_or(0, tungstenite::Bytes::len);
            complain(&format!("{:?} of {size} bytes: --json shows it", event.text("name")));
            return Ok(());
        }
        _ => return Ok(()),
    };
    line.push('\n');
    // Somebody may wait for each line.
    out.write_all(line.as_bytes()).and_then(|()| out.flush())
}

/// Standard output, of which one asks whether somebody looks at it.
trait PrintTo: Write + IsTerminal {}
impl<T: Write + IsTerminal> PrintTo for T {}
