//! The forms of real traces: what each comes to is what the kernel says.

use harness::interpreters::newest;
use harness::memtrace::{self, finish};
use harness::target::program;
use harness::{Context, Result, ensure, resources};

/// Runs a program that keeps memory by one line, and gives its report in this form.
fn traced(form: &[&str]) -> Result<String> {
    resources::root()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report");
    let mut command = memtrace::command(["run", "-o"])?;
    command.arg(&file).args(form).arg("--").arg(newest()?.path).arg(program("grows.py"));
    finish(&mut command)?.expect_code(0)?;
    Ok(std::fs::read_to_string(&file)?)
}

#[test]
fn folded_stacks_of_a_real_trace_come_to_the_change_of_rss() -> Result<()> {
    let text = traced(&["-f", "folded"])?;
    // The command may be several processes, each of several lives.
    let (mut lines, mut rows) = (0, 0);
    for law in text.lines().filter(|line| line.starts_with("# process ")) {
        let terms: Vec<i64> = law.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [before, of_lines, of_rows, after] = terms[..] else {
            harness::bail!("not the four terms of the law: {law}");
        };
        ensure!(before + of_lines + of_rows == after, "{law}");
        lines += of_lines;
        rows += of_rows;
    }
    let (mut of_lines, mut of_rows) = (0, 0);
    for stack in text.lines().filter(|line| !line.starts_with("# ")) {
        let (frames, size) = stack.rsplit_once(' ').context("a size")?;
        let size: i64 = size.parse()?;
        let signed = if frames.starts_with("shrank;") { -size } else { size };
        *(if frames.ends_with(']') { &mut of_rows } else { &mut of_lines }) += signed;
    }
    ensure!(
        (of_lines, of_rows) == (lines, rows),
        "{of_lines} and {of_rows}, not {lines} and {rows}\n{text}"
    );
    ensure!(!text.contains("UNEXPLAINED"), "{text}");
    Ok(())
}

#[test]
fn the_line_that_grew_is_a_frame_with_its_growth() -> Result<()> {
    let text = traced(&["-f", "folded", "--measure", "grown", "--split-threads"])?;
    // The one line of grows.py that keeps 16 MiB; its end gives them back, which is no growth.
    let leaf = |line: &&str| line.contains("/grows.py:7) ");
    let stack = text.lines().find(leaf).with_context(|| format!("no such line:\n{text}"))?;
    let (frames, size) = stack.rsplit_once(' ').context("a size")?;
    let size: i64 = size.parse()?;
    ensure!((size - (16 << 20)).abs() <= (16 << 20) / 100, "{stack}");
    let frames: Vec<_> = frames.split(';').collect();
    ensure!(frames.len() == 3 && frames[1].starts_with("thread "), "{stack}");
    ensure!(frames[2].starts_with("<module> ("), "{stack}");
    Ok(())
}
