//! The forms of a report where people use them: on a terminal, in a pipe, in a file, and what a
//! shell completes. What the forms say is tested where they are made, without tracing.

use std::process::Command;

use harness::interpreters::newest;
use harness::memtrace::{self, Build, Output, finish};
use harness::process::Process;
use harness::{Context, Result, ensure, resources};

/// Runs memtrace on a terminal of 100 columns, as `script` makes one, with these settings. What it
/// printed is in `stdout`, whichever stream it was.
fn on_terminal(arguments: &str, settings: &[(&str, &str)]) -> Result<Output> {
    resources::root()?;
    let run = format!("stty cols 100 rows 40; exec \"$MEMTRACE\" {arguments}");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &run, "/dev/null"]);
    command.env("MEMTRACE", memtrace::binary(Build::Dev)?).env("SHELL", "/bin/sh");
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    finish(command.envs(settings.iter().copied()))
}

const BOLD: &str = "\u{1b}[1m";

#[test]
fn headings_are_bold_on_a_terminal_unless_no_color_says_otherwise() -> Result<()> {
    let python = Process::waiting(&newest()?.path)?;
    let attach = format!("attach {} --duration 300ms", python.pid());
    for (settings, bold) in [
        (&[][..], true),
        (&[("NO_COLOR", "")], true), // set to nothing: not set
        (&[("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        let output = on_terminal(&attach, settings)?;
        output.expect_code(0)?;
        ensure!(output.stdout.contains("Process "), "no table: {output:?}");
        ensure!(output.stdout.contains(BOLD) == bold, "{settings:?}: {:?}", output.stdout);
    }
    let mut piped = memtrace::command(["attach", &python.pid(), "--duration", "300ms"])?;
    let output = finish(piped.env_remove("NO_COLOR"))?;
    ensure!(!output.stdout.contains('\u{1b}'), "{:?}", output.stdout);
    Ok(())
}

#[test]
fn progress_is_for_terminals_and_leaves_with_the_work() -> Result<()> {
    let python = Process::waiting(&newest()?.path)?;
    let attach = format!("attach {} --duration 1s", python.pid());
    let shown = on_terminal(&attach, &[])?;
    ensure!(shown.stdout.contains("tracing: 0s of 1s"), "{:?}", shown.stdout);
    // The line is erased before the report begins.
    let (progress, report) = shown.stdout.split_once("memtrace: 1 process").context("a report")?;
    ensure!(progress.trim_end_matches(BOLD).ends_with("\r\u{1b}[2K"), "{progress:?}");
    ensure!(!report.contains("tracing:"), "{report:?}");

    let quiet = on_terminal(&format!("{attach} --quiet"), &[])?;
    ensure!(!quiet.stdout.contains("tracing:"), "{:?}", quiet.stdout);
    let piped = finish(&mut memtrace::command(["attach", &python.pid(), "--duration", "1s"])?)?;
    ensure!(!piped.stderr.contains("tracing:"), "{:?}", piped.stderr);
    Ok(())
}

#[test]
fn a_binary_form_goes_to_a_file_or_a_pipe_but_to_no_terminal() -> Result<()> {
    let python = Process::waiting(&newest()?.path)?;
    let attach = format!("attach {} --duration 300ms --format pprof", python.pid());
    let refused = on_terminal(&attach, &[])?;
    refused.expect_code(2)?;
    ensure!(refused.stdout.contains("terminal") && refused.stdout.contains("-o FILE"));
    ensure!(!refused.stdout.contains("attached"), "it traced first: {:?}", refused.stdout);

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("profile.pb.gz");
    let named = format!("{attach} -o {}", file.display());
    on_terminal(&named, &[])?.expect_code(0)?;
    ensure!(std::fs::read(&file)?.starts_with(&[0x1f, 0x8b]), "not gzip");

    let mut command = memtrace::command(attach.split_whitespace())?;
    let piped = command.stderr(std::process::Stdio::null()).output()?;
    ensure!(piped.stdout.starts_with(&[0x1f, 0x8b]), "not gzip");

    // Beside a command it would end among the command's own messages.
    let run = memtrace::command(["run", "--format", "pprof", "--", "echo", "it ran"])?.output()?;
    ensure!(run.status.code() == Some(2) && run.stdout.is_empty(), "{run:?}");
    Ok(())
}

/// What bash would offer after these words.
fn completed(words: &[&str]) -> Result<Vec<String>> {
    let script = finish(&mut memtrace::command(["completions", "bash"])?)?;
    script.expect_code(0)?;
    let last = words.last().context("a word")?;
    let ask = format!(
        "{}\nCOMP_WORDS=({}); COMP_CWORD={}; _memtrace memtrace '{last}' '{}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.stdout,
        words.join(" "),
        words.len() - 1,
        words[words.len() - 2],
    );
    let mut bash = Command::new("bash");
    let said = resources::succeed(bash.args(["--norc", "--noprofile", "-c", &ask]))?;
    Ok(said.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_commands_forms_and_measures() -> Result<()> {
    ensure!(completed(&["memtrace", "att"])? == ["attach"]);
    ensure!(completed(&["memtrace", "attach", "--format", "f"])? == ["folded", "flamegraph"]);
    let measures = completed(&["memtrace", "run", "--measure", "\"\""])?;
    let all = ["grown", "net", "resident", "events", "allocated", "allocations", "live"];
    ensure!(measures == all, "{measures:?}");
    Ok(())
}

#[test]
fn every_shell_gets_its_completions() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = finish(&mut memtrace::command(["completions", shell])?)?;
        output.expect_code(0)?;
        for word in ["attach", "doctor", "split-threads"] {
            ensure!(output.stdout.contains(word), "{shell}: nothing about {word}");
        }
    }
    let unknown = finish(&mut memtrace::command(["completions", "cmd.exe"])?)?;
    unknown.expect_code(2)?.expect_words(&["cmd.exe", "zsh"]).map(drop)
}

#[test]
fn every_command_has_a_man_page() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cargo = resources::cargo();
    cargo.args(["run", "--quiet", "-p", "memtrace", "--example", "man", "--"]).arg(folder.path());
    resources::succeed(&mut cargo)?;
    let help = finish(&mut memtrace::command(["--help"])?)?.stdout;
    let commands = help.split_once("Commands:\n").context("a list of commands")?.1;
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(commands.contains(&"attach") && commands.contains(&"completions"), "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let page = std::fs::read_to_string(folder.path().join(format!("memtrace-{command}.1")))?;
        ensure!(page.contains(&format!(".TH memtrace-{command} 1")), "{page}");
        ensure!(page.contains("\\-\\-help"), "{page}");
    }
    Ok(())
}
