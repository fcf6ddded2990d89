//! `reseal`: everything that is sealed in a store gets another key, while no relay runs on it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use relay_server::store::Store;
use relay_server::store::records::Actor;
use relay_server::vault::{KeySource, SealKey, reseal};

use super::{Failure, StoreArgs};

#[derive(Debug, Args)]
pub(super) struct ResealArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// File with the key that has sealed it so far; or RELAY_SECRETS_KEY [default: DIR.key, beside the store]
    #[arg(long, value_name = "FILE", env = "RELAY_SERVER_SECRETS_KEY_FILE")]
    secrets_key_file: Option<PathBuf>,
    /// File with the key that is to seal it; made if there is none
    #[arg(long, value_name = "FILE")]
    new_secrets_key_file: PathBuf,
}

/// Seals everything anew, and then writes the store anew, so that nothing is left that the old key opens.
pub(super) async fn run(args: ResealArgs) -> Result<(), Failure> {
    let (data, file) = (&args.store.data, &args.new_secrets_key_file);
    let store = Store::open(data)?;
    let source = match (args.secrets_key_file, std::env::var("RELAY_SECRETS_KEY")) {
        (Some(file), _) => KeySource::File(file),
        (None, Ok(text)) => KeySource::Text(text.into()),
        (None, Err(_)) => KeySource::Beside,
    };
    let (old, told) = (source.read(data)?, source.told(data));
    SealKey::make(file)?;
    let new = SealKey::read(file)?;
    let by = Actor::program("relay-server reseal");
    let all = reseal(&store, old.as_ref(), &told, &new, by).await?;
    let (shown, file) = (data.display(), file.display());
    println!("{all} secrets in the store in {shown} are sealed with the key in {file} now.");
    println!(
        "Start the relay with it: --secrets-key-file {file}, or put it in the place of {told}."
    );
    println!("Backups that were made before open with the old key only.");
    let anew = store.write_anew().await.context(
        "the store could not be written anew, so that it may still hold what the old key opens; \
         give it room, and do this again with the new key as the old one",
    );
    Ok(anew?)
}
