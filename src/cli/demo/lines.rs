//! The demonstration without a terminal: a line each second, and one for everything that happens.

use std::io::{self, Write};
use std::time::Duration;

use super::news::{Item, Kind};
use super::picture::Picture;

/// Writes what happened since, and how things stand.
pub(super) fn write(out: &mut impl Write, picture: &Picture, news: &[Item]) -> io::Result<()> {
    write_news(out, news)?;
    let Picture { totals, .. } = picture;
    writeln!(
        out,
        "{}  produced {:>6}  acknowledged {:>6}  committed {:>6}  in flight {:>3}  waiting {:>4}  \
         redelivered {:>4}  streams {}",
        seconds(picture.elapsed),
        totals.produced,
        picture.acknowledged,
        picture.committed,
        picture.in_flight,
        picture.waiting,
        picture.redelivered,
        picture.streams,
    )?;
    out.flush()
}

/// Writes what happened.
pub(super) fn write_news(out: &mut impl Write, news: &[Item]) -> io::Result<()> {
    for item in news {
        let mark = match item.kind {
            Kind::Good => '+',
            Kind::Fault => '-',
            Kind::Warning => '!',
        };
        writeln!(out, "{}  {mark} {}", seconds(item.at), item.text)?;
    }
    Ok(())
}

/// Writes words that are not about a moment.
pub(super) fn write_words(out: &mut impl Write, words: &str) -> io::Result<()> {
    writeln!(out, "{words}\n")
}

/// Seconds since the start, in six columns.
pub(super) fn seconds(at: Duration) -> String {
    format!("{:>6.1} s", at.as_secs_f64())
}
