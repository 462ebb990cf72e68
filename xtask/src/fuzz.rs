//! `cargo xtask fuzz`: libFuzzer on what memtrace reads from targets, files and the kernel side, each target
//! of `memtrace-userspace/fuzz` for ten minutes, as many at once as there are processors.
//!
//! cargo-fuzz builds them, with this Rust (`docs/decisions/0015`); they are run by hand, since each has a
//! corpus of its own below the build folder, where what it finds goes. The repository's corpus is only read:
//! an input gets there when somebody has understood it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, root};
use crate::tools;

mod log;

/// The fuzzers' own workspace.
const FOLDER: &str = "memtrace-userspace/fuzz";

/// The most that a fuzzer may have in memory, in MiB: what it keeps of its corpus, what the sanitizer takes,
/// and what one input makes memtrace need, far more than any of them does.
const MEMORY_MIB: u32 = 2048;

/// The longest that one input may take, in seconds. All of the corpus takes milliseconds.
const TIMEOUT: u32 = 20;

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target is fuzzed
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Only this target; several may be named
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// So many at once [default: as many as there are processors]
    #[arg(long, value_name = "NUMBER")]
    at_once: Option<usize>,
    /// Run the one target on this input, and no fuzzer
    #[arg(long, value_name = "FILE", requires = "target")]
    replay: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 600, target: Vec::new(), at_once: None, replay: None }
    }
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    let targets = chosen(all()?, &options.target)?;
    build()?;
    if let Some(input) = &options.replay {
        let [target] = &*targets else { bail!("--replay is about one --target") };
        let input = fs::canonicalize(input).with_context(|| format!("no {}", input.display()))?;
        return process::run(fuzzer(target).arg(input));
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let at_once = options.at_once.unwrap_or(processors).max(1);
    let (waiting, failures) = (Mutex::new(targets.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(target) = waiting.lock().ok().and_then(|mut it| it.next()) {
                    match fuzz(target, options.seconds) {
                        Ok(said) => println!("fuzz: {target}: {said}"),
                        Err(error) => {
                            println!("fuzz: {target}: FAILED");
                            failures.lock().iter_mut().for_each(|it| it.push(format!("{error:#}")));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n\n")) }
}

/// The targets that there are.
fn all() -> Result<Vec<String>> {
    let folder = root().join(FOLDER).join("fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Those of `all` that were named; all when none was.
fn chosen(all: Vec<String>, named: &[String]) -> Result<Vec<String>> {
    for name in named {
        ensure!(all.contains(name), "there is no target {name}; there are {}", all.join(", "));
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}

/// Builds all of them, of the crates that memtrace itself is built of.
fn build() -> Result<()> {
    let lock = |folder: &Path| folder.join("Cargo.lock");
    fs::copy(lock(&root()), lock(&root().join(FOLDER))).context("cannot copy Cargo.lock")?;
    let mut command = tools::FUZZ.command()?;
    process::forget_package(&mut command);
    // Instrumentation and sanitizers are flags that stable compilers have and hide.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.args(["fuzz", "build", "--fuzz-dir", FOLDER, "--target-dir"]).arg(own_folder());
    process::run(&mut command)
}

/// The fuzzers' build folder, where all else of theirs is, too.
fn own_folder() -> PathBuf {
    process::target().join("fuzz")
}

/// The program of a target, with its limits.
fn fuzzer(target: &str) -> Command {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(own_folder().join(triple).join("release").join(target));
    command.current_dir(root());
    command.arg(format!("-rss_limit_mb={MEMORY_MIB}")).arg(format!("-timeout={TIMEOUT}"));
    command
}

/// Fuzzes one target, and gives what came of it in a line.
fn fuzz(target: &str, seconds: u64) -> Result<String> {
    let [corpus, findings] =
        ["corpus", "findings"].map(|folder| own_folder().join(folder).join(target));
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("no {}", folder.display()))?;
    }
    let log = own_folder().join(format!("{target}.log"));
    let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = fuzzer(target);
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .arg("-print_final_stats=1")
        // What is found goes into the first, the others are read.
        .arg(&corpus)
        .arg(root().join(FOLDER).join("corpus").join(target))
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out);
    println!("$ {}", process::shown(&command));
    let status = command.status().with_context(|| process::not_started(&command))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if status.success() {
        return log::summary(&text).with_context(|| format!("{} is no log", log.display()));
    }
    let replay = match log::finding(&text) {
        Some(input) => format!(
            "replay it with `cargo xtask fuzz --target {target} --replay {input}`, and when it is mended \
             put it into {FOLDER}/corpus/{target}, which the tests replay"
        ),
        None => "it left no input".to_owned(),
    };
    bail!("the fuzzer `{target}` {}; {replay} (all of it: {})", log::reason(&text), log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_a_program_and_a_corpus() {
        let manifest = fs::read_to_string(root().join(FOLDER).join("Cargo.toml")).unwrap();
        let targets = all().unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
        for target in targets {
            assert!(manifest.contains(&format!("\nname = \"{target}\"\n")), "{target}");
            let corpus = root().join(FOLDER).join("corpus").join(&target);
            assert!(fs::read_dir(corpus).unwrap().count() >= 3, "{target}");
        }
    }

    #[test]
    fn a_target_that_is_not_there_is_refused() {
        let all = || ["elf", "maps"].map(str::to_owned).to_vec();
        assert_eq!(chosen(all(), &[]).unwrap(), all());
        assert_eq!(chosen(all(), &["maps".to_owned()]).unwrap(), ["maps"]);
        let error = chosen(all(), &["map".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "there is no target map; there are elf, maps");
    }
}
