//! The TPM of this machine, asked one command at a time.
//!
//! The kernel's resource manager (`/dev/tpmrm0`) keeps what others of this machine do apart, and forgets what we made when the file is
//! closed. A socket takes its place where an emulated TPM listens on one.

use crate::command::{self, Code, Command};
use crate::credential::Credential;
use crate::octets::{In, Malformed};
use crate::public::{Public, ak_template, ek_template};
use crate::quote::{Quote, selection};
use crate::{PCRS, Pcr};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest response (part 2 §6.1: `TPM_BUFFER_MAX` of a PC's TPM is 4096).
const RESPONSE_MAX: usize = 4096;
/// Where the certificate of the endorsement key by template L-1 is (EK Credential Profile 2.4 §2.2.1.4).
const CERTIFICATE: u32 = 0x01C0_0002;
/// Where firmware or a maker keep that key, to save the seconds that it takes to make it (EK Credential Profile 2.4 §2.2.1.5).
const KEPT_EK: u32 = 0x8101_0001;
/// The first octet of handles of what is not kept (part 2 §7.2).
const TRANSIENT: u32 = 0x80;
/// What is read of it at once: every TPM gives so much.
const CHUNK: u16 = 512;
/// Longer is none.
const CERTIFICATE_MAX: u16 = 8 << 10;
/// `TPM_RC_YIELDED`, `TPM_RC_TESTING`, `TPM_RC_RETRY`: the same again, soon (part 2 §6.6.3).
const AGAIN: [u32; 3] = [0x908, 0x90A, 0x922];
const TRIES: u32 = 50;
const BETWEEN: Duration = Duration::from_millis(100);

/// Why a TPM did not do it.
#[derive(Debug)]
pub enum TpmError {
    /// It cannot be talked to.
    Io(io::Error),
    /// It refused a command with a response code (part 2 §6.6).
    Refused(&'static str, u32),
    /// It said what no TPM says.
    Malformed(Malformed),
    /// Its endorsement key is not by the template.
    OtherEk,
}

impl fmt::Display for TpmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the TPM cannot be talked to: {error}"),
            Self::Refused(command, code) => write!(f, "the TPM refused {command}: response code {code:#x}"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::OtherEk => f.write_str("the TPM's endorsement key is not by the template L-1 of the TCG"),
        }
    }
}

impl std::error::Error for TpmError {}

impl From<io::Error> for TpmError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for TpmError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

/// A TPM, with its endorsement key and an attestation key of this use alone.
pub struct Tpm {
    way: Box<dyn ReadWrite>,
    ek: u32,
    ak: u32,
    shown: Shown,
}

/// What it shows of itself. None of it is secret, but the endorsement key tells one machine from all others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The endorsement key's public area.
    pub ek: Vec<u8>,
    /// Its maker's certificate for that key, DER, if it has one.
    pub ek_certificate: Option<Vec<u8>>,
    /// The attestation key's public area.
    pub ak: Vec<u8>,
}

impl Drop for Tpm {
    /// The kernel's resource manager would do it; a bare TPM has room for three keys and no more.
    fn drop(&mut self) {
        for handle in [self.ak, self.ek].into_iter().filter(|handle| handle >> 24 == TRANSIENT) {
            let _ = self.ask(&command::flush(handle), |_| Ok(()));
        }
    }
}

impl Tpm {
    /// Opens a TPM and makes both keys. `salt` is random, and makes the attestation key another than any before. Takes up to
    /// half a minute on TPMs that keep no endorsement key.
    ///
    /// # Errors
    /// There is none, or it does not do it.
    pub fn open(path: &Path, salt: &[u8; 32]) -> Result<Self, TpmError> {
        let is_socket = std::fs::metadata(path)?.file_type().is_socket();
        let way: Box<dyn ReadWrite> = if is_socket {
            Box::new(UnixStream::connect(path)?)
        } else {
            Box::new(OpenOptions::new().read(true).write(true).open(path)?)
        };
        let empty = Shown { ek: Vec::new(), ek_certificate: None, ak: Vec::new() };
        let mut tpm = Self { way, ek: 0, ak: 0, shown: empty };
        (tpm.ek, tpm.shown.ek) = tpm.endorsement_key()?;
        tpm.shown.ek_certificate = tpm.certificate();
        (tpm.ak, tpm.shown.ak) = tpm.create(&ak_template(salt))?;
        Ok(tpm)
    }

    /// What it shows of itself.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Opens what was wrapped for it.
    ///
    /// # Errors
    /// It was wrapped for another TPM or for another key, or changed since.
    pub fn activate(&mut self, credential: &Credential) -> Result<Vec<u8>, TpmError> {
        // The session's nonce keeps nothing fresh: the policy has no authorization that is computed from it.
        let session = self.ask(&command::start_policy_session(&[0; 16]), |response| Ok(response.handle))?;
        let opened = self.ask(&command::policy_secret(session), |_| Ok(())).and_then(|()| {
            let command =
                command::activate_credential(self.ak, self.ek, session, &credential.blob, &credential.seed);
            self.ask(&command, |mut response| Ok(response.parameters.sized()?.to_vec()))
        });
        if opened.is_err() {
            // It ends with the command that uses it; that was not reached, or failed.
            let _ = self.ask(&command::flush(session), |_| Ok(()));
        }
        opened
    }

    /// Its registers, signed, with an answer to `nonce`. `pcrs` are ascending.
    ///
    /// # Errors
    /// It does not do it.
    pub fn quote(&mut self, nonce: &[u8; 32], pcrs: &[Pcr]) -> Result<Quote, TpmError> {
        let (attest, signature) = self.ask(&command::quote(self.ak, nonce, pcrs), |mut response| {
            let attest = response.parameters.sized()?.to_vec();
            Ok((attest, response.parameters.0.to_vec()))
        })?;
        let mut values = BTreeMap::new();
        // It gives eight at once, at most.
        loop {
            let missing: Vec<Pcr> = pcrs.iter().filter(|pcr| !values.contains_key(*pcr)).copied().collect();
            if missing.is_empty() {
                break;
            }
            let before = values.len();
            self.ask(&command::pcr_read(&missing), |mut response| {
                let from = &mut response.parameters;
                let _counter = from.u32()?;
                let read = selection(from)?;
                let count = from.u32()?;
                for (pcr, _) in read.into_iter().zip(0..count) {
                    let value =
                        from.sized()?.try_into().map_err(|_| Malformed("a register of another size"))?;
                    values.insert(pcr, value);
                }
                Ok(())
            })?;
            if values.len() == before || values.len() > usize::from(PCRS) {
                return Err(Malformed("registers that it does not have").into());
            }
        }
        Ok(Quote { attest, signature, pcrs: values })
    }

    fn endorsement_key(&mut self) -> Result<(u32, Vec<u8>), TpmError> {
        let kept = self
            .ask(&command::read_public(KEPT_EK), |mut response| Ok(response.parameters.sized()?.to_vec()));
        let is_ek = |public: &[u8]| Public::read(public).is_ok_and(|public| public.is_ek());
        match kept {
            Ok(public) if is_ek(&public) => return Ok((KEPT_EK, public)),
            Err(TpmError::Io(error)) => return Err(TpmError::Io(error)),
            // Nothing is kept there, or another kind of key.
            Ok(_) | Err(_) => {}
        }
        let (handle, public) = self.create(&ek_template())?;
        if is_ek(&public) { Ok((handle, public)) } else { Err(TpmError::OtherEk) }
    }

    fn create(&mut self, template: &[u8]) -> Result<(u32, Vec<u8>), TpmError> {
        self.ask(&command::create_primary(template), |mut response| {
            Ok((response.handle, response.parameters.sized()?.to_vec()))
        })
    }

    /// `None` also if it cannot be read: most that matter have one, and who wants one says so.
    fn certificate(&mut self) -> Option<Vec<u8>> {
        let size = self.ask(&command::nv_read_public(CERTIFICATE), |mut response| {
            let mut area = In(response.parameters.sized()?);
            let (_index, _hash, _attributes, _policy) =
                (area.u32()?, area.u16()?, area.u32()?, area.sized()?);
            area.u16()
        });
        let size = size.ok().filter(|size| *size <= CERTIFICATE_MAX)?;
        let mut octets = Vec::with_capacity(size.into());
        while octets.len() < size.into() {
            let offset = octets.len() as u16;
            let read = command::nv_read(CERTIFICATE, CHUNK.min(size - offset), offset);
            let chunk = self.ask(&read, |mut response| Ok(response.parameters.sized()?.to_vec())).ok()?;
            if chunk.is_empty() {
                return None;
            }
            octets.extend_from_slice(&chunk);
        }
        Some(octets)
    }

    fn ask<T>(
        &mut self,
        command: &Command,
        mut read: impl FnMut(command::Response<'_>) -> Result<T, Malformed>,
    ) -> Result<T, TpmError> {
        for _ in 0..TRIES {
            let octets = self.exchange(&command.octets)?;
            match command::response(command.code, &octets)? {
                Ok(response) => return Ok(read(response)?),
                Err(code) if AGAIN.contains(&code) => std::thread::sleep(BETWEEN),
                Err(code) => return Err(TpmError::Refused(Code::name(command.code), code)),
            }
        }
        Err(TpmError::Refused(Code::name(command.code), AGAIN[2]))
    }

    /// One command and its response. A device gives the response at once, a socket as it comes.
    fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        self.way.write_all(command)?;
        let mut octets = vec![0; RESPONSE_MAX];
        let mut length = 0;
        loop {
            match self.way.read(&mut octets[length..]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            let announced =
                octets[..length].get(2..6).and_then(|size| size.try_into().ok()).map(u32::from_be_bytes);
            if announced.is_some_and(|announced| length >= announced as usize) {
                octets.truncate(length);
                return Ok(octets);
            }
            if length == octets.len() {
                return Err(Malformed("a response that is too long").into());
            }
        }
    }
}
