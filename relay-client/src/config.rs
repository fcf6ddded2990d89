//! The file of `relay-client run`: which relay, which token, which endpoints go to which targets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use relay_protocol::hello::Subscription;
use relay_protocol::id::Name;
use relay_trust::Profiles;
use serde::Deserialize;

use crate::agent::{Route, TokenSource};
use crate::dial::RelayUrl;
use crate::duration;
use crate::socket::Trust;
use crate::target::{HttpTarget, Options};
use crate::verify::{Table, Verifier, profiles};
use crate::way::{ProxyUrl, WaySettings};

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    relay: Option<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    proxy: Option<ProxyUrl>,
    proxy_auth_file: Option<PathBuf>,
    max_in_flight: Option<u32>,
    profiles: Option<PathBuf>,
    #[serde(default)]
    endpoint: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    target: String,
    group: Option<String>,
    #[serde(default)]
    tap: bool,
    max_backlog: Option<u64>,
    skip_older_than: Option<String>,
    #[serde(default)]
    preserve_host: bool,
    timeout_s: Option<u64>,
    verify: Option<Table>,
    connect_timeout_s: Option<u64>,
}

/// What the file says, checked.
pub struct RunConfig {
    /// The relay, if the file names one.
    pub relay: Option<RelayUrl>,
    /// The token, if the file names one.
    pub token: Option<TokenSource>,
    /// The way out: what the command line says, and where that says nothing, the file.
    pub out: WaySettings,
    /// Whom to trust.
    pub trust: Trust,
    /// The most requests at a time on one line.
    pub max_in_flight: Option<u32>,
    /// What to serve.
    pub routes: Vec<Route>,
}

/// Reads the file; relative paths in it are relative to it. What the command line says of the way `out` comes first.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub fn read(path: &Path, out: WaySettings) -> Result<RunConfig, String> {
    let at = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| at(e.to_string()))?;
    let file: File = toml::from_str(&text).map_err(|e| unreadable(path, &text, &e))?;
    let beside =
        |given: &PathBuf| path.parent().map_or_else(|| given.clone(), |folder| folder.join(given));
    let mut problems = Vec::new();
    let out = out.or(WaySettings {
        ca_file: file.ca_file.as_ref().map(beside),
        client_cert: file.client_cert.as_ref().map(beside),
        client_key: file.client_key.as_ref().map(beside),
        proxy: file.proxy.clone(),
        proxy_auth_file: file.proxy_auth_file.as_ref().map(beside),
    });
    let trust = out.trust().map_err(at)?;
    let relay = file.relay.as_deref().map(str::parse).transpose();
    let relay = relay.unwrap_or_else(|e: crate::dial::BadRelayUrl| {
        problems.push(format!("relay: {e}"));
        None
    });
    let profiles = profiles(file.profiles.as_ref().map(beside).as_deref());
    let profiles = profiles.map_err(|why| at(format!("profiles: {why}")))?;
    let mut routes = Vec::new();
    for (place, entry) in file.endpoint.iter().enumerate() {
        let route =
            entry.verifier(&profiles, beside).and_then(|verifier| entry.route(&trust, verifier));
        match route {
            Ok(route) => routes.push(route),
            Err(why) => problems.push(format!("endpoint {}: {why}", place + 1)),
        }
    }
    if file.endpoint.is_empty() {
        problems.push("there is no [[endpoint]] in it".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems.into_iter().map(at).collect::<Vec<_>>().join("\n"));
    }
    let token = file.token_file.as_ref().map(|given| TokenSource::File(beside(given)));
    Ok(RunConfig { relay, token, out, trust, max_in_flight: file.max_in_flight, routes })
}

/// Says where a file cannot be read, and why; never what stands there, which may be a secret.
fn unreadable(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    format!("{}:{line}: {}", path.display(), error.message())
}

impl Entry {
    fn verifier(
        &self,
        profiles: &Profiles,
        beside: impl Fn(&PathBuf) -> PathBuf,
    ) -> Result<Option<Verifier>, String> {
        let Some(table) = &self.verify else { return Ok(None) };
        let wanted = table.wanted(|file| beside(&file.to_path_buf()));
        Verifier::new(profiles, wanted).map(Some).map_err(|why| format!("verify: {why}"))
    }

    fn route(&self, trust: &Trust, verifier: Option<Verifier>) -> Result<Route, String> {
        let endpoint: Name =
            self.name.parse().map_err(|e: relay_protocol::id::NotAName| e.to_string())?;
        let group = self.group.as_deref().map_or(Ok(Name::main()), str::parse);
        let group = group.map_err(|e: relay_protocol::id::NotAName| format!("group: {e}"))?;
        if self.tap
            && (self.group.is_some()
                || self.max_backlog.is_some()
                || self.skip_older_than.is_some())
        {
            return Err("a tap sees live events only: it has no group, no max_backlog and no skip_older_than".into());
        }
        let skip_older_than = self.skip_older_than.as_deref().map(duration::parse).transpose();
        let skip_older_than = skip_older_than.map_err(|e| format!("skip_older_than: {e}"))?;
        let defaults = Options::default();
        let options = Options {
            preserve_host: self.preserve_host,
            connect_timeout: self
                .connect_timeout_s
                .map_or(defaults.connect_timeout, Duration::from_secs),
            answer_timeout: self.timeout_s.map_or(defaults.answer_timeout, Duration::from_secs),
        };
        let target =
            HttpTarget::new(&self.target, trust.clone(), options).map_err(|e| e.to_string())?;
        let subscription = Subscription {
            endpoint,
            group,
            tap: self.tap,
            max_backlog: self.max_backlog,
            skip_older_than_ms: skip_older_than.map(duration::milliseconds),
        };
        Ok(Route { subscription, target: Arc::new(target), verifier: verifier.map(Arc::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<RunConfig, String> {
        let path = std::env::temp_dir().join(format!("relay-agent-{:x}.toml", fastrand::u64(..)));
        std::fs::write(&path, text).unwrap();
        let config = read(&path, WaySettings::default());
        std::fs::remove_file(&path).unwrap();
        config
    }

    #[test]
    fn several_endpoints_go_to_several_targets() {
        let config = read_text(
            "relay = 'https://r.example'\ntoken_file = 'agent.token'\n\
             [[endpoint]]\nname = 'a'\ntarget = '3000'\n[[endpoint]]\nname = 'b'\ntarget = 'unix:/run/b.sock'\n",
        )
        .unwrap();
        assert_eq!(config.routes.len(), 2);
        assert!(matches!(config.token, Some(TokenSource::File(path)) if path.is_absolute()));
    }

    #[test]
    fn an_endpoint_may_be_tapped_or_its_backlog_bounded() {
        let config = read_text(
            "[[endpoint]]\nname = 'a'\ntarget = '1'\ntap = true\n\
             [[endpoint]]\nname = 'b'\ntarget = '2'\nmax_backlog = 7\nskip_older_than = '5m'\n",
        )
        .unwrap();
        let [tap, bounded] =
            [&config.routes[0], &config.routes[1]].map(|route| &route.subscription);
        assert!(tap.tap && !bounded.tap);
        assert_eq!((bounded.max_backlog, bounded.skip_older_than_ms), (Some(7), Some(300_000)));
        for bad in ["tap = true\ngroup = 'g'", "skip_older_than = '5'"] {
            let text = format!("[[endpoint]]\nname = 'a'\ntarget = '1'\n{bad}\n");
            assert!(read_text(&text).err().unwrap().contains("endpoint 1: "), "{bad}");
        }
    }

    #[test]
    fn every_wrong_entry_is_told() {
        let told = read_text(
            "relay = 'x'\n[[endpoint]]\nname = 'A'\ntarget = '3000'\n[[endpoint]]\nname = 'b'\ntarget = 'ftp://x'\n",
        );
        let told = told.err().unwrap();
        assert!(
            told.contains("relay:") && told.contains("endpoint 1:") && told.contains("endpoint 2:"),
            "{told}"
        );
        assert!(read_text("").err().unwrap().contains("no [[endpoint]]"));
        assert!(read_text("colour = 1").err().unwrap().contains("colour"));
    }
}
