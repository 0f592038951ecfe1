//! The input of a command that talks: lines, of which none can fill the memory.
//!
//! Not here: what a line says (`event`). The thread `input` reads.

use std::io::{self, BufRead, Read};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::event::{Input, Say, complain};
use crate::protocol::v1::{MAX_ENVELOPE_BYTES, MAX_ESCAPE_BYTES};

/// The most bytes of a line with an event whose text may have `limit` bytes.
pub fn longest_event(limit: usize) -> usize {
    limit.saturating_mul(MAX_ESCAPE_BYTES) + MAX_ENVELOPE_BYTES
}

/// Starts the thread that reads. A line has `most` bytes, and `say` makes something to say of it, or
/// nothing. The channel has room for one: what is not taken is not read.
pub fn start(
    mut from: impl BufRead + Send + 'static,
    most: usize,
    mut say: impl FnMut(Vec<u8>, usize) -> Result<Option<Say>, String> + Send + 'static,
) -> Receiver<Input> {
    let (lines, input) = bounded(1);
    let read = move || {
        if let Err(error) = read_all(&mut from, most, &mut say, &lines) {
            let _ = lines.send(Input::Bad(format!("the input cannot be read: {error}")));
        }
    };
    // Without the thread the channel is closed, as if the input were empty.
    if let Err(error) = thread::Builder::new().name("input".to_owned()).spawn(read) {
        complain(&format!("the input cannot be read: {error}"));
    }
    input
}

fn read_all(
    from: &mut impl BufRead,
    most: usize,
    say: &mut impl FnMut(Vec<u8>, usize) -> Result<Option<Say>, String>,
    lines: &Sender<Input>,
) -> io::Result<()> {
    let mut number = 0;
    while let Some(line) = next_line(from, most)? {
        number += 1;
        let said = match line {
            Some(line) => say(line, number),
            None => Err(format!("it has more than {most} bytes")),
        };
        let input = match said {
            Ok(Some(say)) => Input::Say(say),
            Ok(None) => continue,
            Err(why) => Input::Bad(format!("line {number} is not said: {why}")),
        };
        if lines.send(input).is_err() {
            break;
        }
    }
    Ok(())
}

/// The next line, without its end; `Some(None)`: it is too long, and was skipped. No more than `most`
/// is held in memory.
fn next_line(from: &mut impl BufRead, most: usize) -> io::Result<Option<Option<Vec<u8>>>> {
    let mut line = Vec::new();
    // Two more: for the end of the line.
    from.take(most as u64 + 2).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    } else {
        from.skip_until(b'\n')?;
    }
    Ok(Some(Some(line).filter(|line| line.len() <= most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut text: &[u8], most: usize) -> Vec<Option<String>> {
        let mut all = Vec::new();
        while let Some(line) = next_line(&mut text, most).unwrap() {
            all.push(line.map(|line| String::from_utf8(line).unwrap()));
        }
        all
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let line = |text: &str| Some(text.to_owned());
        assert_eq!(lines(b"", 4), []);
        assert_eq!(lines(b"\n", 4), [line("")]);
        assert_eq!(lines(b"four\r\nfour\nend", 4), [line("four"), line("four"), line("end")]);
        assert_eq!(lines(b"fives\nfour\n", 4), [None, line("four")]);
        assert_eq!(lines(b"a line without an end", 4), [None]);
        assert_eq!(lines("\u{e9}\nfour".as_bytes(), 4), [line("\u{e9}"), line("four")]);
    }
}
