//! memtrace beside other memory profilers, on the same programs: each run of a tool is preceded by one
//! without any, and the page says how much longer the program took, what tool and program needed, and
//! what each says of lines whose growth is known. There is no bar: what it finds is the page.
//!
//! Needs root, a release build of memtrace and the tools, which `cargo xtask bench --peers` installs.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use clap::Parser;
use harness::memtrace::{self, Build};
use harness::peers::page::{self, Cell, Section};
use harness::peers::{self, Place, Tool, run};
use harness::{Context, Result, ensure, resources};

const CASES: [(&str, &str); 12] = [
    ("objects", "1.5 million small objects, kept"),
    ("buffers", "32 buffers of 8 MiB, kept"),
    ("numpy", "32 arrays of 8 MiB, kept"),
    ("partly", "768 MiB mapped on one line, half of it touched on another"),
    ("leak", "12,000 rounds of short-lived strings, each leaking 16 kB"),
    ("unmapped", "16 MiB mapped, touched, unmapped, 60 times"),
    ("documents", "JSON to objects and back; nothing is kept"),
    ("trees", "recursive calls and small objects that die together"),
    ("deltablue", "pyperformance's: method calls and short-lived objects"),
    ("float", "pyperformance's: 100,000 objects with slots, six times"),
    ("go", "pyperformance's: a player of Go, calls and lists"),
    ("richards", "pyperformance's: a scheduler of tasks, method calls"),
];

/// Runs memtrace and other memory profilers on the same programs.
#[derive(Parser)]
struct Arguments {
    /// Where the tools are
    #[arg(long)]
    tools: PathBuf,
    /// Pairs of runs for each tool and case
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these cases
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only tools with these words in their names
    #[arg(long, value_delimiter = ',')]
    with: Vec<String>,
    /// Where the page goes [default: docs/benchmarks.md when all is measured, else standard output]
    #[arg(long, short)]
    output: Option<PathBuf>,
}

fn one(tool: &Tool, case: &str, arguments: &Arguments) -> Result<run::Run> {
    let folder = tempfile::tempdir()?;
    let program = resources::workspace().join("tests/programs/peers.py").canonicalize()?;
    let place = Place {
        folder: folder.path().to_owned(),
        tools: arguments.tools.clone(),
        memtrace: memtrace::binary(Build::Release)?,
        program: program.display().to_string(),
        arguments: vec![case.to_owned(), folder.path().join("result.json").display().to_string()],
    };
    run::once(tool, &place)
}

fn section(case: &'static str, what: &'static str, arguments: &Arguments) -> Result<Section> {
    let untraced = peers::untraced();
    one(&untraced, case, arguments).context("without a tool")?; // warms the page cache
    let wanted = |tool: &Tool| {
        arguments.with.is_empty() || arguments.with.iter().any(|word| tool.name.contains(&**word))
    };
    let tools: Vec<Tool> = peers::all().into_iter().filter(wanted).collect();
    let mut cells: Vec<Cell> = tools
        .iter()
        .map(|tool| Cell {
            tool: tool.name,
            by_line: tool.by_line,
            pairs: Vec::new(),
            failed: None,
        })
        .collect();
    // All tools in turn, then all again: what drifts over the minutes touches all alike.
    for _ in 0..arguments.runs {
        for (tool, cell) in tools.iter().zip(&mut cells).filter(|(_, cell)| cell.failed.is_none()) {
            let without = one(&untraced, case, arguments).context("without a tool")?;
            match one(tool, case, arguments) {
                Ok(with) => cell.pairs.push((without, with)),
                Err(error) => {
                    eprintln!("{case}: {}: {error:#}", tool.name);
                    cell.failed = Some(format!("{error:#}"));
                }
            }
        }
    }
    Ok(Section { case, what, cells })
}

fn introduction(arguments: &Arguments) -> Result<String> {
    let python = arguments.tools.join("python/bin/python");
    let mut freeze = Command::new(&python);
    freeze.args(["-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]);
    let listed = resources::succeed(&mut freeze)?;
    let version = resources::succeed(Command::new(&python).arg("--version"))?;
    let names = [
        "memray",
        "scalene",
        "filprofiler",
        "memory-profiler",
        "memory_profiler",
        "austin-dist",
        "numpy",
        "pyperformance",
    ];
    let mine: Vec<String> = listed
        .lines()
        .filter_map(|line| line.split_once("=="))
        .filter(|(name, _)| names.contains(name))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut text = format!(
        "# Side by side\n\nMade by `cargo xtask bench --peers`; its figures are not edited. {}; Linux {}; {} CPUs; {} pairs of runs of each tool and case.\n{}, \
         tracemalloc of the standard library, bcc's memleak (as built with libbpf) of Debian.\n\n",
        version.trim(),
        kernel.trim().split('-').next().unwrap_or_default(),
        std::thread::available_parallelism()?,
        arguments.runs,
        mine.join(", "),
    );
    text += include_str!("../peers/introduction.md");
    text += "\n| tool | its figure for a line |\n| --- | --- |\n";
    for tool in peers::all() {
        writeln!(text, "| {} | {} |", tool.name, tool.figure)?;
    }
    Ok(text)
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    resources::root()?;
    arguments.tools = arguments.tools.canonicalize().context("--tools")?;
    for name in &arguments.only {
        ensure!(CASES.iter().any(|case| case.0 == name), "there is no case {name:?}");
    }
    let whole = arguments.only.is_empty() && arguments.with.is_empty();
    let page = whole.then(|| resources::workspace().join("docs/benchmarks.md"));
    let output = arguments.output.clone().or(page);
    let mut text = introduction(&arguments)?;
    for (case, what) in CASES {
        if arguments.only.is_empty() || arguments.only.iter().any(|name| name == case) {
            eprintln!("{case}");
            text += &page::section(&section(case, what, &arguments).context(case)?);
            if let Some(file) = &output {
                std::fs::write(file, &text).with_context(|| file.display().to_string())?;
            }
        }
    }
    if output.is_none() {
        print!("{text}");
    }
    Ok(())
}
