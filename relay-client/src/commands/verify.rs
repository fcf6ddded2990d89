//! `relay-client verify`: checks a saved request offline, and says why its signature fails.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use relay_trust::{
    Certificates, Finding, Keys, NeedsCertificate, Profile, Profiles, Reason, Secret, explain,
    verify,
};
use serde_json::json;

use super::Failure;
use crate::screen::clean;
use crate::time;
use crate::verify::vector::Vector;
use crate::verify::{Saved, param, profile, profiles, read_secrets};

/// The longest file that is read, in bytes.
const FILE_MAX: u64 = 256 << 20;

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// File with a raw HTTP request as it was received: request line, header fields, an empty line, the body; - for stdin
    #[arg(required_unless_present = "vectors")]
    request: Option<PathBuf>,
    /// Who signs: stripe, github, slack, ..., or standard-webhooks, hmac, token
    #[arg(long, value_name = "NAME", required_unless_present = "vectors")]
    provider: Option<String>,
    /// File with the secret; several while the provider changes over
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
    /// What the provider's scheme needs beside a secret
    #[arg(long, value_name = "NAME=VALUE", value_parser = param)]
    param: Vec<(String, String)>,
    /// Where the provider sends it: scheme and host, to which the request's own path is put, or the whole URL
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// When it was received: 2026-11-24T10:00:00Z, seconds since 1970, or now
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = at)]
    at: u64,
    /// File with the certificate that the request names (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// File with profiles of your own (TOML)
    #[arg(long, value_name = "FILE")]
    profiles: Option<PathBuf>,
    /// Files with vectors to check instead: a line of JSON for each
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["request", "provider", "secret_file"])]
    vectors: Vec<PathBuf>,
}

fn at(text: &str) -> Result<u64, String> {
    if text == "now" {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        return Ok(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    }
    time::parse(text)
}

impl Verify {
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let profiles = profiles(self.profiles.as_deref()).map_err(Failure::Usage)?;
        if !self.vectors.is_empty() {
            return vectors(&self.vectors, &profiles);
        }
        let (request, provider) =
            (self.request.expect("asked for"), self.provider.expect("asked for"));
        let params: BTreeMap<String, String> = self.param.into_iter().collect();
        let profile = profile(&profiles, &provider, &params).map_err(Failure::Usage)?;
        let secrets = read_secrets(&self.secret_file).map_err(Failure::Usage)?;
        let told = |why: String| Failure::Usage(format!("{}: {why}", request.display()));
        let bytes = read(&request).map_err(told)?;
        let saved = Saved::read(&bytes, self.public_url.as_deref()).map_err(told)?;
        let certificate =
            self.certificate.as_deref().map(read).transpose().map_err(Failure::Usage)?;
        let keys = Keys { secrets: &secrets, params: &params, tolerance_s: None };
        let mut certificates = Certificates::new();
        let judge = |certificates: &Certificates| {
            saved.with_request(|request| verify(&profile, request, &keys, certificates, self.at))
        };
        let mut found = judge(&certificates);
        if let (Err(NeedsCertificate { url }), Some(pem)) = (&found, certificate) {
            certificates.insert(url.as_str(), pem);
            found = judge(&certificates);
        }
        let mut why = saved.notes.clone();
        why.extend(saved.with_request(|request| {
            explain(&profiles, &profile, request, &keys, &certificates, self.at)
        }));
        if !found.as_ref().is_ok_and(Finding::is_good) {
            why.extend(misshapen(&profile, &self.secret_file, &secrets));
            why.extend(unconfirmed(&profile));
        }
        why.extend(advice(&found, &profile, &saved));
        let found = found.unwrap_or(Finding::failed(Reason::CertificateUnavailable));
        show(profile.name(), &found, &why, json)
    }
}

/// What is wrong with the form of a secret.
fn misshapen(profile: &Profile, files: &[PathBuf], secrets: &[Secret]) -> Vec<String> {
    let told = |(file, secret): (&PathBuf, &Secret)| {
        let why = profile.check_secret(secret).err()?;
        Some(format!("What stands in {} is no secret that can be used: {why}.", file.display()))
    };
    files.iter().zip(secrets).filter_map(told).collect()
}

/// That it may be the profile that is wrong.
fn unconfirmed(profile: &Profile) -> Option<String> {
    let told =
        || format!("How {} signs is not confirmed: the profile may be wrong.", profile.name());
    profile.is_unconfirmed().then(told)
}

/// What can be done about it with this command.
fn advice(
    found: &Result<Finding, NeedsCertificate>,
    profile: &Profile,
    saved: &Saved,
) -> Option<String> {
    let Ok(found) = found else {
        return Some("Fetch the certificate, and give it with --certificate FILE.".to_owned());
    };
    let late = [Reason::TimestampTooOld, Reason::TimestampInFuture, Reason::SignatureExpired];
    match found.reason? {
        Reason::NoSecret => Some("Give the secret with --secret-file FILE.".to_owned()),
        reason if late.contains(&reason) => {
            Some("If it was received at another time, say when with --at TIME.".to_owned())
        }
        Reason::WrongSecret | Reason::ClaimMismatch
            if saved.url_is_guessed && profile.signs_url() =>
        {
            Some(format!(
                "The URL is signed, and {} is a guess by Host: give it with --public-url URL, as the provider knows it.",
                saved.url
            ))
        }
        _ => None,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_MAX).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes))
    };
    read.map(|_| bytes).map_err(|e| e.to_string())
}

fn show(provider: &str, found: &Finding, why: &[String], json: bool) -> Result<(), Failure> {
    let (verdict, reason) = (found.state.as_str(), found.reason.map(Reason::as_str));
    if json {
        let shown = json!({"provider": provider, "verdict": verdict, "reason": reason, "why": why});
        println!("{shown}");
    } else {
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        println!("{verdict}{reason}");
        why.iter().for_each(|line| println!("  {}", clean(line)));
    }
    if found.is_good() {
        return Ok(());
    }
    Err(Failure::Failed(format!("nothing proves that this is from {provider}")))
}

/// A line for each vector of each file.
fn vectors(files: &[PathBuf], profiles: &Profiles) -> Result<(), Failure> {
    let (mut checked, mut wrong) = (0, 0);
    for path in files {
        let told = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
        let bytes = read(path).map_err(told)?;
        let all: Vec<Vector> = serde_json::from_slice(&bytes).map_err(|e| told(e.to_string()))?;
        for vector in all {
            let found = vector.find(profiles).map_err(|e| told(format!("{}: {e}", vector.name)))?;
            let reason = found.reason.map(Reason::as_str);
            println!(
                "{}",
                json!({"name": vector.name, "verdict": found.state.as_str(), "reason": reason})
            );
            checked += 1;
            wrong += usize::from(vector.expect.is_some_and(|expected| !expected.is(&found)));
        }
    }
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!(
            "{wrong} of {checked} vectors are judged otherwise than they say"
        ))),
    }
}
