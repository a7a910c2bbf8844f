//! LLDP frames (IEEE 802.1AB-2016 §8, §9): who is at the other end of a cable. Switches of the lab send them.

use crate::error::Error;
use crate::net::{Filter, Namespace, PacketSocket};
use model::Mac;
use std::time::Duration;

/// Its Ethernet type.
pub(crate) const ETHERTYPE: u16 = 0x88cc;

/// The nearest bridge: a frame to this address goes no further than the other end of the cable (§7.1).
const NEAREST_BRIDGE: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];

/// The longest text in a field (§8.4.1: 511 octets with its subtype; system name and port id end at 255).
const TEXT_MAX: usize = 255;

/// How often a switch tells its neighbours. The standard's 30 s with a fast start of 1 s is for ports that come up one
/// by one; a lab's all come up at once, and a machine should not wait for its neighbour's name.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// How long what was told is good, in seconds (txTTL, §9.2.5.22).
const SECONDS_TO_LIVE: u16 = 120;

/// Tells the neighbours at `ports` (interface number, name, address) who and where they are plugged in, until the
/// future is dropped.
///
/// # Errors
/// If the socket cannot be opened.
pub(crate) async fn serve(
    namespace: &Namespace,
    system: &str,
    ports: Vec<(u32, String, Mac)>,
) -> Result<(), Error> {
    let socket = PacketSocket::open(namespace, Filter::EtherType(ETHERTYPE))?;
    let frames: Vec<(u32, Vec<u8>)> =
        ports.iter().map(|(index, port, mac)| (*index, frame(system, port, *mac, SECONDS_TO_LIVE))).collect();
    loop {
        for (index, frame) in &frames {
            // A port that is down tells nobody.
            let _ = socket.send(*index, frame);
        }
        tokio::time::sleep(TELL_EVERY).await;
    }
}

/// The frame that a switch sends out of a port.
pub(crate) fn frame(system: &str, port: &str, mac: Mac, seconds_to_live: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60 + system.len() + port.len());
    frame.extend(NEAREST_BRIDGE);
    frame.extend(mac.0);
    frame.extend(ETHERTYPE.to_be_bytes());
    // Chassis id, subtype 4: a MAC address.
    field(&mut frame, 1, &[&[4], &mac.0]);
    // Port id, subtype 5: the interface's name.
    field(&mut frame, 2, &[&[5], text(port)]);
    field(&mut frame, 3, &[&seconds_to_live.to_be_bytes()]);
    field(&mut frame, 5, &[text(system)]);
    // System capabilities: bridge and router, both in use.
    field(&mut frame, 7, &[&[0, 0x14, 0, 0x14]]);
    field(&mut frame, 0, &[]);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn text(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(TEXT_MAX)]
}

/// Seven bits of type, nine of length, the value (§8.4).
fn field(frame: &mut Vec<u8>, kind: u16, pieces: &[&[u8]]) {
    let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    let header = (kind << 9) | u16::try_from(length).unwrap_or(511);
    frame.extend(header.to_be_bytes());
    pieces.iter().for_each(|piece| frame.extend(*piece));
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_frame_as_the_standard_draws_it() {
        let frame = frame("p01-r1-leaf-a", "swp3", Mac([2, 0, 0, 0, 0, 1]), 120);
        let hex: Vec<String> =
            frame.chunks(16).map(|row| row.iter().map(|o| format!("{o:02x}")).collect()).collect();
        expect![[r#"
            0180c200000e02000000000188cc0207
            04020000000001040505737770330602
            00780a0d7030312d72312d6c6561662d
            610e04001400140000000000
        "#]]
        .assert_eq(&format!("{}\n", hex.join("\n")));
    }
}
