//! What always holds of what the installer reads and nobody has proved: the checks of the fuzz target `installer`. Built for tests and fuzzing only.

use crate::install::{grub, http};

/// The head of an HTTP reply, or GRUB's environment block. The first octet says as what the rest is read.
pub fn installer(data: &[u8]) {
    let Some((as_what, octets)) = data.split_first() else { return };
    match as_what % 2 {
        0 => reply(octets),
        _ => environment(octets),
    }
}

/// Asked for the whole of a file, and for what follows the fortieth of its hundred octets.
fn reply(head: &[u8]) {
    if let Ok(length) = http::judge(head, 0, None) {
        assert!(http::judge(head, 0, Some(length)).is_ok());
        assert!(http::judge(head, 0, Some(length.wrapping_add(1))).is_err());
    }
    if let Ok(length) = http::judge(head, 40, Some(100)) {
        assert_eq!(length, 60);
        assert!(
            head.windows(9).any(|window| window == b"bytes 40-"),
            "a part is the part that was asked for"
        );
    }
}

/// What is read is what is written again.
fn environment(octets: &[u8]) {
    let read = grub::Environment::read(octets);
    let written = read.write();
    assert_eq!((grub::Environment::read(&written), written.len()), (read, 1024));
}

#[cfg(test)]
#[path = "../../../fuzz/spoil.rs"]
mod spoil;

#[cfg(test)]
mod tests {
    #[test]
    fn with_a_fixed_seed() {
        let samples: Vec<Vec<u8>> = [
            &b"\0HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"[..],
            b"\0HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 40-99/100\r\nContent-Length: 60\r\n\r\n",
            b"\0HTTP/1.0 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"\x01# GRUB Environment Block\nzw_good=a\nzw_try=b\n####",
            b"\x01# GRUB Environment Block\nzw_try=\nzw_good=\n",
        ]
        .map(<[u8]>::to_vec)
        .into();
        let pieces: [&[u8]; 10] = [
            b"\r\n",
            b"\n",
            b": ",
            b"Content-Length: 18446744073709551615",
            b"bytes 40-",
            b"-1",
            b"zw_good=b\n",
            b"=",
            b"\0",
            b"\xff",
        ];
        super::spoil::spoil(&samples, &pieces, 40_000, super::installer);
    }
}
