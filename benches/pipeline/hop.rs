//! What this machine takes for one message to a thread that sleeps: the least that anything beside an application adds
//! to latency. Through ackline a record takes one such hop more than without.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

/// Ages of so many messages over a Unix socket when they are read, a thousand a second, in microseconds.
pub(crate) fn latencies_us(count: u64) -> anyhow::Result<Vec<u64>> {
    let (mut near, mut far) = UnixStream::pair()?;
    let begun = Instant::now();
    let micros = move || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let reader = thread::spawn(move || {
        let (mut ages, mut sent) = (Vec::new(), [0; 8]);
        while far.read_exact(&mut sent).is_ok() {
            ages.push(micros().saturating_sub(u64::from_le_bytes(sent)));
        }
        ages
    });
    for number in 0..count {
        thread::sleep(Duration::from_millis(number).saturating_sub(begun.elapsed()));
        near.write_all(&micros().to_le_bytes())?;
    }
    drop(near);
    reader
        .join()
        .map_err(|_| anyhow!("the reader of the socket failed"))
}
