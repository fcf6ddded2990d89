//! The flags of `serve` that are about TLS.

use clap::Args;

#[derive(Debug, Args)]
pub(super) struct TlsArgs {
    /// Certificate with its chain (PEM), for TLS; again for each further name, in the order of the keys
    #[arg(long, value_name = "FILE")]
    tls_cert: Vec<String>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: Vec<String>,
}

impl TlsArgs {
    /// What was given, by the setting's name.
    pub(super) fn given(self) -> impl Iterator<Item = (&'static str, String)> {
        let lists = [("tls_cert", self.tls_cert), ("tls_key", self.tls_key)];
        lists
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| (name, values.join(",")))
    }
}
