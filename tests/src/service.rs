//! A small HTTP service under load, for what tracing does to those who are served: every answer is
//! checked to the byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::attach::Tracer;
use crate::conversation::Lines;
use crate::interpreters::Interpreter;
use crate::memtrace::Build;
use crate::target::command;
use crate::wait::PATIENCE;
use crate::{check, memory};

/// The service of `programs/service.py`. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    child: Child,
    output: Lines,
    /// Its pid.
    pub pid: u32,
    port: u16,
}

/// What came of a load.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// Requests that were answered rightly: all.
    pub requests: u64,
    /// Traces that began and ended meanwhile.
    pub traces: u32,
    /// All of it.
    pub took: Duration,
    /// The longest that one request took.
    pub slowest: Duration,
}

impl Service {
    /// Starts it.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn start(python: &Interpreter) -> Result<Self> {
        let mut command: Command = command(python, "service.py", &[""; 0])?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = Lines::new("the service", child.stdout.take().context("its output")?);
        let line = output.take_line()?.context("the service ended at once")?;
        let mut words = line.strip_prefix("ready ").context("not ready")?.split(' ');
        let mut word = || words.next().context("ready PID PORT");
        let (pid, port) = (word()?.parse()?, word()?.parse()?);
        Ok(Self { child, output, pid, port })
    }

    /// Ends it in peace; gives the number of requests that it says it has answered.
    ///
    /// # Errors
    /// When it doesn't end well.
    pub fn end(mut self) -> Result<u64> {
        drop(self.child.stdin.take());
        let line = self.output.take_line()?.context("the service said nothing at its end")?;
        ensure!(self.child.wait()?.success(), "the service failed");
        Ok(line.strip_prefix("done ").context("done")?.parse()?)
    }

    /// Asks for `requests` answers over `connections` at once, while traces of `each` begin and end
    /// one after the other until at least `traces` have and all is answered.
    ///
    /// # Errors
    /// The first request that was not answered, or answered wrongly; a trace that failed or whose
    /// figures don't add up.
    pub fn under_load(
        &self,
        requests: u64,
        connections: u64,
        traces: u32,
        build: Build,
    ) -> Result<Served> {
        let begun = Instant::now();
        let port = self.port;
        let (next, enough) = (AtomicU64::new(0), AtomicBool::new(traces == 0));
        let (answered, slowest) = (AtomicU64::new(0), AtomicU64::new(0));
        let client = || -> Result<()> {
            let mut connection = Connection::open(port)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests && enough.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let asked = Instant::now();
                connection.ask(number)?;
                let took = u64::try_from(asked.elapsed().as_micros())?;
                slowest.fetch_max(took, Ordering::Relaxed);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        };
        let traced = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
            let mut done = 0;
            // The clients must be let go whatever becomes of a trace.
            let traced = loop {
                if done >= traces {
                    break Ok(done);
                }
                match self.trace_once(build) {
                    Ok(()) => done += 1,
                    Err(error) => break Err(error.context(format!("trace {done}"))),
                }
            };
            enough.store(true, Ordering::Relaxed);
            for client in clients {
                match client.join() {
                    Ok(served) => served?,
                    Err(_) => bail!("a client panicked"),
                }
            }
            traced
        })?;
        Ok(Served {
            requests: answered.into_inner(),
            traces: traced,
            took: begun.elapsed(),
            slowest: Duration::from_micros(slowest.into_inner()),
        })
    }

    fn trace_once(&self, build: Build) -> Result<()> {
        let tracer = Tracer::attach_with(build, &[self.pid], &[])?;
        std::thread::sleep(Duration::from_millis(50));
        let report = tracer.stop()?.report()?;
        check::law(&report)?;
        ensure!(memory::alive(self.pid), "the service died");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// One request; its answer is checked.
    fn ask(&mut self, number: u64) -> Result<()> {
        let what = || format!("request {number}");
        let request = format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).with_context(what)?;
        let (mut status, mut length, mut line) = (String::new(), None, String::new());
        self.stream.read_line(&mut status).with_context(what)?;
        ensure!(status == "HTTP/1.1 200 OK\r\n", "request {number}: {status:?}");
        loop {
            line.clear();
            self.stream.read_line(&mut line).with_context(what)?;
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = Some(value.trim().parse::<usize>()?);
            }
            if line == "\r\n" || line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length.with_context(what)?];
        self.stream.read_exact(&mut body).with_context(what)?;
        let due = format!("{number}\n").repeat(1 + usize::try_from(number % 200)?);
        ensure!(body == due.as_bytes(), "request {number} has another answer");
        Ok(())
    }
}
