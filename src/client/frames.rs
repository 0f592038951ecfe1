//! The frames of one experiment: a client of the echo that is told each frame that the server reads.
//!
//! tungstenite is given no byte behind the current frame. So when it asks for more, it has handled the
//! frame, and what it has written since is the answer. The report is put in front of that answer, and
//! both leave before anything of the next frame is read. So an experiment waits for no more memory
//! than any client of the echo: one report (3 KiB at most) and one answer.
//!
//! Not here: the words of a report (`protocol`). Runs on the client's own thread.

use crate::protocol::anatomy::Anatomy;
use crate::protocol::experiment::Report;

/// The frame that is being read.
#[derive(Default)]
pub struct Frames {
    current: Anatomy,
}

impl Frames {
    /// Returns how many of `bytes`, which come next, tungstenite may read now: those of the current
    /// frame. Before the first byte of the next frame, [`Frames::report`] must be called.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        self.current.take(bytes)
    }

    /// Puts a report in front of `answers`. It is about the current frame if that is whole. Else the
    /// server has sent something of its own accord within it, or nothing, and then nothing is told.
    pub fn report(&mut self, answers: &mut Vec<u8>) {
        if self.current.is_whole() {
            put(Some(&std::mem::take(&mut self.current)), answers);
        } else if !answers.is_empty() {
            put(None, answers);
        }
    }

    /// The same at the end of the connection, where a part of a frame is told too.
    pub fn report_last(&mut self, answers: &mut Vec<u8>) {
        if self.current.has_header() {
            put(Some(&std::mem::take(&mut self.current)), answers);
        } else {
            self.report(answers);
        }
    }
}

#[inline(never)] // Else the waiting thread would keep the stack for it.
fn put(received: Option<&Anatomy>, answers: &mut Vec<u8>) {
    let report = Report::of(received, answers).frame();
    answers.splice(..0, report);
}
