//! `memtrace explain` as it is typed: what it refuses, what it prints, what it compares.

use std::process::Command;

use harness::explained::{self, Explained};
use harness::interpreters::{newest, unsupported};
use harness::memtrace::{self, Output, finish};
use harness::process::Process;
use harness::target::Target;
use harness::{Context, Result, ensure, resources};
use serde_json::Value;

#[test]
fn what_is_not_a_python_that_it_knows_is_named() -> Result<()> {
    for (major, minor) in [(2, 7), (3, 7)] {
        let python = unsupported(major, minor)?;
        let process = Process::waiting(&python.path)?;
        let output = explained::run(process.pid().parse()?, &[])?;
        let version = format!("{major}.{minor}");
        output.expect_code(1)?.expect_words(&[&process.pid(), &version, "3.8", "3.15"])?;
        ensure!(output.stdout.is_empty(), "{}", output.stdout);
    }
    let sleep = Process::start(Command::new("sleep").arg("1000"))?;
    let output = explained::run(sleep.pid().parse()?, &[])?;
    output.expect_code(1)?.expect_words(&[&sleep.pid(), "sleep", "Python"])?;
    let mut gone = Command::new("true").spawn()?;
    gone.wait()?;
    let output = explained::run(gone.id(), &[])?;
    output.expect_words(&[&gone.id().to_string()])?;
    ensure!(!output.status.success(), "{output:?}");
    Ok(())
}

fn diff(arguments: &[&str]) -> Result<Output> {
    let words = ["explain", "--diff"].into_iter().chain(arguments.iter().copied());
    finish(&mut memtrace::command(words)?)
}

#[test]
fn two_looks_show_which_types_and_which_memory_grew() -> Result<()> {
    resources::root()?;
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (first, second) = (file("a.json"), file("b.json"));
    let mut target = Target::start(&newest()?, "explained.py", &["objects"])?;
    let pid = target.pid;
    let look = |file: &str| -> Result<Explained> {
        let output = explained::run(pid, &["-f", "json", "-o", file])?;
        output.expect_code(0)?;
        ensure!(output.stdout.is_empty(), "{}", output.stdout);
        Explained::read(file.as_ref())
    };
    let before = look(&first)?;
    target.go()?;
    let after = look(&second)?;

    let output = diff(&[&first, &second, "-f", "json"])?;
    output.expect_code(0)?;
    let json: Value = serde_json::from_str(&output.stdout)?;
    ensure!(json["schema"] == "memtrace.explain-diff/1", "{}", json["schema"]);
    let rss = |explained: &Explained| explained.number(&["rss_bytes"]);
    ensure!(json["rss_change_bytes"].as_i64() == Some(rss(&after)? - rss(&before)?), "{json}");
    let types = json["types"].as_array().context("types")?;
    let plain = types.iter().find(|it| it["name"] == "__main__.Plain").context("Plain")?;
    ensure!(plain["before_count"] == 0 && plain["change_count"] == 1234, "{plain}");

    let output = diff(&[&first, &second])?;
    output.expect_code(0)?;
    let line = output.stdout.lines().find(|line| line.ends_with("__main__.Plain"));
    let words: Vec<_> = line.context("a line of Plain")?.split_whitespace().collect();
    ensure!(words[1..4] == ["1234", "0", "1234"], "{words:?}");
    Ok(())
}

#[test]
fn what_can_not_be_compared_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let other = file("other.json", r#"{"schema": "memtrace.report/1"}"#)?;
    let damaged = file("damaged.json", r#"{"schema": "memtrace.explain/1", "pid": 1}"#)?;
    let nothing = file("nothing.json", "")?;
    diff(&[&other, &other])?.expect_code(1)?.expect_words(&["other.json", "memtrace.report/1"])?;
    diff(&[&damaged, &other])?.expect_code(1)?.expect_words(&["damaged.json", "damaged"])?;
    diff(&[&nothing, &other])?.expect_code(1)?.expect_words(&["nothing.json"])?;
    diff(&["/no/such", &other])?.expect_code(1)?.expect_words(&["/no/such"])?;
    diff(&[&other])?.expect_code(2)?;
    finish(&mut memtrace::command(["explain"])?)?.expect_code(2)?.expect_words(&["PID"])?;
    finish(&mut memtrace::command(["explain", "0"])?)?.expect_code(2).map(drop)
}

#[test]
fn the_table_says_what_the_json_says() -> Result<()> {
    let mut target = Target::start(&newest()?, "explained.py", &["freed"])?;
    target.go()?;
    let json = Explained::of(target.pid, &[])?;
    let output = explained::run(target.pid, &["--limit", "3"])?;
    output.expect_code(0)?;
    let mib = |bytes: i64| format!("{}.{:03}", bytes >> 20, ((bytes & 0xf_ffff) * 1000) >> 20);
    let whole = json.number(&["rss_bytes"])?;
    let sum = output.stdout.lines().find(|line| line.ends_with("Rss of smaps_rollup"));
    let said = sum.and_then(|line| line.split_whitespace().next()).context("the sum")?;
    // Rounded there, cut off here.
    let difference = said.parse::<f64>()? - mib(whole).parse::<f64>()?;
    ensure!(difference.abs() <= 0.0011, "the table says {said}, JSON {whole}");
    for sentence in json.json["sentences"].as_array().context("sentences")? {
        let sentence = sentence.as_str().context("a sentence")?;
        let printed = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(printed.contains(sentence), "{sentence:?} is not in the table");
    }
    Ok(())
}
