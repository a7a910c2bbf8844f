//! The certificate that firmware judges a boot server by, and what of TLS is spoken to it.
//!
//! In: the authority, the plan's controllers, the time. Out: a configuration, made anew when any of them changes enough. TLS 1.2 is for firmware:
//! EDK2 goes no further. Who asks proves nothing here, and is told nothing that is secret.

use crate::agents::{Authority, AuthorityError};
use crate::answering::Answering;
use crate::clock;
use model::View;
use model::design::DeviceKind;
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The certificate is made anew this often, long before it runs out.
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is spoken at the moment.
pub(crate) struct Certificate {
    authority: Arc<Authority>,
    versions: Vec<&'static SupportedProtocolVersion>,
    names: Names,
    made: Instant,
    pub(crate) config: Arc<ServerConfig>,
}

/// Whom a certificate is for.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Names {
    addresses: Vec<IpAddr>,
    hosts: Vec<String>,
}

impl Certificate {
    /// For firmware.
    pub(super) fn new(authority: Arc<Authority>, answering: &Answering) -> Result<Self, AuthorityError> {
        Self::of(authority, answering, vec![&rustls::version::TLS13, &rustls::version::TLS12])
    }

    /// For browsers, all of which speak TLS 1.3.
    pub(crate) fn for_browsers(
        authority: Arc<Authority>,
        answering: &Answering,
    ) -> Result<Self, AuthorityError> {
        Self::of(authority, answering, vec![&rustls::version::TLS13])
    }

    fn of(
        authority: Arc<Authority>,
        answering: &Answering,
        versions: Vec<&'static SupportedProtocolVersion>,
    ) -> Result<Self, AuthorityError> {
        let names = Names::of(&answering.view.load());
        let config = config(&authority, &names, &versions)?;
        Ok(Self { authority, versions, names, made: Instant::now(), config })
    }

    /// Makes another when this one is old, or for others.
    pub(crate) fn renew(&mut self, answering: &Answering, now: Instant) {
        let names = Names::of(&answering.view.load());
        if now.duration_since(self.made) < AGE_MAX && names == self.names {
            return;
        }
        match config(&self.authority, &names, &self.versions) {
            Ok(config) => (self.config, self.names) = (config, names),
            // It is good for weeks yet.
            Err(error) => answering.say(&format!("HTTPS goes on with its certificate as it is: {error}")),
        }
        self.made = now;
    }
}

impl Names {
    /// Every controller's: a machine is told any of them.
    fn of(view: &View) -> Self {
        let design = &view.plan.design;
        let controllers = design.devices.iter().filter(|device| device.kind == DeviceKind::Controller);
        let hosts = controllers.map(|device| format!("{}.{}", device.name, design.zone.domain)).collect();
        Self { addresses: view.boot.controllers.clone(), hosts }
    }
}

fn config(
    authority: &Authority,
    names: &Names,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>, AuthorityError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certificate, key) = authority.issue_server(&names.addresses, &names.hosts, clock::now())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate, authority.certificate().clone()], key)?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
