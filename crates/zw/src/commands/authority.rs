//! `zw authority`: the certificate that firmware must be given before it boots by HTTPS.

use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use api::http::Authority;
use clap::Args as ClapArgs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::io::Write;
use std::process::ExitCode;

/// Print the certificate of the zone's authority, which firmware must be given to boot by HTTPS.
///
/// It is public. Carry it to the machines by a way that you trust, not over the network that they boot from: compare its SHA-256 there.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw authority > zone-ca.pem\n  zw authority --der > zone-ca.cer\n  zw authority --sha256"
)]
pub(crate) struct Args {
    /// Print DER and not PEM: the setup of most firmware takes nothing else.
    #[arg(long, conflicts_with = "sha256")]
    der: bool,
    /// Print its SHA-256 alone.
    #[arg(long)]
    sha256: bool,
    #[command(flatten)]
    which: Which,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match args.which.find().and_then(|server| printed(args, &server)) {
        Ok(octets) => {
            // Nothing more can be done when standard output is closed.
            let _ = std::io::stdout().write_all(&octets);
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn printed(args: &Args, server: &Server) -> Result<Vec<u8>, Failure> {
    let Authority { certificate, sha256 } = client::get(server, "/v1/authority")?;
    if args.sha256 {
        return Ok(format!("{sha256}\n").into_bytes());
    }
    if !args.der {
        return Ok(certificate.into_bytes());
    }
    let der = CertificateDer::from_pem_slice(certificate.as_bytes());
    der.map(|der| der.to_vec())
        .map_err(|error| Failure::Refused(format!("failed to read the controller's certificate: {error}")))
}
