//! From a request to the octets of its reply: the answer, the limit of transfers, what is counted and told.

use crate::answering::Answering;
use crate::boot_http::sending::Sending;
use crate::boot_http::transport::No;
use crate::clock;
use crate::counters::Protocol;
use crate::refusals::Details;
use answer::http::admission::{Admission, TRANSFERS_MAX, counts};
use answer::http::head::{self, BadHead, Head};
use answer::http::{self, Body, Method, Reply};
use answer::party::Party;
use model::{Event, Location, Reason, Time, View};
use std::net::IpAddr;
use std::sync::Arc;

/// Seconds until a file that is being replaced is likely to be listed anew.
const REPLACED_SECONDS: u32 = 3;

pub(super) struct Service {
    pub(super) answering: Arc<Answering>,
    admission: Admission,
}

impl Service {
    pub(super) fn new(answering: Arc<Answering>) -> Self {
        Self { answering, admission: Admission::new(TRANSFERS_MAX) }
    }

    /// Writes the reply's head and text after `out`; what comes back is to be sent after them.
    pub(super) fn respond(
        &mut self,
        head: &Head<'_>,
        client: IpAddr,
        is_secure: bool,
        out: &mut Vec<u8>,
    ) -> Option<Sending> {
        let answering = Arc::clone(&self.answering);
        let traffic = answering.counters.of(Protocol::Http);
        traffic.received.one();
        let view = answering.view.load();
        let now = clock::now();
        let asked = http::Request {
            method: head.method,
            path: head.path,
            range: head.range,
            if_range: head.if_range,
            if_none_match: head.if_none_match,
            client,
            is_secure,
        };
        let mut reply = match answering.keys.image(head.path, client) {
            Some(key) => http::octets(key.image(), &asked),
            None => http::boot(&view, &asked, now).unwrap_or_else(http::refused),
        };
        let machine = reply.machine.map(|device| view.plan.design.devices[device.index()].location.clone());
        let mut sending = None;
        if let Body::File { .. } = reply.body {
            match self.open(&view, &reply, client, machine.clone(), now) {
                Ok(opened) => sending = Some(opened),
                Err(retry_after_seconds) => reply = http::later(retry_after_seconds),
            }
        }
        if head.method == Method::Head {
            // RFC 9110 §9.3.2: also of a refusal the head alone, or the body would be taken for the next reply.
            reply.body = Body::Empty;
        }
        self.count(&reply, client, asked.path, machine.as_ref(), now);
        if let Some((what, location)) = reply.tells.take().zip(machine) {
            answering.tell(Event { at: now, location, what });
        }
        head::write(&reply, head.keep_alive, now, out);
        sending
    }

    /// Writes the reply to octets that are no request.
    pub(super) fn bad_head(&mut self, bad: BadHead, client: IpAddr, out: &mut Vec<u8>) {
        self.answering.counters.of(Protocol::Http).received.one();
        let (reply, now) = (http::bad_head(bad), clock::now());
        self.count(&reply, client, "", None, now);
        head::write(&reply, false, now, out);
    }

    /// A client and we did not come to speak: told with the machine that it is, for nothing else of it is ever seen.
    pub(super) fn no_handshake(&self, no: No, client: IpAddr) {
        let reason = match no {
            No::Certificate => Reason::CertificateRefused,
            No::Unable => Reason::TlsUnable,
            No::Malformed => Reason::Malformed,
        };
        let traffic = self.answering.counters.of(Protocol::Http);
        traffic.received.one();
        traffic.refused[reason as usize].one();
        self.answering.refusals.note(Protocol::Http, reason, client, clock::now(), || Details {
            client: client.to_string(),
            machine: self.machine_at(client),
            subject: "HTTPS".to_owned(),
            ..Details::default()
        });
    }

    /// The machine whose address a client has.
    fn machine_at(&self, client: IpAddr) -> Option<Location> {
        let view = self.answering.view.load();
        let device = view.boot.places.machine_at(client)?;
        Some(view.plan.design.devices[device.index()].location.clone())
    }

    /// Octets of a file went out.
    pub(super) fn sent(&self, octets: u64) {
        self.answering.counters.of(Protocol::Http).octets.add(octets);
    }

    /// A file was sent to its end.
    pub(super) fn done(&mut self, sending: Option<Sending>) {
        let Some(mut sending) = sending else { return };
        self.answering.counters.of(Protocol::Http).answered.one();
        let party = sending.party.take();
        if let Some(event) = sending.event(clock::now()) {
            self.answering.tell(event);
        }
        self.leave(party.as_ref());
    }

    /// A connection ended, in the middle of a file or not.
    pub(super) fn ended(&mut self, sending: Option<Sending>) {
        self.leave(sending.and_then(|sending| sending.party).as_ref());
    }

    fn leave(&mut self, party: Option<&Party>) {
        if let Some(party) = party {
            self.admission.end(party);
        }
    }

    /// Opens the file of a reply, within the limit. The error is when to ask again, in seconds.
    fn open(
        &mut self,
        view: &View,
        reply: &Reply,
        client: IpAddr,
        machine: Option<Location>,
        now: Time,
    ) -> Result<Sending, u32> {
        let Body::File { file, range } = &reply.body else { return Err(REPLACED_SECONDS) };
        let known = view.boot.site.file(*file);
        let party = counts(known.size, range.end - range.start).then(|| Party::of(view, client));
        if let Some(party) = &party {
            self.admission.begin(party, now).map_err(|busy| busy.retry_after_seconds)?;
        }
        Sending::open(known, range.clone(), party.clone(), machine).map_err(|error| {
            self.answering.doubt(&error);
            self.leave(party.as_ref());
            REPLACED_SECONDS
        })
    }

    fn count(&self, reply: &Reply, client: IpAddr, path: &str, machine: Option<&Location>, now: Time) {
        let traffic = self.answering.counters.of(Protocol::Http);
        match &reply.body {
            Body::Text(text) => traffic.octets.add(text.len() as u64),
            Body::Octets(octets) => traffic.octets.add(octets.len() as u64),
            Body::Empty | Body::File { .. } => {}
        }
        let Some(reason) = reply.refused else {
            // A file is counted when it is sent.
            if !matches!(reply.body, Body::File { .. }) {
                traffic.answered.one();
            }
            return;
        };
        traffic.refused[reason as usize].one();
        // Not the path, which the client chooses: one client would push out the samples of all others.
        self.answering.refusals.note(Protocol::Http, reason, client, now, || {
            let machine = machine.cloned().or_else(|| self.machine_at(client));
            Details { client: client.to_string(), machine, subject: path.to_owned(), ..Details::default() }
        });
    }
}
