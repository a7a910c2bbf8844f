//! Any octets of a stream are frames or the reason why not, however they are cut. The checks are those of the fuzz target
//! `agent_frames`, which includes this file; here they run with a fixed seed.

use api::agent::{BadFrame, FRAME_MAX_UNPROVEN, FromAgent, FromController, Inbox, encode, within_limits};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A stream, as a controller and as an agent hear it. Its first octet says how it is cut into reads.
pub(crate) fn agent_frames(data: &[u8]) {
    let Some((first, stream)) = data.split_first() else { return };
    let piece = usize::from(*first) + 1;
    both_ways::<FromAgent>(stream, piece, |frame| {
        let _ = within_limits(frame);
    });
    both_ways::<FromController>(stream, piece, |_| {});
}

fn both_ways<T>(stream: &[u8], piece: usize, each: impl Fn(&T))
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let whole = frames::<T>(stream, stream.len().max(1));
    assert_eq!(frames::<T>(stream, piece), whole, "how a stream is cut changes nothing");
    for frame in &whole.0 {
        each(frame);
        // What another release wrote in more words is longer there than here, and never the other way round.
        let octets = encode(frame).expect("what was taken can be sent");
        let (back, wrong, rest) = frames::<T>(&octets, octets.len());
        assert_eq!((back.as_slice(), wrong, rest), (std::slice::from_ref(frame), None, 0));
    }
}

/// The frames of a stream, what ended it early, and whether a part of a frame is left.
fn frames<T: DeserializeOwned>(stream: &[u8], piece: usize) -> (Vec<T>, Option<BadFrame>, usize) {
    let mut inbox = Inbox::new(FRAME_MAX_UNPROVEN);
    let mut frames = Vec::new();
    for octets in stream.chunks(piece) {
        inbox.put(octets);
        loop {
            match inbox.take() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(wrong) => return (frames, Some(wrong), 0),
            }
        }
    }
    (frames, None, usize::from(inbox.is_partial()))
}

#[cfg(test)]
#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[cfg(test)]
#[path = "../../../fuzz/spoil.rs"]
mod spoil;

#[cfg(test)]
mod with_a_fixed_seed {
    use super::corpus;
    use super::spoil::spoil;

    #[test]
    fn streams() {
        let stream = |frames: &[&str]| {
            let framed = frames.iter().flat_map(|frame| {
                let length = u32::try_from(frame.len()).expect("short").to_be_bytes();
                length.into_iter().chain(frame.bytes())
            });
            std::iter::once(3).chain(framed).collect::<Vec<u8>>()
        };
        let samples = [
            stream(&[
                r#"{"frame":"token-request","version":1,"location":"ams1/p01/r1/u01","mac":"02:00:00:00:00:01"}"#,
                r#"{"frame":"enrol","version":1,"location":"ams1/p01/r1/u01","token":"00ff","csr":"-----BEGIN\n"}"#,
            ]),
            stream(&[
                r#"{"frame":"hello","version":1,"location":"ams1/p01/r1/u01","generation":7}"#,
                r#"{"frame":"heartbeat"}"#,
                r#"{"frame":"checks","generation":7,"results":[{"name":"file:/a","passed":true,"detail":"x"}]}"#,
            ]),
            stream(&[
                r#"{"frame":"report","hardware":{"cpus":64,"memory_bytes":549755813888,"disks":[{"name":"sda","size_bytes":1,"kind":"ssd"}],"firmware":"1","serial":"2","uuid":"3","nics":[{"name":"eno1","mac":"02:00:00:00:00:01","mbps":25000,"neighbour":{"system":"leaf","port":"swp1"}}],"clock_skew_ms":-3,"system":"x"}}"#,
            ]),
            stream(&[
                r#"{"frame":"token","token":"00","seconds":60}"#,
                r#"{"frame":"certificate","certificate":"x","renew_at":1,"not_after":2,"now":0}"#,
                r#"{"frame":"welcome","version":1,"generation":7,"checks":[{"path":"a","text":"b"}],"heartbeat_seconds":1,"check_seconds":2,"now":3}"#,
                r#"{"frame":"refused","because":"moon","sentence":"no","retry_seconds":4}"#,
            ]),
        ];
        for sample in &samples {
            let stream = &sample[1..];
            let count = super::frames::<super::FromAgent>(stream, 7).0.len()
                + super::frames::<super::FromController>(stream, 7).0.len();
            assert!(count > 0, "a sample is read");
        }
        let pieces: [&[u8]; 12] = [
            b"\0\0\0\x15{\"frame\":\"heartbeat\"}",
            b"\0\0\0\0",
            b"\0\0\0\x02{}",
            b"null",
            b"\"",
            b"\\u0000",
            b"-1",
            b"65536",
            b"18446744073709551616",
            b"[[[[[[[[",
            b"1e400",
            b"\xff",
        ];
        spoil(&samples, &pieces, 40_000, super::agent_frames);
    }

    #[test]
    fn what_the_fuzzer_kept() {
        corpus::run("agent_frames", super::agent_frames);
    }

    #[test]
    fn nesting_and_length_cost_nothing() {
        for inner in [
            "[".repeat(api::agent::FRAME_MAX - 100),
            format!("\"{}", "\\".repeat(api::agent::FRAME_MAX - 100)),
        ] {
            let frame = format!("{{\"frame\":\"heartbeat\",\"x\":{inner}");
            let mut inbox = super::Inbox::new(api::agent::FRAME_MAX);
            inbox.put(&u32::try_from(frame.len()).expect("below the limit").to_be_bytes());
            inbox.put(frame.as_bytes());
            assert!(matches!(inbox.take::<super::FromAgent>(), Err(super::BadFrame::NotAFrame(_))));
        }
    }
}
