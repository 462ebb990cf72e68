//! The ring buffer's reading end.

use std::io;

use aya::maps::{MapData, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Records arrive here in the order in which the kernel side made them.
pub struct Ring {
    buffer: AsyncFd<RingBuf<MapData>>,
}

impl Ring {
    pub(super) fn new(buffer: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring buffer owns its descriptor and lives as long as the registration.
        let buffer = unsafe { AsyncFd::register_with_interest(buffer, Interest::READABLE)? };
        Ok(Self { buffer })
    }

    /// Waits until the kernel side says that there is enough to read.
    ///
    /// # Errors
    ///
    /// When the descriptor can't be waited for.
    pub async fn wake(&mut self) -> io::Result<()> {
        self.buffer.readable_mut().await?.clear_ready();
        Ok(())
    }

    /// Hands at most `limit` waiting records to `take`; returns how many there were.
    pub fn drain(&mut self, limit: usize, mut take: impl FnMut(&[u8])) -> usize {
        let buffer = self.buffer.get_mut();
        let mut count = 0;
        while count < limit {
            let Some(record) = buffer.next() else { break };
            take(&record);
            count += 1;
        }
        count
    }
}
