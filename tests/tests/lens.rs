//! The allocator lens in exact mode: counts, bytes and the live set of programs that know their own,
//! to the last block.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::attach::Tracer;
use harness::interpreters::{Interpreter, for_each, newest};
use harness::report::{Age, Blocks, Process};
use harness::resources::{self, succeed};
use harness::target::{Target, command, program};
use harness::truth::Truth;
use harness::{Context, Result, bail, ensure, traced};
use serde_json::Value;

const EXACT: [&str; 3] = ["--lens", "allocator", "--exact"];

/// What a program says of one of its marks.
fn stated(truth: &Value, name: &str) -> Result<Blocks> {
    let stated = truth.get(name).with_context(|| format!("nothing stated of {name}"))?;
    let mut blocks: Blocks = serde_json::from_value(stated.clone())?;
    blocks.live_allocations =
        blocks.allocations.cast_signed() - blocks.freed_allocations.cast_signed();
    blocks.live_bytes = blocks.allocated_bytes - blocks.freed_bytes;
    Ok(blocks)
}

fn lines_have_their_blocks(process: &Process, truth: &Truth, blocks: &Value) -> Result<()> {
    let names = blocks.as_object().context("blocks by mark")?.keys();
    for name in names {
        let (stated, mark) = (stated(blocks, name)?, truth.mark(name)?);
        let found = process.blocks(&mark.file, mark.line);
        let found = Blocks { temporary_allocations: 0, ..found };
        ensure!(found == stated, "{name}: {found:?}, but the program says {stated:?}");
    }
    let allocator = process.allocator()?;
    ensure!(allocator.exact && allocator.frees_seen && allocator.lost_allocations == 0);
    // The live set, block by block, is what sums say.
    let live: u64 = allocator.live_ages.iter().map(|age| age.allocations).sum();
    let bytes: i64 = allocator.live_ages.iter().map(|age| age.bytes).sum();
    let sums = (allocator.blocks.live_allocations, allocator.blocks.live_bytes);
    ensure!((live.cast_signed(), bytes) == sums, "{live} and {bytes}, by sums {sums:?}");
    Ok(())
}

fn blocks_of_lines_are_exact(python: &Interpreter, scenario: &str) -> Result<()> {
    let traced = traced::trace(python, "allocations.py", &[scenario], &EXACT)?;
    let blocks = traced.truth.more.get("blocks").context("blocks")?;
    lines_have_their_blocks(traced.process()?, &traced.truth, blocks)
}

#[test]
fn blocks_that_are_kept_dropped_and_reallocated_are_counted_to_the_last() -> Result<()> {
    for_each(|python| blocks_of_lines_are_exact(python, "keeps_and_drops"))
}

/// What takes libc's place is what is looked at.
#[test]
fn blocks_of_preloaded_allocators_are_counted_to_the_last() -> Result<()> {
    let python = newest()?;
    for library in ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"] {
        let mut command = command(&python, "allocations.py", &["keeps_and_drops"])?;
        command.env("LD_PRELOAD", resources::system_library(library)?);
        let traced = traced::trace_target(Target::start_command(command)?, &EXACT)?;
        let blocks = traced.truth.more.get("blocks").context("blocks")?;
        lines_have_their_blocks(traced.process()?, &traced.truth, blocks).context(library)?;
    }
    Ok(())
}

#[test]
fn blocks_that_go_from_thread_to_thread_are_counted_to_the_last() -> Result<()> {
    blocks_of_lines_are_exact(&newest()?, "threads")
}

#[test]
fn parent_and_child_each_have_their_own_blocks() -> Result<()> {
    let traced = traced::trace(&newest()?, "allocations.py", &["forks"], &EXACT)?;
    let truth = &traced.truth.more;
    let blocks = truth.get("blocks").context("blocks")?;
    lines_have_their_blocks(traced.process()?, &traced.truth, blocks)?;
    let child = truth.get("child").and_then(Value::as_u64).context("a child")?;
    let child = traced.report.process(u32::try_from(child)?)?;
    lines_have_their_blocks(child, &traced.truth, truth.get("of_child").context("of the child")?)
}

fn compiled(folder: &tempfile::TempDir) -> Result<PathBuf> {
    let made = folder.path().join("allocations");
    let mut cc = Command::new("cc");
    cc.args(["-O0", "-pthread", "-o"]).arg(&made).arg(program("allocations.c"));
    succeed(&mut cc)?;
    Ok(made)
}

/// Entries of libc's functions through the program's own, its failures, its threads, its child: what
/// it says of itself, block by block, is what is found.
#[test]
fn a_c_program_with_an_allocator_of_its_own_is_counted_to_the_last() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = compiled(&folder)?;
    let path = made.to_str().context("a readable path")?;
    let (tracer, mut conversation) = Tracer::run(&EXACT, &[path, "1"], |_| Ok(()))?;
    let mut told: Vec<Vec<i64>> = Vec::new();
    conversation.expect("begin")?;
    for _ in 0..2 {
        let line = conversation.expect("told")?;
        told.push(line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?);
    }
    let report = tracer.wait()?.report()?;
    for told in told {
        let [pid, allocations, bytes, frees, freed_bytes] = told[..] else { bail!("{told:?}") };
        let process = report.process(u32::try_from(pid)?)?;
        let found = process.allocator()?;
        let expected = (allocations, bytes, frees, freed_bytes);
        let counted = (
            found.blocks.allocations.cast_signed(),
            found.blocks.allocated_bytes,
            found.blocks.freed_allocations.cast_signed(),
            found.blocks.freed_bytes,
        );
        ensure!(counted == expected, "process {pid}: {counted:?}, but it says {expected:?}");
        let live: u64 = found.live_ages.iter().map(|age| age.allocations).sum();
        ensure!(live.cast_signed() == allocations - frees, "{live} live, not {told:?}");
    }
    Ok(())
}

#[test]
fn old_blocks_are_leaks_and_young_ones_are_not() -> Result<()> {
    let python = newest()?;
    let mut target = Target::start(&python, "allocations.py", &["keeps_and_drops"])?;
    let tracer = Tracer::attach(&[target.pid], &EXACT)?;
    let start = Instant::now();
    target.go()?;
    let between = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let gap = between.elapsed();
    let truth = target.go()?;
    let report = tracer.stop()?.report()?;
    let whole = start.elapsed();
    let allocator = report.process(target.pid)?.allocator()?;
    let mut ages = allocator.live_ages.clone();
    ages.sort_by_key(|live| live.age_ns);
    // An age is cut to five binary digits: it is of up to a sixteenth more.
    let at_most = |age: u64| Duration::from_nanos(age + age / 16);
    let apart = |[young, old]: &[Age; 2]| old.age_ns - young.age_ns;
    let (split, [young, old]) = ages
        .array_windows()
        .enumerate()
        .max_by_key(|(_, pair)| apart(pair))
        .context("ages of two steps")?;
    let youngest = Duration::from_nanos(young.age_ns);
    ensure!(at_most(old.age_ns) >= gap + youngest, "{old:?} and {young:?}, {gap:?} between");
    let oldest = ages.last().map(|live| Duration::from_nanos(live.age_ns));
    ensure!(oldest <= Some(whole), "{oldest:?} old after {whole:?}");
    let sum = |ages: &[Age]| -> u64 { ages.iter().map(|live| live.allocations).sum() };
    // Of the first step's blocks 350 are live, and those of the second that are young.
    let blocks = stated(truth.more.get("blocks").context("blocks")?, "kept")?;
    let (young, old) = (sum(&ages[..=split]), sum(&ages[split + 1..]));
    let each = blocks.live_allocations.cast_unsigned();
    ensure!((each..each + 50).contains(&old), "{old} old ones, not {each}");
    ensure!((each..each + 50).contains(&young), "{young} young ones, not {each}");
    Ok(())
}
