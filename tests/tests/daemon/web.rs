//! Who gets an answer, and what others can do to the server: nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::target::Target;
use harness::{Result, check, ensure, resources};

#[test]
fn only_this_machine_s_own_names_are_answered_and_no_file_is_to_be_had() -> Result<()> {
    let daemon = Daemon::start(&config(&tag()))?;
    for (host, status) in [("localhost", 200), ("127.0.0.1:80", 200), ("evil.example", 403)] {
        let answer = daemon.ask("/api/overview", &[("Host", host)])?;
        ensure!(answer.status == status, "{host}: {}", answer.status);
    }
    for path in [
        "/etc/passwd",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page.css/../../../etc/passwd",
        "//etc/passwd",
        "/api/report/etc/passwd",
        "/api/source?file=/etc/passwd",
    ] {
        let answer = daemon.get(path)?;
        ensure!(answer.status == 404, "{path}: {}", answer.status);
        ensure!(!answer.text().contains("root:"), "{path} has it");
    }
    let page = daemon.get("/")?;
    ensure!(page.headers["content-security-policy"].contains("default-src 'none'"), "no policy");
    ensure!(page.headers["x-content-type-options"] == "nosniff", "{:?}", page.headers);
    daemon.stop().map(drop)
}

#[test]
fn ten_thousand_malformed_requests_and_a_slow_reader_change_nothing() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut target = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let daemon = Daemon::start(&config(&tag))?;
    let (_, row) = daemon.process(target.pid)?;
    // Readers that take nothing of a large answer, and writers that never come to an end.
    let mut slow = Vec::new();
    for request in ["GET /api/report?format=html HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET / HT"] {
        for _ in 0..10 {
            let mut stream = TcpStream::connect(&daemon.address)?;
            stream.write_all(request.as_bytes())?;
            slow.push(stream);
        }
    }
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let whole = b"GET /api/report?format=json&last=60&measure=net HTTP/1.1\r\nHost: localhost\r\n\
        Accept: */*\r\nContent-Length: 0\r\n\r\n";
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        let mut request = whole.to_vec();
        for _ in 0..=random(5) {
            if request.len() < 2 {
                break;
            }
            let at = random(request.len());
            match random(4) {
                0 => drop(request.remove(at)),
                1 => request[at] = random(256) as u8,
                2 => request.insert(at, random(256) as u8),
                _ => request.truncate(at.max(1)),
            }
        }
        let mut stream = TcpStream::connect(&daemon.address)?;
        // It may hang up before it has read everything.
        let _ = stream.write_all(&request);
        if random(100) == 0 {
            // Closed from this side, it has an end whatever the request was.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            bytes.clear();
            let _ = stream.read_to_end(&mut bytes);
        }
    }
    let truth = target.go()?;
    daemon.next_window()?;
    let report = daemon.report(&format!("space={}", row["space"]))?;
    check::law(&report)?;
    check::resident_by_line(report.process(target.pid)?, &truth)?;
    drop(slow);
    daemon.stop().map(drop)
}

/// Asks by TLS, with and without the token; prints the statuses.
const ASK: &str = r#"
import ssl, sys, urllib.request, urllib.error, base64
address, certificate, token = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)
basic = base64.b64encode(("x:" + token).encode()).decode()
for value in [None, "Bearer " + token, "Bearer " + token[:-1] + "x", "Basic " + basic]:
    headers = {"Authorization": value} if value else {}
    request = urllib.request.Request("https://%s/api/overview" % address, headers=headers)
    try:
        print(urllib.request.urlopen(request, context=context, timeout=30).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"#;

#[test]
fn beyond_loopback_it_takes_the_token_and_speaks_tls() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tls");
    let folder = tempfile::tempdir()?;
    let (token, secret) = (folder.path().join("token"), "0123456789abcdef0123456789abcdef");
    std::fs::write(&token, secret)?;
    let (certificate, key) = (data.join("certificate.pem"), data.join("key.pem"));
    let http = format!(
        "listen = \"0.0.0.0:0\"\ntoken_file = {token:?}\ntls_certificate = {certificate:?}\n\
         tls_key = {key:?}\n"
    );
    let daemon = Daemon::start(&config(&tag()).replace("listen = \"127.0.0.1:0\"\n", &http))?;
    let (_, port) = daemon.address.rsplit_once(':').unwrap();
    let mut ask = Command::new(&newest()?.path);
    ask.env("no_proxy", "*");
    ask.args(["-c", ASK, &format!("127.0.0.1:{port}")]).arg(certificate).arg(secret);
    let statuses = resources::succeed(&mut ask)?;
    let statuses: Vec<&str> = statuses.split_whitespace().collect();
    ensure!(statuses == ["401", "200", "401", "200"], "{statuses:?}");
    // Without TLS there is no answer at all.
    let plain = TcpStream::connect(format!("127.0.0.1:{port}")).and_then(|mut stream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    })?;
    ensure!(!plain.contains("HTTP/1.1 200"), "{plain}");
    daemon.stop().map(drop)
}
