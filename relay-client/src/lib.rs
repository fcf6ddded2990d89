//! The agent of a self-hosted webhook relay: holds a line to the relay open from behind a firewall, replays what comes
//! over it to local targets, and sends their answers back.
//!
//! - [`agent`]: the lines and the attempts, as one thing to run
//! - [`dial`], [`way`], [`socket`], [`wire`]: how a line is opened, through proxies too, and driven (the relay drives its end
//!   with [`wire`] as well)
//! - [`target`]: how a target is asked; [`answered`]: what it answered lately
//! - [`verify`]: who may have sent a webhook, judged on this side of the firewall
//! - [`notice`], [`screen`]: what people are told, and how it looks
//! - [`commands`], [`config`], [`api`]: the program `relay-client`; [`open_files`], [`scheduling`], [`small_pages`]: what it
//!   takes from the system and what it leaves to others

pub mod agent;
pub mod answered;
pub mod api;
pub mod commands;
pub mod config;
pub mod dial;
pub mod duration;
pub mod notice;
pub mod open_files;
pub mod scheduling;
pub mod screen;
pub mod small_pages;
pub mod socket;
pub mod target;
pub mod time;
pub mod verify;
pub mod way;
pub mod wire;
