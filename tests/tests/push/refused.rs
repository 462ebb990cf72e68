//! What can't be meant is refused in one sentence, with the mend, before anything is sent.

use harness::memtrace::{command, finish};
use harness::{Result, ensure};

use crate::Recorded;

#[test]
fn nonsense_is_wrong_usage_and_says_the_mend() -> Result<()> {
    let file = ["push", "no-such-file.memtrace"];
    let to = ["--to", "http://127.0.0.1:9"];
    for (options, words) in [
        (vec!["--to", "somewhere", "--as", "parca"], vec!["no address", "http://pyroscope:4040"]),
        (vec!["--to", "http://u:secret@a", "--as", "parca"], vec!["--token-file"]),
        (vec!["--to", "http://a/b", "--as", "otlp-grpc"], vec!["a path of its own"]),
        ([&to[..], &["--as", "statsd"]].concat(), vec!["statsd", "pyroscope"]),
        ([&to[..], &["--as", "parca", "--header", "x"]].concat(), vec!["X-Scope-OrgID=team"]),
        ([&to[..], &["--as", "parca", "--attribute", "x"]].concat(), vec!["host.name=web-1"]),
        ([&to[..], &["--as", "parca", "--every", "10ms"]].concat(), vec!["1s or longer"]),
        ([&to[..], &["--as", "parca", "--token-file", "/none"]].concat(), vec!["/none"]),
        (to.to_vec(), vec!["--as"]),
    ] {
        let output = finish(command(file)?.args(&options))?;
        output.expect_code(2)?.expect_words(&words)?;
        ensure!(!output.stderr.contains("secret@"), "{}", output.stderr);
    }
    let neither = finish(command(["push"])?.args(to).args(["--as", "parca"]))?;
    neither.expect_code(2)?.expect_words(&["FILE"])?;
    Ok(())
}

#[test]
fn a_recording_without_that_time_or_process_fails() -> Result<()> {
    let recorded = Recorded::make()?;
    let store = harness::store::Store::open(&[])?;
    for (options, words) in [
        (vec!["--from", "5h"], vec!["before --from"]),
        (vec!["--from", "2s", "--until", "1s"], vec!["--from must be before --until"]),
        (vec!["--process", "1"], vec!["nothing to send"]),
    ] {
        let output = recorded.push(&store, "parca", &options)?;
        output.expect_code(1)?.expect_words(&words)?;
    }
    let mut missing = command(["push", "no-such-file.memtrace", "--to", &store.url()])?;
    let output = finish(missing.args(["--as", "parca"]))?;
    output.expect_code(1)?.expect_words(&["can't read no-such-file.memtrace"])?;
    ensure!(store.came().is_empty());
    Ok(())
}

#[test]
fn a_machine_without_certificates_pushes_by_http_and_says_why_it_cannot_by_https() -> Result<()> {
    let recorded = Recorded::make()?;
    for form in ["pyroscope", "otlp-grpc"] {
        let store = harness::store::Store::open(&[])?;
        let bare = |command: &mut std::process::Command| {
            command.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
            finish(command)
        };
        bare(&mut recorded.command(&store, form, &[])?)?.expect_code(0)?;
        ensure!(!store.taken().is_empty());
        let url = store.url().replace("http:", "https:");
        let mut secure = command(["push"])?;
        secure.arg(&recorded.recording.file).args(["--to", &url, "--as", form]);
        bare(&mut secure)?.expect_code(1)?.expect_words(&["can't prepare connections", "cert"])?;
    }
    Ok(())
}
