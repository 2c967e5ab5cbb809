//! From files and standard input into the cluster.

use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use super::cluster::Cluster;
use super::line::{self, Lines};
use super::mistake::{Fault, Place};

/// Longest line.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Reads a whole file, every mistake in it included.
pub fn read_file(path: &Path, into: &mut Lines) {
    let mut place = Place {
        file: path.display().to_string(),
        line: 0,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) => {
            let what = format!("cannot be read: {error}");
            let remedy = "correct the path, or make it readable";
            return into.mistakes.add(&place, Fault::new("", what, remedy));
        }
    };
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    loop {
        match next_line(&mut reader, &mut text) {
            Ok(true) => {}
            Ok(false) => return,
            Err(fault) => {
                place.line += 1;
                return into.mistakes.add(&place, fault);
            }
        }
        place.line += 1;
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match line::read(&text) {
            Ok(line) => into.lines.push((place.clone(), line)),
            Err(faults) => into.mistakes.add_all(&place, faults),
        }
    }
}

/// Reads lines as they come, until the input ends or a line is wrong, which ends the run. Waits for them, so it
/// wants a thread of its own.
pub fn read_rest(input: &mut dyn BufRead, cluster: &Cluster) {
    let mut place = Place {
        file: "standard input".to_owned(),
        line: 0,
    };
    let mut text = Vec::new();
    loop {
        let faults = match next_line(input, &mut text) {
            Ok(true) => {
                place.line += 1;
                if text.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                match line::read(&text) {
                    Ok(line) => match cluster.place(place.clone(), line) {
                        Ok(()) => continue,
                        Err(fault) => vec![fault],
                    },
                    Err(faults) => faults,
                }
            }
            Ok(false) => return cluster.end_input(),
            Err(fault) => {
                place.line += 1;
                vec![fault]
            }
        };
        return cluster.fail_input(&place, faults);
    }
}

/// Reads one line without its end; false at the end of the input.
fn next_line(reader: &mut dyn BufRead, text: &mut Vec<u8>) -> Result<bool, Fault> {
    text.clear();
    let read = reader.take(LINE_BYTES_MAX + 1).read_until(b'\n', text);
    match read {
        Ok(0) => Ok(false),
        Ok(_) if text.len() as u64 > LINE_BYTES_MAX => {
            let what = format!("is longer than {LINE_BYTES_MAX} bytes");
            Err(Fault::new("", what, "test with smaller records"))
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => next_line(reader, text),
        Err(error) => {
            let what = format!("cannot be read: {error}");
            Err(Fault::new("", what, "look at whoever writes it"))
        }
    }
}
