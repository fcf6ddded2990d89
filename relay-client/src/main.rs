//! The program: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use relay_client::commands::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("relay-client: {failure}");
            failure.exit_code()
        }
    }
}
