//! The commands that enrolment needs (part 3), and what is read of their responses.

use crate::octets::{In, Malformed, Out};
use crate::public::{NULL, SHA256};
use crate::{PCRS, Pcr};

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// The endorsement hierarchy; its authorization is empty, unless somebody has taken the TPM for his own.
const ENDORSEMENT: u32 = 0x4000_000B;
const NO_HANDLE: u32 = 0x4000_0007;
/// An authorization by password.
const PASSWORD: u32 = 0x4000_0009;
const POLICY: u8 = 1;

/// Command codes (part 2 §6.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Code {
    CreatePrimary = 0x131,
    ActivateCredential = 0x147,
    NvRead = 0x14E,
    PolicySecret = 0x151,
    Quote = 0x158,
    FlushContext = 0x165,
    NvReadPublic = 0x169,
    ReadPublic = 0x173,
    StartAuthSession = 0x176,
    PcrRead = 0x17E,
}

impl Code {
    /// As the specification calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreatePrimary => "TPM2_CreatePrimary",
            Self::ActivateCredential => "TPM2_ActivateCredential",
            Self::NvRead => "TPM2_NV_Read",
            Self::PolicySecret => "TPM2_PolicySecret",
            Self::Quote => "TPM2_Quote",
            Self::FlushContext => "TPM2_FlushContext",
            Self::NvReadPublic => "TPM2_NV_ReadPublic",
            Self::ReadPublic => "TPM2_ReadPublic",
            Self::StartAuthSession => "TPM2_StartAuthSession",
            Self::PcrRead => "TPM2_PCR_Read",
        }
    }
}

/// A command: its code and octets.
pub(crate) struct Command {
    pub(crate) code: Code,
    pub(crate) octets: Vec<u8>,
}

/// Handles, the sessions that authorize them in turn, parameters (part 1 §18).
fn command(code: Code, handles: &[u32], sessions: &[u32], parameters: &[u8]) -> Command {
    let mut rest = Out::default();
    for handle in handles {
        rest.u32(*handle);
    }
    if !sessions.is_empty() {
        // Each: the session, no nonce, no attributes (it ends with the command), an empty password or proof.
        let area: Vec<u8> =
            sessions.iter().flat_map(|session| [&session.to_be_bytes()[..], &[0; 5]].concat()).collect();
        rest.u32(area.len() as u32).octets(&area);
    }
    rest.octets(parameters);
    let mut octets = Out::default();
    octets.u16(if sessions.is_empty() { NO_SESSIONS } else { SESSIONS });
    octets.u32(10 + rest.0.len() as u32).u32(code as u32).octets(&rest.0);
    Command { code, octets: octets.0 }
}

/// A primary key of the endorsement hierarchy.
pub(crate) fn create_primary(template: &[u8]) -> Command {
    let mut parameters = Out::default();
    // No authorization and no data; nothing of outside; no registers.
    parameters.sized(&[0; 4]).sized(template).sized(&[]).u32(0);
    command(Code::CreatePrimary, &[ENDORSEMENT], &[PASSWORD], &parameters.0)
}

pub(crate) fn read_public(handle: u32) -> Command {
    command(Code::ReadPublic, &[handle], &[], &[])
}

pub(crate) fn start_policy_session(nonce: &[u8; 16]) -> Command {
    let mut parameters = Out::default();
    parameters.sized(nonce).sized(&[]).u8(POLICY).u16(NULL).u16(SHA256);
    command(Code::StartAuthSession, &[NO_HANDLE, NO_HANDLE], &[], &parameters.0)
}

/// Proves the endorsement hierarchy's authorization to a policy session.
pub(crate) fn policy_secret(session: u32) -> Command {
    let mut parameters = Out::default();
    parameters.sized(&[]).sized(&[]).sized(&[]).u32(0);
    command(Code::PolicySecret, &[ENDORSEMENT, session], &[PASSWORD], &parameters.0)
}

pub(crate) fn activate_credential(ak: u32, ek: u32, session: u32, blob: &[u8], seed: &[u8]) -> Command {
    let mut parameters = Out::default();
    parameters.sized(blob).sized(seed);
    command(Code::ActivateCredential, &[ak, ek], &[PASSWORD, session], &parameters.0)
}

pub(crate) fn quote(ak: u32, nonce: &[u8; 32], pcrs: &[Pcr]) -> Command {
    let mut parameters = Out::default();
    parameters.sized(nonce).u16(NULL);
    select(&mut parameters, pcrs);
    command(Code::Quote, &[ak], &[PASSWORD], &parameters.0)
}

pub(crate) fn pcr_read(pcrs: &[Pcr]) -> Command {
    let mut parameters = Out::default();
    select(&mut parameters, pcrs);
    command(Code::PcrRead, &[], &[], &parameters.0)
}

pub(crate) fn nv_read_public(index: u32) -> Command {
    command(Code::NvReadPublic, &[index], &[], &[])
}

/// Reads by the index's own authorization, which is empty.
pub(crate) fn nv_read(index: u32, size: u16, offset: u16) -> Command {
    let mut parameters = Out::default();
    parameters.u16(size).u16(offset);
    command(Code::NvRead, &[index, index], &[PASSWORD], &parameters.0)
}

pub(crate) fn flush(handle: u32) -> Command {
    // The handle is a parameter here (part 3 §28.4).
    command(Code::FlushContext, &[], &[], &handle.to_be_bytes())
}

/// A `TPML_PCR_SELECTION` of one bank.
fn select(to: &mut Out, pcrs: &[Pcr]) {
    let mut map = [0_u8; PCRS as usize / 8];
    for pcr in pcrs {
        if let Some(octet) = map.get_mut(usize::from(pcr / 8)) {
            *octet |= 1 << (pcr % 8);
        }
    }
    to.u32(1).u16(SHA256).u8(map.len() as u8).octets(&map);
}

/// What a response carries: a handle if the command makes something, and parameters.
pub(crate) struct Response<'a> {
    pub(crate) handle: u32,
    pub(crate) parameters: In<'a>,
}

/// Reads a response: `Err` with the response code if it is an error.
pub(crate) fn response(code: Code, octets: &[u8]) -> Result<Result<Response<'_>, u32>, Malformed> {
    let mut from = In(octets);
    let (tag, size, outcome) = (from.u16()?, from.u32()?, from.u32()?);
    if size as usize != octets.len() {
        return Err(Malformed("a response of another length than it says"));
    }
    if outcome != 0 {
        return Ok(Err(outcome));
    }
    let handle = if matches!(code, Code::CreatePrimary | Code::StartAuthSession) { from.u32()? } else { 0 };
    if tag == SESSIONS {
        let size = from.u32()?;
        from = In(from.octets(size as usize)?);
    }
    Ok(Ok(Response { handle, parameters: from }))
}
