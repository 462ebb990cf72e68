//! Memory profilers of others, and memtrace, run on the same programs: a file each for how a tool is
//! run and how its answer for a line is read. What is measured, and how, is in `run`; `page` prints.
//!
//! It judges nothing: what a tool says is put beside what the program made by construction.

mod austin;
mod fil;
mod memleak;
mod memory_profiler;
mod memray;
mod memtrace;
pub mod page;
pub mod run;
mod scalene;
mod tracemalloc;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

/// Bytes that a tool says of lines of the program.
pub type Lines = BTreeMap<u32, f64>;

/// Where one run happens.
#[derive(Debug)]
pub struct Place {
    /// Of this run alone; tools work in it.
    pub folder: PathBuf,
    /// Where the tools are installed.
    pub tools: PathBuf,
    /// memtrace's binary.
    pub memtrace: PathBuf,
    /// The program, as its code objects name it.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Place {
    /// A program of the tools' folder.
    fn tool(&self, name: &str) -> String {
        self.tools.join("python/bin").join(name).display().to_string()
    }

    /// A file of this run.
    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// `before`, then the program with its arguments.
    fn launch(&self, before: &[&str]) -> Vec<String> {
        let program = std::iter::once(&self.program).chain(&self.arguments).cloned();
        before.iter().map(|word| (*word).to_owned()).chain(program).collect()
    }
}

/// How a tool gets at the program.
#[derive(Clone, Copy)]
pub enum Start {
    /// It starts the program.
    Launch(fn(&Place) -> Vec<String>),
    /// It is attached to the running program, and says this word when it is.
    Attach(fn(&Place, u32) -> Vec<String>, &'static str),
}

/// A tool.
pub struct Tool {
    /// What it is called in the table.
    pub name: &'static str,
    /// What its figure for a line is.
    pub figure: &'static str,
    /// How it begins.
    pub start: Start,
    /// Commands that make the answer of what it wrote.
    pub then: fn(&Place) -> Vec<Vec<String>>,
    /// Reads the answer.
    pub answer: fn(&Place) -> Result<Lines>,
    /// Whether it has an answer for a line at all.
    pub by_line: bool,
}

/// Nothing more to run.
fn nothing(_: &Place) -> Vec<Vec<String>> {
    Vec::new()
}

/// The program alone.
#[must_use]
pub fn untraced() -> Tool {
    Tool {
        name: "untraced",
        figure: "",
        start: Start::Launch(|place| place.launch(&[&place.tool("python")])),
        then: nothing,
        answer: |_| Ok(Lines::new()),
        by_line: false,
    }
}

/// All tools, memtrace first.
#[must_use]
pub fn all() -> Vec<Tool> {
    vec![
        memtrace::attach(),
        memtrace::run(),
        memray::arenas(),
        memray::objects(),
        scalene::tool(),
        fil::tool(),
        tracemalloc::tool(),
        memory_profiler::tool(),
        austin::tool(),
        memleak::tool(),
    ]
}
