//! Frames in and out of one TLS stream, each within its time.
//!
//! In: a stream. Out: whole frames, or the reason why there will be no more. Never holds more than one frame and one
//! read, and never waits without an end.

use api::agent::{BadFrame, FromAgent, FromController, Inbox};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A peer that does not take what is written to it in this time is gone.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

/// One read, in octets; also what an idle connection holds.
const READ_MAX: usize = 4 << 10;

/// A stream of frames.
pub(super) struct Stream<S> {
    socket: S,
    inbox: Inbox,
}

/// Why a stream ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The peer closed it, or the network did.
    Closed,
    /// A whole frame did not come, or was not taken, in its time.
    TooSlow,
    /// It is not our protocol.
    Bad(BadFrame),
}

impl From<BadFrame> for Ended {
    fn from(bad: BadFrame) -> Self {
        Self::Bad(bad)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Takes frames of up to `frame_max` octets from `socket`.
    pub(super) fn new(socket: S, frame_max: usize) -> Self {
        Self { socket, inbox: Inbox::new(frame_max) }
    }

    /// The next frame. It may be dropped while it waits: nothing that was read is lost.
    pub(super) async fn receive(&mut self) -> Result<FromAgent, Ended> {
        loop {
            if let Some(frame) = self.inbox.take::<FromAgent>()? {
                api::agent::within_limits(&frame)?;
                return Ok(frame);
            }
            let mut octets = [0; READ_MAX];
            match self.socket.read(&mut octets).await {
                Ok(0) | Err(_) => return Err(Ended::Closed),
                Ok(read) => self.inbox.put(&octets[..read]),
            }
        }
    }

    /// Writes one frame, whole.
    pub(super) async fn send(&mut self, frame: &FromController) -> Result<(), Ended> {
        let octets = api::agent::encode(frame)?;
        let written = async {
            self.socket.write_all(&octets).await?;
            self.socket.flush().await
        };
        match tokio::time::timeout(WRITE_TIME_MAX, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Closed),
            Err(_) => Err(Ended::TooSlow),
        }
    }

    /// Says goodbye; whether it is heard does not matter.
    pub(super) async fn close(&mut self) {
        let _ = tokio::time::timeout(WRITE_TIME_MAX, self.socket.shutdown()).await;
    }
}
