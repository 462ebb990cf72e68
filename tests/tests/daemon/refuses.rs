//! Configurations that can't be meant.

use std::path::Path;

use harness::memtrace::{self, Output, finish};
use harness::{Result, ensure};

fn checked(text: &str) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("memtrace.toml");
    std::fs::write(&file, text)?;
    finish(memtrace::command(["daemon", "--check", "--config"])?.arg(file))
}

#[test]
fn a_mistake_is_told_with_file_line_and_mend_and_is_wrong_usage() -> Result<()> {
    let words = ["memtrace.toml:2: ", "widnow", "expected", "window"];
    checked("[trace]\nwidnow = \"2s\"\n")?.expect_code(2)?.expect_words(&words)?;
    let words = ["memtrace.toml:3: ", "other machines", "token_file", "127.0.0.1:80"];
    checked("[http]\n\nlisten = \"0.0.0.0:80\"\n")?.expect_code(2)?.expect_words(&words)?;
    checked("")?.expect_code(0)?.expect_words(&["is sound"])?;
    let missing = finish(&mut memtrace::command(["daemon", "--config", "/nowhere.toml"])?)?;
    missing.expect_code(2)?.expect_words(&["/nowhere.toml", "--config"]).map(drop)
}

#[test]
fn files_for_the_server_are_looked_at_before_anything_is_done() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tls");
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    let config = |token: &Path, certificate: &Path, key: &Path| {
        format!(
            "[http]\nlisten = \"0.0.0.0:0\"\ntoken_file = {token:?}\ntls_certificate = \
             {certificate:?}\ntls_key = {key:?}\n"
        )
    };
    let (certificate, key) = (data.join("certificate.pem"), data.join("key.pem"));
    std::fs::write(&token, "short")?;
    let words = ["token", "openssl rand"];
    checked(&config(&token, &certificate, &key))?.expect_code(1)?.expect_words(&words)?;
    std::fs::write(&token, "0123456789abcdef0123456789abcdef\n")?;
    checked(&config(&token, &certificate, &key))?.expect_code(0)?;
    checked(&config(&token, &key, &certificate))?.expect_code(1)?.expect_words(&["PEM"])?;
    let none = folder.path().join("none");
    let output = checked(&config(&token, &none, &key))?;
    output.expect_code(1)?;
    ensure!(output.stderr.contains("none"), "{}", output.stderr);
    Ok(())
}
