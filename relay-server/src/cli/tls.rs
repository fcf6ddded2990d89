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
    /// Plain listener beside TLS: sends browsers on, and answers ACME's challenges
    #[arg(long, value_name = "ADDR:PORT")]
    http_listen: Option<String>,
    /// Authority (PEM) whose certificates agents have to show
    #[arg(long, value_name = "FILE")]
    agent_ca_file: Option<String>,
}

impl TlsArgs {
    /// What was given, by the setting's name.
    pub(super) fn given(self) -> impl Iterator<Item = (&'static str, String)> {
        let lists = [
            ("tls_cert", self.tls_cert),
            ("tls_key", self.tls_key),
            ("http_listen", Vec::from_iter(self.http_listen)),
            ("agent_ca_file", Vec::from_iter(self.agent_ca_file)),
        ];
        let given = lists.into_iter().filter(|(_, values)| !values.is_empty());
        given.map(|(name, values)| (name, values.join(",")))
    }
}
