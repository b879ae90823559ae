//! The `byoi-builder` program.

use std::process::ExitCode;

use byoi_agent::cli::failure;
use byoi_agent::interrupt;
use byoi_builder::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    interrupt::install()
        .map_err(anyhow::Error::from)
        .and_then(|()| cli.run())
        .unwrap_or_else(|error| failure("byoi-builder", &error))
}
