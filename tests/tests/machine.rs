//! What `ps` and `doctor` say of this machine.

use harness::interpreters::{newest, unsupported};
use harness::memtrace::{self, finish};
use harness::process::Process;
use harness::{Context, Result, ensure, resources};

#[test]
fn ps_lists_python_processes_and_their_versions() -> Result<()> {
    resources::root()?;
    let (python, old) = (newest()?, unsupported(3, 6)?);
    let (process, unsupported) = (Process::waiting(&python.path)?, Process::waiting(&old.path)?);
    let output = finish(&mut memtrace::command(["ps"])?)?;
    output.expect_code(0)?;
    for (process, version) in [(&process, &python), (&unsupported, &old)] {
        let pid = process.pid();
        let mut lines = output.stdout.lines();
        let line = lines.find(|line| line.split_whitespace().any(|word| word == pid));
        let line = line.with_context(|| format!("{pid} is not in {}", output.stdout))?;
        ensure!(line.contains(&version.version_text()), "{line:?}");
    }
    let json = finish(&mut memtrace::command(["ps", "--format", "json"])?)?;
    json.expect_code(0)?;
    serde_json::from_str::<serde_json::Value>(&json.stdout).context("ps in JSON").map(drop)
}

#[test]
fn doctor_finds_this_machine_fit() -> Result<()> {
    resources::root()?;
    let output = finish(&mut memtrace::command(["doctor"])?)?;
    output.expect_code(0)?;
    for word in ["kernel", "BTF", "tracefs", "ring buffer", "CAP_BPF", "CAP_PERFMON", "lockdown"] {
        let said = output.stdout.to_lowercase();
        ensure!(said.contains(&word.to_lowercase()), "nothing about {word} in {said:?}");
    }
    Ok(())
}
