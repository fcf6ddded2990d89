//! A self-hosted webhook relay for receivers behind a firewall: takes webhooks on public URLs, keeps them safe, and
//! passes them over lines that agents hold open to it.
//!
//! A request's journey, one direction: [`http`] → [`ingress`] → [`store`] → [`dispatcher`] → [`router`] → [`session`] ⇒
//! the agent's line; the answer comes back as the outcome. Beside it: [`endpoint`] and [`access`] (what there is and who
//! may), [`vault`] (secrets) and [`trust`] (who has sent an event), [`address`] and [`throttle`] (who sends, and how
//! often), [`api`] (for people and programs), [`tls`], [`workers`], [`config`], [`problem`] (every error's words).

pub mod access;
pub mod address;
pub mod api;
pub mod backlog;
pub mod budget;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod dispatcher;
mod durable;
pub mod endpoint;
pub mod event;
pub mod http;
pub mod ingress;
pub mod problem;
pub mod router;
pub mod server;
pub mod session;
pub mod store;
pub mod throttle;
pub mod tls;
pub mod trust;
pub mod vault;
pub mod workers;

pub use config::Config;
pub use server::Server;
