//! Gathers what was given from a TOML file, the environment and flags; flags win. Knows names and places, no meanings.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::vault::KeySource;

/// One setting of the relay.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the file; the environment has it as `RELAY_SERVER_<NAME>`, flags with `-` for `_`.
    pub name: &'static str,
    /// Its default, as text; empty for none.
    pub default: &'static str,
    /// What it means, for help texts.
    pub help: &'static str,
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    Setting { name: "data", default: "relay-data", help: "Directory of the store" },
    Setting {
        name: "listen",
        default: "127.0.0.1:8080",
        help: "Address and port to listen on; port 0 takes any",
    },
    Setting {
        name: "secrets_key_file",
        default: "",
        help: "File with the key that seals secrets [default: DIR.key, beside the store]",
    },
    Setting {
        name: "profiles_file",
        default: "",
        help: "File with further providers, in the form of those that the relay knows",
    },
    Setting {
        name: "fetch_from",
        default: "",
        help: "HOST:PORT of a gateway that is asked for the certificates of providers, if they cannot be reached",
    },
    Setting {
        name: "fetch_ca_file",
        default: "",
        help: "File with further root certificates to trust when those are fetched (PEM)",
    },
    Setting {
        name: "public_url",
        default: "",
        help: "How the outside reaches the relay, if not at the listen address",
    },
    Setting {
        name: "hooks_domain",
        default: "",
        help: "Domain whose subdomains are endpoint keys",
    },
    Setting {
        name: "tls_cert",
        default: "",
        help: "Certificate with its chain (PEM); several for several names",
    },
    Setting { name: "tls_key", default: "", help: "Private key of the certificate (PEM)" },
    Setting {
        name: "http_listen",
        default: "",
        help: "Plain listener beside TLS: sends browsers on and answers ACME's challenges",
    },
    Setting {
        name: "acme_domain",
        default: "",
        help: "Names to get a certificate for from an ACME server, whose terms are agreed to by this",
    },
    Setting { name: "acme_email", default: "", help: "Whom the ACME server may write to" },
    Setting {
        name: "acme_directory",
        default: "https://acme-v02.api.letsencrypt.org/directory",
        help: "The ACME server's directory",
    },
    Setting {
        name: "acme_ca_file",
        default: "",
        help: "Authority (PEM) to trust at the ACME server, beside the system's",
    },
    Setting {
        name: "acme_retry",
        default: "2m",
        help: "Wait after a first failed order; it doubles up to 6h",
    },
    Setting {
        name: "agent_ca_file",
        default: "",
        help: "Authority (PEM) whose certificates agents have to show",
    },
    Setting {
        name: "agent_ca_for",
        default: "agents",
        help: "What they are demanded for: agents, or agents,api",
    },
    Setting {
        name: "workers",
        default: "",
        help: "Threads that serve connections, if not one for each of an agent's lines",
    },
    Setting {
        name: "trusted_proxies",
        default: "",
        help: "Addresses and networks whose X-Forwarded-* is believed",
    },
    Setting {
        name: "rate_limit_address",
        default: "",
        help: "What one address may send to public URLs, such as 100/s or 100/s:500",
    },
    Setting {
        name: "audit_keep_for",
        default: "365d",
        help: "How long it is kept who has changed what",
    },
    Setting {
        name: "in_flight",
        default: "256MiB",
        help: "Bytes of requests held in memory at a time",
    },
    Setting { name: "headers_max", default: "32KiB", help: "Longest header section of a request" },
    Setting { name: "uri_max", default: "8KiB", help: "Longest request target" },
    Setting {
        name: "header_timeout",
        default: "15s",
        help: "How long a request's head may take, and an idle connection be kept",
    },
    Setting { name: "drain_timeout", default: "30s", help: "How long a shutdown may take" },
    Setting {
        name: "heartbeat",
        default: "15s",
        help: "How long an agent's line may be quiet before it is asked",
    },
    Setting {
        name: "dead_after",
        default: "40s",
        help: "How long an agent's line may be quiet before it is dead",
    },
];

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File { path: String, line: usize },
    Environment(String),
    Flag(String),
    Set,
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Set => f.write_str("flag --set"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// All that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// The environment variable with the key that seals secrets, for those who have no file.
const SECRETS_KEY: &str = "RELAY_SECRETS_KEY";

/// What was given, by setting.
#[derive(Debug, Default)]
pub struct Given {
    values: BTreeMap<&'static str, (String, Place)>,
    secrets_key: KeySource,
    problems: Vec<String>,
}

/// Gathers the settings: `flags` by setting name, and what `environment` says of a variable.
///
/// What cannot be read is remembered and told with everything else.
#[must_use]
pub fn gather(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
    flags: &BTreeMap<&'static str, String>,
) -> Given {
    let mut given = Given::default();
    if let Some(path) = file {
        given.read_file(path);
    }
    if let Some(key) = environment(SECRETS_KEY).filter(|key| !key.is_empty()) {
        given.secrets_key = KeySource::Text(key.into());
    }
    for setting in SETTINGS {
        let variable = format!("RELAY_SERVER_{}", setting.name.to_ascii_uppercase());
        if let Some(value) = environment(&variable) {
            given.values.insert(setting.name, (value, Place::Environment(variable)));
        }
        if let Some(value) = flags.get(setting.name) {
            let flag = format!("--{}", setting.name.replace('_', "-"));
            given.values.insert(setting.name, (value.clone(), Place::Flag(flag)));
        }
    }
    given
}

impl Given {
    /// The same, with what was given by `--set NAME=VALUE`, which wins over everything else.
    #[must_use]
    pub fn set(mut self, pairs: &[String]) -> Self {
        for pair in pairs {
            let (name, value) =
                pair.split_once('=').map_or((&pair[..], None), |(n, v)| (n, Some(v)));
            let known = SETTINGS.iter().find(|known| known.name == name);
            match (known, value) {
                (Some(known), Some(value)) => {
                    drop(self.values.insert(known.name, (value.to_owned(), Place::Set)));
                }
                (Some(_), None) => {
                    self.problems.push(format!("{}: {name}: NAME=VALUE is wanted", Place::Set));
                }
                (None, _) => self.problems.push(format!("{}: no such setting: {name}", Place::Set)),
            }
        }
        self
    }

    fn read_file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.problems.push(format!("{shown}: {error}")),
        };
        let line_of = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
        let table = match DeTable::parse(&text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(span.start));
                return self.problems.push(format!("{shown}:{line}: {}", error.message()));
            }
        };
        for (key, value) in table {
            let line = line_of(key.span().start);
            let place = Place::File { path: shown.clone(), line };
            let Some(setting) = SETTINGS.iter().find(|known| known.name == key.get_ref().as_ref())
            else {
                self.problems.push(format!("{place}: no such setting: {}", key.get_ref()));
                continue;
            };
            match text_of(value.get_ref()) {
                Some(value) => drop(self.values.insert(setting.name, (value, place))),
                None => self
                    .problems
                    .push(format!("{place}: {}: text or a number is wanted", setting.name)),
            }
        }
    }

    /// A setting's value, or its default.
    pub(super) fn take<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let setting = SETTINGS.iter().find(|known| known.name == name).expect("a known setting");
        let default = || parse(setting.default).expect("a default is sound");
        match self.values.get(name).map(|(value, place)| (parse(value.trim()), place.clone())) {
            None => default(),
            Some((Ok(value), _)) => value,
            Some((Err(why), place)) => {
                self.problems.push(format!("{place}: {name}: {why}"));
                default()
            }
        }
    }

    /// A setting's value, if it was given one.
    pub(super) fn take_optional<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.take(name, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
    }

    /// Where the key is that seals secrets: a file wins over the environment.
    pub(super) fn take_secrets_key(&mut self) -> KeySource {
        let file = self.take_optional("secrets_key_file", |path| Ok(PathBuf::from(path)));
        file.map_or_else(|| self.secrets_key.clone(), KeySource::File)
    }

    /// Refuses a value that makes no sense beside the others.
    pub(super) fn refuse(&mut self, name: &str, why: &str) {
        let place = self.values.get(name).map_or(Place::Default, |(_, place)| place.clone());
        self.problems.push(format!("{place}: {name}: {why}"));
    }

    /// The settings, if there was no problem.
    pub(super) fn finish<T>(self, settings: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(settings) } else { Err(Problems(self.problems)) }
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(list) => {
            let texts: Option<Vec<String>> =
                list.iter().map(|item| text_of(item.get_ref())).collect();
            texts.map(|texts| texts.join(","))
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}
