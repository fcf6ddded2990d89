//! `relay-client events export`: events with their bodies, in a form that other programs read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};

use super::exported::{Exported, load};
use super::{Pages, Which, curl, har, say};
use crate::api::Api;
use crate::commands::Failure;

#[derive(Debug, Args)]
pub(in crate::commands) struct Export {
    /// These events; without any, those that the filters say
    #[arg(value_name = "ID", conflicts_with_all = ["endpoints", "states", "since", "before"])]
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// How many at the most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// One JSON object a line, an HTTP archive, or one event as a script
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Ndjson,
    Har,
    Curl,
}

impl Export {
    pub(super) async fn run(self, api: &Api) -> Result<(), Failure> {
        match self.format {
            Format::Ndjson => self.ndjson(api).await,
            Format::Har => {
                let mut archive = har::Archive::default();
                for id in self.ids(api).await? {
                    archive.add(api, &load(api, &id).await?).await?;
                }
                say(archive.finish().as_bytes())
            }
            Format::Curl => match &self.ids[..] {
                [id] => say(&curl::script(&load(api, id).await?)?),
                _ => Err(Failure::Usage("a script is of one event: say its ID".into())),
            },
        }
    }

    async fn ndjson(&self, api: &Api) -> Result<(), Failure> {
        for id in self.ids(api).await? {
            let Exported { mut event, body } = load(api, &id).await?;
            event["body_base64"] = body.map(|body| STANDARD.encode(body)).into();
            say(format!("{event}\n").as_bytes())?;
        }
        Ok(())
    }

    /// The events that were named, or those of the filters, the oldest first.
    async fn ids(&self, api: &Api) -> Result<Vec<String>, Failure> {
        if !self.ids.is_empty() {
            return Ok(self.ids.clone());
        }
        let mut pages = Pages::of(api, &self.which, self.limit);
        let mut ids = Vec::new();
        loop {
            let page = pages.next().await?;
            if page.is_empty() {
                break;
            }
            ids.extend(page.iter().filter_map(|event| event["id"].as_str().map(str::to_owned)));
        }
        ids.reverse();
        Ok(ids)
    }
}
