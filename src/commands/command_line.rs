//! The whole command line: the options of the server, or a command with its own.
//!
//! Not here: the options themselves (`options`), and what a command does (its own file). Runs on the main
//! thread, once.

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::backup::{self, Backup};
use super::check;
use super::export::{self, Export};
use super::import::{self, Import};
use super::pipe::{self, Pipe};
use super::play::{self, Play};
use super::record::{self, Record};
use crate::options::Options;

/// A small WebSocket broadcast server: open the page it prints, and everyone on it hears
/// everyone else.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    /// What to do; `None`: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub options: Options,
}

/// The commands. A new one has its own file in this folder, and a line in [`Command::run`].
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this host can hold, and whether a server with these options could start on it. Nothing is
    /// changed.
    Check(Box<Options>),
    /// Connect standard input and output to a room: each line is a message.
    Pipe(Pipe),
    /// Write down what is said in a room, until Ctrl-C.
    Record(Record),
    /// Say again what was recorded.
    Play(Play),
    /// Copy a data file, while the server writes to it, and check the copy.
    Backup(Backup),
    /// Print a data file as JSON Lines.
    Export(Export),
    /// Make a new data file of what `export --for-import` has written, from standard input.
    Import(Import),
}

impl CommandLine {
    /// Reads the command line and the environment; the command line wins.
    ///
    /// # Errors
    /// clap's message for the person who typed the command; `--help` and `--version` are errors
    /// too.
    pub fn read() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        let mut line = Self::from_arg_matches(&matches)?;
        line.options.settle(&matches);
        Ok(line)
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// A sentence for standard error; the exit status is then 1.
    pub fn run(&self) -> Result<(), String> {
        match self {
            Self::Check(options) => check::run(options),
            Self::Pipe(options) => pipe::run(options),
            Self::Record(options) => record::run(options),
            Self::Play(options) => play::run(options),
            Self::Backup(options) => backup::run(options),
            Self::Export(options) => export::run(options),
            Self::Import(options) => import::run(options),
        }
    }
}
