//! What a daemon's answers take of memory, while they are made and read: by HTTP, of 200 processes whose windows
//! are made by a rule.
//!
//! An allocator counts. The figures of the processes come to far more than the limit, and so does the answer: who has
//! either in memory as a whole does not pass.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod counting;
mod machine;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;

use counting::{LIVE, PEAK};
use machine::{LINES, PROCESSES};

/// The most that an answer may take while it is made. The server's threads, the table of names that they share
/// and what the client reads into are counted, too.
const LIMIT: usize = 6 << 20;

/// Asks, and gives a reader of the body, with its length.
fn ask(address: SocketAddr, query: &str) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        format!("GET /api/report?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{query}: {head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    (stream, length.unwrap().parse().unwrap())
}

/// Reads an answer piece by piece. Gives its size, and the most that was live meanwhile beyond what was before.
fn taken(address: SocketAddr, query: &str) -> (usize, usize) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let (mut stream, told) = ask(address, query);
    let (mut piece, mut length) = (vec![0; 16 << 10], 0);
    loop {
        match stream.read(&mut piece).unwrap() {
            0 => break,
            read => length += read,
        }
    }
    assert_eq!(length, told, "{query}: cut short");
    (length, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

#[test]
fn an_answer_takes_little_whatever_its_size() {
    let address = machine::served();
    for (query, least) in [
        ("format=json", 5 * LIMIT),
        ("format=csv", LIMIT),
        ("format=json&group=1&separate=true", 5 * LIMIT),
        // All workers as one.
        ("format=json&group=1", 0),
        ("format=html&group=1", 0),
        ("format=pprof&group=1", 0),
    ] {
        let (length, peak) = taken(address, query);
        assert!(length > least, "{query} has {length} bytes: nothing was tested");
        assert!(peak < LIMIT, "{query}: {peak} bytes for {length}");
    }
    // And it is all there.
    let (stream, _) = ask(address, "format=json");
    let report: serde_json::Value =
        serde_json::from_reader(std::io::BufReader::new(stream)).unwrap();
    let processes = report["processes"].as_array().unwrap();
    assert_eq!(processes.len(), PROCESSES as usize);
    for (number, process) in (0..).zip(processes) {
        assert_eq!(process["pid"], machine::pid(number));
        assert_eq!(process["lines"].as_array().unwrap().len(), LINES as usize);
        assert_eq!(process["attributed_bytes"], machine::grown(number));
        assert_eq!(process["law_gap_bytes"], 0);
    }
}
