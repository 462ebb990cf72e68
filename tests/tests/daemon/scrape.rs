//! A real Prometheus.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::target::Target;
use harness::{Context, Result, ensure, wait};
use serde_json::Value;

const INSTALL: &str =
    "this test needs Debian's package prometheus: `cargo xtask setup` installs it";

/// Its server. Dropping it kills it.
struct Prometheus {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Prometheus {
    fn scraping(address: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let configuration = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\nscrape_configs:\n  - \
             job_name: memtrace\n    static_configs: [{{targets: ['{address}']}}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, configuration)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log"))?)
            .spawn()
            .context(INSTALL)?;
        Ok(Self { child, port, folder })
    }

    /// The values of an expression, by their labels; nothing while it does not answer.
    fn values(&self, expression: &str) -> Option<Vec<(Value, f64)>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let request =
            format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        let rows = body["data"]["result"].as_array()?.iter().map(|row| {
            let value = row["value"][1].as_str().and_then(|text| text.parse().ok());
            (row["metric"].clone(), value.unwrap_or(f64::NAN))
        });
        Some(rows.collect())
    }

    fn until(&self, expression: &str, is: impl Fn(&[(Value, f64)]) -> bool) -> Result<f64> {
        let found =
            wait::until(expression, || Ok(self.values(expression).filter(|values| is(values))));
        let values = found.with_context(|| {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            format!("last: {:?}\n{}", self.values(expression), log.unwrap_or_default())
        })?;
        Ok(values.first().map_or(0.0, |(_, value)| *value))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_scrapes_what_the_programs_say_and_forgets_what_is_gone() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let stale = format!("{}[metrics]\nstale = \"1s\"\nlines = 3\n", config(&tag));
    let mut target = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let daemon = Daemon::start(&stale)?;
    daemon.process(target.pid)?;
    let prometheus = Prometheus::scraping(&daemon.address)?;
    let truth = target.go()?;
    let mark = truth.mark("keeps")?;
    let stated = mark.grown()? as f64;
    let line =
        format!("memtrace_line_grown_bytes_total{{group=\"resident.py\",line=\"{}\"}}", mark.line);
    let grown = prometheus.until(&line, |rows| rows.iter().any(|(_, value)| *value >= stated))?;
    ensure!(grown < stated + (1 << 20) as f64, "{grown} where {stated} were grown");
    let resident = target.settled()?.rss as f64;
    let rss = "sum(memtrace_group_resident_bytes{group=\"resident.py\"})";
    prometheus.until(rss, |rows| rows.iter().any(|(_, value)| (value - resident).abs() < 1.0))?;
    prometheus.until("count(memtrace_line_grown_bytes_total) <= 3", |rows| rows.len() == 1)?;
    prometheus.until("up == 1", |rows| rows.len() == 1)?;

    let text = daemon.get("/metrics")?;
    ensure!(text.headers["content-type"].contains("version=0.0.4"), "{:?}", text.headers);
    let mut check = Command::new("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context(INSTALL)?;
    check.stdin.take().unwrap().write_all(&text.body)?;
    let said = check.wait_with_output()?;
    ensure!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");

    target.exit()?;
    prometheus.until("memtrace_group_processes{group=\"resident.py\"}", <[_]>::is_empty)?;
    ensure!(!daemon.get("/metrics")?.text().contains("resident.py"), "series of a dead program");
    daemon.stop().map(drop)
}
