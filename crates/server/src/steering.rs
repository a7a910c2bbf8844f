//! Which thread gets which DHCP datagram, and in which of its queues: decided in the kernel, before anything waits.
//!
//! Each thread has two sockets of the port: one for REQUESTs and one for the rest. Under overload the kernel drops from a
//! queue that is full, and if there were one queue it would drop REQUESTs too: half-finished exchanges whose work was
//! in vain, and that start again with a DISCOVER. So what finishes an exchange waits apart, and is answered first.

use nix::libc::{
    self, BPF_ABS, BPF_ADD, BPF_ALU, BPF_B, BPF_H, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_LEN,
    BPF_MEM, BPF_MOD, BPF_MUL, BPF_RET, BPF_ST, BPF_W, sock_filter, sock_fprog,
};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;

/// Queues of each thread: REQUESTs, and the rest.
pub(crate) const LANES: usize = 2;

/// Sorts what comes to a group of `workers` × [`LANES`] sockets: by transaction to a worker, by message type to a lane.
/// A kernel that does not take the program deals by sender and port instead, and all is answered still.
pub(crate) fn steer(first: &Socket, workers: usize) -> bool {
    let mut program = program(u32::try_from(workers).unwrap_or(1).max(1));
    let length = u16::try_from(program.len()).unwrap_or(0);
    // The kernel copies it during the call.
    let program = sock_fprog { len: length, filter: program.as_mut_ptr() };
    setsockopt(first, sockopt::AttachReusePortCbpf, &program).is_ok()
}

/// Classic BPF over the UDP payload: gives the position of a socket in the group. A load past the end gives 0.
fn program(workers: u32) -> [sock_filter; 15] {
    // The message type stands first among the options in every client met so far (RFC 2131 does not ask it to). Who
    // puts it elsewhere is answered with the rest.
    const XID: u32 = 4;
    const FIRST_OPTION: u32 = 240;
    const TYPE_OF_ONE_OCTET: u32 = 0x3501;
    const REQUEST: u32 = 3;
    [
        op(BPF_LD | BPF_W | BPF_ABS, XID),
        op(BPF_ALU | BPF_MOD | BPF_K, workers),
        op(BPF_ALU | BPF_MUL | BPF_K, LANES as u32),
        op(BPF_ST, 0),
        op(BPF_LD | BPF_W | BPF_LEN, 0),
        jump(BPF_JGE, FIRST_OPTION + 3, 0, 4),
        op(BPF_LD | BPF_H | BPF_ABS, FIRST_OPTION),
        jump(BPF_JEQ, TYPE_OF_ONE_OCTET, 0, 2),
        op(BPF_LD | BPF_B | BPF_ABS, FIRST_OPTION + 2),
        jump(BPF_JEQ, REQUEST, 3, 0),
        // The rest: the worker's second socket.
        op(BPF_LD | BPF_MEM, 0),
        op(BPF_ALU | BPF_ADD | BPF_K, 1),
        op(BPF_RET | RETURN_ACCUMULATOR, 0),
        // A REQUEST: its first.
        op(BPF_LD | BPF_MEM, 0),
        op(BPF_RET | RETURN_ACCUMULATOR, 0),
    ]
}

/// BPF_A, which libc does not name.
const RETURN_ACCUMULATOR: u32 = 0x10;

fn op(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as libc::__u16, jt: 0, jf: 0, k }
}

fn jump(condition: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | condition | BPF_K) as libc::__u16, jt: yes, jf: no, k }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{Purpose, port, udp_groups};
    use std::io::Read;
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};
    use std::time::Duration;

    const WORKERS: usize = 3;

    /// A message of this length with the type option first.
    fn message(xid: u32, kind: u8, length: usize) -> Vec<u8> {
        let mut message = vec![0; 300];
        message[4..8].copy_from_slice(&xid.to_be_bytes());
        message[240..243].copy_from_slice(&[53, 1, kind]);
        message.truncate(length);
        message
    }

    #[test]
    fn a_transaction_has_one_worker_and_its_request_a_queue_apart() {
        let purpose = Purpose { service: "DHCP", transport: "udp" };
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let group = udp_groups(&[here], 0, None, purpose, WORKERS * LANES).unwrap();
        assert!(steer(&group[0], WORKERS));
        let client = UdpSocket::bind((here, 0)).unwrap();
        let check = |message: &[u8], expected: usize| {
            client.send_to(message, (here, port(&group[0]))).unwrap();
            let mut socket = &group[expected];
            socket.set_nonblocking(false).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut buffer = [0; 512];
            let length = socket.read(&mut buffer).expect("it came to another socket");
            assert_eq!(&buffer[..length], message);
        };
        for xid in 0..12_u32 {
            let worker = xid as usize % WORKERS;
            check(&message(xid, 3, 300), worker * LANES);
            check(&message(xid, 1, 300), worker * LANES + 1);
            check(&message(xid, 8, 243), worker * LANES + 1);
            // Cut short: it waits with the rest, and is found malformed there.
            check(&message(xid, 3, 242), worker * LANES + 1);
        }
        // Too short to have a transaction.
        check(&[1, 1, 6], 0);
    }
}
