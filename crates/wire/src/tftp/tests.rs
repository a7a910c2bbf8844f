//! Packets as tables, and every mutation of them answered with a packet or a reason.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;

#[expect(clippy::needless_pass_by_value, reason = "the table reads better without a reference in each line")]
fn check(bytes: &[u8], expected: Expect) {
    expected.assert_eq(&match decode(bytes) {
        Ok(packet) => format!("{packet:?}"),
        Err(malformed) => malformed.to_string(),
    });
}

#[test]
fn packets_as_firmware_sends_them() {
    check(
        b"\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001468\0",
        expect![[
            r#"Read(Request { file: "snponly.efi", mode: Octet, options: Options { blksize: Some(1468), tsize: Some(0), timeout: None, windowsize: None } })"#
        ]],
    );
    // Padded with NULs to a fixed length.
    check(
        b"\0\x01a\0OCTET\0BlkSize\x00512\0\0\0\0\0\0\0",
        expect![[
            r#"Read(Request { file: "a", mode: Octet, options: Options { blksize: Some(512), tsize: None, timeout: None, windowsize: None } })"#
        ]],
    );
    check(
        b"\0\x01a\0netascii\0timeout\x005\0windowsize\x0016\0",
        expect![[
            r#"Read(Request { file: "a", mode: Netascii, options: Options { blksize: None, tsize: None, timeout: Some(5), windowsize: Some(16) } })"#
        ]],
    );
    check(
        b"\0\x02a\0mail\0",
        expect![[
            r#"Write(Request { file: "a", mode: Mail, options: Options { blksize: None, tsize: None, timeout: None, windowsize: None } })"#
        ]],
    );
    check(b"\0\x03\0\x07abc", expect!["Data { block: 7, data: [97, 98, 99] }"]);
    check(b"\0\x04\xff\xff", expect!["Ack { block: 65535 }"]);
    check(
        b"\0\x05\0\x08User aborted\0",
        expect!["Error { code: 8, message: [85, 115, 101, 114, 32, 97, 98, 111, 114, 116, 101, 100] }"],
    );
    check(b"\0\x05\0\0no", expect!["Error { code: 0, message: [110, 111] }"]);
    check(
        b"\0\x06blksize\x001024\0",
        expect!["Oack(Options { blksize: Some(1024), tsize: None, timeout: None, windowsize: None })"],
    );
}

#[test]
fn values_out_of_range_are_left_out_and_the_request_stands() {
    for (sent, kept) in [
        (&b"blksize\x007\0"[..], Options::default()),
        (b"blksize\x0065465\0", Options::default()),
        (b"blksize\x0065464\0", Options { blksize: Some(65_464), ..Options::default() }),
        (b"blksize\0-1\0", Options::default()),
        (b"blksize\0\0", Options::default()),
        (b"timeout\x000\0", Options::default()),
        (b"timeout\x00256\0", Options::default()),
        (b"windowsize\x000\0", Options::default()),
        (b"windowsize\x0065536\0", Options::default()),
        (b"tsize\x0099999999999999999999\0", Options::default()),
        (b"multicast\0\0tsize\x000\0", Options { tsize: Some(0), ..Options::default() }),
        (b"tsize\x001\0tsize\x002\0", Options { tsize: Some(1), ..Options::default() }),
        (b"blksize\x00512", Options::default()),
    ] {
        let bytes = [b"\0\x01f\0octet\0", sent].concat();
        let Ok(Packet::Read(request)) = decode(&bytes) else { panic!("{sent:?}") };
        assert_eq!(request.options, kept, "{:?}", String::from_utf8_lossy(sent));
    }
}

#[test]
fn nonsense_is_no_packet() {
    for bytes in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0\x07",
        b"\x01\x00a\0octet\0",
        b"\0\x01a",
        b"\0\x01a\0octet",
        b"\0\x01a\0x\0",
        b"\0\x01\xff\0octet\0",
        b"\0\x03",
        b"\0\x04\0",
        b"\0\x05\0",
    ] {
        assert_eq!(decode(bytes), Err(Malformed), "{bytes:?}");
    }
}

prop_compose! {
    fn any_options()(
        blksize in proptest::option::of(BLKSIZE_MIN..=BLKSIZE_MAX),
        tsize in proptest::option::of(0..10_u64.pow(19)),
        timeout in proptest::option::of(1..=255_u8),
        windowsize in proptest::option::of(1..=u16::MAX),
    ) -> Options {
        Options { blksize, tsize, timeout, windowsize }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_alike(
        file in "[^\0]{0,40}",
        options in any_options(),
        block: u16,
        data in proptest::collection::vec(any::<u8>(), 0..600),
        netascii: bool,
    ) {
        let mode = if netascii { Mode::Netascii } else { Mode::Octet };
        let request = Request { file: &file, mode, options };
        for packet in [
            Packet::Read(request.clone()),
            Packet::Write(request),
            Packet::Data { block, data: &data },
            Packet::Ack { block },
            Packet::Error { code: block, message: file.as_bytes() },
            Packet::Oack(options),
        ] {
            let mut bytes = Vec::new();
            encode(&packet, &mut bytes);
            prop_assert_eq!(decode(&bytes), Ok(packet));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(packet) = decode(&bytes) {
            let mut again = Vec::new();
            encode(&packet, &mut again);
            prop_assert_eq!(decode(&again), Ok(packet));
        }
    }
}
