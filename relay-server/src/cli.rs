//! The command line: what it takes, and what each command does with it.

mod reseal;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use relay_client::{open_files, scheduling, small_pages};
use relay_server::access::new_token;
use relay_server::config::{Problems, gather};
use relay_server::store::records::{Actor, Scope};
use relay_server::store::{OpenError, Store, upkeep};
use relay_server::vault::{HOW_TO, SealKey, beside};
use relay_server::workers::runtime;
use relay_server::{Config, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::demo::DemoArgs;
use reseal::ResealArgs;
use tls::TlsArgs;

/// Below this many files that may be open, a relay says so when it starts: 500 agents have a thousand lines.
const FILES_FEW: u64 = 4096;

/// A self-hosted webhook relay for receivers behind a firewall.
#[derive(Debug, Parser)]
#[command(name = "relay-server", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the store and print the first admin token, alone on a line
    Init {
        #[command(flatten)]
        store: StoreArgs,
        /// File for the key that seals secrets, made if there is none [default: DIR.key, beside the store]
        #[arg(long, value_name = "FILE", env = "RELAY_SERVER_SECRETS_KEY_FILE")]
        secrets_key_file: Option<PathBuf>,
    },
    /// Make another admin token while the relay is stopped, and print it alone on a line
    AdminToken(StoreArgs),
    /// Serve webhooks and agents
    Serve(Box<ServeArgs>),
    /// Show it all in one process: a relay, an agent, a receiver, and a signed webhook sent through
    Demo(DemoArgs),
    /// Copy the whole store into one file, also while the relay runs
    Backup {
        /// The file, which must not be there yet
        file: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Make a store from a backup, where there is none
    Restore {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Look over the whole store and tell every damage; fails if there is any
    Check(StoreArgs),
    /// Seal all secrets in the store anew with another key, while the relay is stopped
    Reseal(ResealArgs),
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR", default_value = "relay-data")]
    data: PathBuf,
}

/// Every setting also has an environment variable, RELAY_SERVER_<NAME>, and a place in the file
#[derive(Debug, Args)]
struct ServeArgs {
    /// File with settings (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the store [default: relay-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Address and port to listen on; port 0 takes any [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// How the outside reaches the relay, if not at the listen address
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Domain whose subdomains are endpoint keys
    #[arg(long, value_name = "DOMAIN")]
    hooks_domain: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
    /// File with the key that seals secrets; the key itself may stand in RELAY_SECRETS_KEY [default: DIR.key, beside the
    /// store]
    #[arg(long, value_name = "FILE")]
    secrets_key_file: Option<String>,
    /// Any other setting
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Usage(Problems),
    Failed(anyhow::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problems) => write!(f, "the settings are not sound:\n{problems}"),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Self::Usage(_)) { 2 } else { 1 })
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Init { store, secrets_key_file } => {
                runtime()?.block_on(init(store, secrets_key_file))
            }
            Command::AdminToken(args) => runtime()?.block_on(admin_token(args)),
            Command::Backup { file, store } => Ok(upkeep::backup(&store.data, &file)?),
            Command::Restore { file, store } => Ok(upkeep::restore(&file, &store.data)?),
            Command::Check(args) => check(&args),
            Command::Reseal(args) => runtime()?.block_on(reseal::run(args)),
            Command::Serve(args) => {
                crate::telemetry::init("info");
                let config = args.config()?;
                take_open_files();
                scheduling::wait_for_turns();
                small_pages::keep();
                runtime()?.block_on(serve(config))
            }
            Command::Demo(args) => {
                crate::telemetry::init("warn");
                runtime()?.block_on(demo(args))
            }
        }
    }
}

impl ServeArgs {
    fn config(self) -> Result<Config, Failure> {
        let named = [
            ("data", self.data),
            ("listen", self.listen),
            ("public_url", self.public_url),
            ("hooks_domain", self.hooks_domain),
            ("secrets_key_file", self.secrets_key_file),
        ];
        let mut flags: BTreeMap<&'static str, String> =
            named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        flags.extend(self.tls.given());
        let environment = |name: &str| std::env::var(name).ok();
        let given = gather(self.config.as_deref(), environment, &flags).set(&self.set);
        Config::read(given).map_err(Failure::Usage)
    }
}

/// Takes every open file that there is to have: each caller and each agent's line needs one.
fn take_open_files() {
    let files = open_files::take_all().unwrap_or(u64::MAX);
    if files < FILES_FEW {
        tracing::warn!(
            files,
            "few files may be open, one for each agent's line and each caller: raise the limit (LimitNOFILE=, ulimit -n)"
        );
    }
}

async fn init(args: StoreArgs, key_file: Option<PathBuf>) -> Result<(), Failure> {
    let store = Store::init(&args.data)?;
    print_admin_token(&store, "relay-server init").await?;
    let token = match std::io::stdout().is_terminal() {
        true => "The token above may do everything; keep it safe.",
        false => {
            "The token has gone to where stdout goes. It may do everything; let nobody else read it."
        }
    };
    eprintln!("The store is in {}. {token}", args.data.display());
    eprintln!("{}", secrets_key(&args.data, key_file.as_deref()));
    eprintln!("Now: relay-server serve --data {}", args.data.display());
    Ok(())
}

/// Makes the key that seals secrets, and says where it is; a store without one serves as well.
fn secrets_key(data: &Path, file: Option<&Path>) -> String {
    if file.is_none() && std::env::var_os("RELAY_SECRETS_KEY").is_some() {
        return "Secrets are sealed with the key in RELAY_SECRETS_KEY.".to_owned();
    }
    let path = file.map_or_else(|| beside(data), Path::to_path_buf);
    match SealKey::make(&path) {
        Ok(()) => format!(
            "Secrets are sealed with the key in {}, without which nobody reads them, you included: keep a copy of it.",
            path.display()
        ),
        Err(error) => format!("No key for secrets was made ({error}). To keep secrets, {HOW_TO}."),
    }
}

async fn admin_token(args: StoreArgs) -> Result<(), Failure> {
    print_admin_token(&Store::open(&args.data)?, "relay-server admin-token").await
}

fn check(args: &StoreArgs) -> Result<(), Failure> {
    let report = upkeep::check(&args.data)?;
    for damage in &report.damages {
        println!("{damage}");
    }
    match report.damages.len() {
        0 => println!("The store in {} is sound: {} events.", args.data.display(), report.events),
        n => return Err(Failure::Failed(anyhow::anyhow!("{n} damages"))),
    }
    Ok(())
}

async fn print_admin_token(store: &Store, program: &str) -> Result<(), Failure> {
    let (text, token) = new_token(vec![Scope::Admin], None, None);
    store.create_token(token, Actor::program(program)).await?;
    println!("{text}");
    Ok(())
}

async fn serve(config: Config) -> Result<(), Failure> {
    let data = config.data.clone();
    let server = match Server::bind(config).await {
        Ok(server) => server,
        Err(error) => match error.downcast::<OpenError>() {
            Ok(missing) => return Err(missing.into()),
            Err(error) => return Err(Failure::Failed(error)),
        },
    };
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    // Before anybody is told that it is ready: who stops it right then stops it in order.
    tokio::spawn(signals(stop.clone(), hurry.clone())?);
    announce(&server, &data)?;
    server.run(stop, hurry).await?;
    Ok(())
}

async fn demo(args: DemoArgs) -> Result<(), Failure> {
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    tokio::spawn(signals(stop.clone(), hurry.clone())?);
    Ok(crate::demo::run(args, stop, hurry).await?)
}

/// Says that requests are accepted: for programs one JSON line, for people what to do next.
fn announce(server: &Server, data: &std::path::Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let url = server.url();
    if out.is_terminal() {
        writeln!(out, "The relay serves at {url} (listening on {})\n", server.address())?;
        writeln!(
            out,
            "Make an endpoint and a token for its agent, with the admin token that init printed:\n"
        )?;
        writeln!(out, "  export RELAY_URL={url} RELAY_TOKEN_FILE=admin.token")?;
        writeln!(out, "  relay-client endpoints create my-app")?;
        writeln!(out, "  relay-client tokens create --endpoint my-app > my-app.token\n")?;
        writeln!(out, "and, where the receiver runs:\n")?;
        writeln!(
            out,
            "  relay-client --relay {url} --token-file my-app.token forward http://localhost:3000 --endpoint my-app\n"
        )?;
        writeln!(
            out,
            "The store is in {}. Ctrl-C stops the relay in order; twice stops it at once.",
            data.display()
        )?;
    } else {
        let listening = server.near_url();
        let mut ready = serde_json::json!({"event": "ready", "url": listening, "public_url": url});
        if let Some(address) = server.lobby_address() {
            ready["http_url"] = format!("http://{address}").into();
        }
        writeln!(out, "{ready}")?;
    }
    out.flush()
}

/// The first SIGTERM or SIGINT stops in order, the second at once. They are heard as soon as this has returned.
fn signals(
    stop: CancellationToken,
    hurry: CancellationToken,
) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for token in [stop, hurry] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    })
}
