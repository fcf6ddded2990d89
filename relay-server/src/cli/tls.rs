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
    /// Name to get a certificate for from an ACME server, whose terms are agreed to by this; again for each further one
    #[arg(long, value_name = "NAME")]
    acme_domain: Vec<String>,
    /// Whom the ACME server may write to
    #[arg(long, value_name = "ADDRESS")]
    acme_email: Option<String>,
    /// The ACME server's directory [default: Let's Encrypt]
    #[arg(long, value_name = "URL")]
    acme_directory: Option<String>,
    /// Authority (PEM) to trust at the ACME server, beside the system's
    #[arg(long, value_name = "FILE")]
    acme_ca_file: Option<String>,
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
            ("acme_domain", self.acme_domain),
            ("acme_email", Vec::from_iter(self.acme_email)),
            ("acme_directory", Vec::from_iter(self.acme_directory)),
            ("acme_ca_file", Vec::from_iter(self.acme_ca_file)),
            ("agent_ca_file", Vec::from_iter(self.agent_ca_file)),
        ];
        let given = lists.into_iter().filter(|(_, values)| !values.is_empty());
        given.map(|(name, values)| (name, values.join(",")))
    }
}
