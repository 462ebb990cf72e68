//! Targets that lie about their own stacks: they cost a row or a cut stack, never a hang, a crash
//! or unbounded memory, and the law holds over them as over any other.

use harness::attach::Tracer;
use harness::interpreters::{Interpreter, for_each};
use harness::target::{Target, command};
use harness::{Context, Result, check, ensure, memory};

/// What memtrace may need itself in a build for tests, whatever the target says: half as much again as
/// it needs to load, and far less than a name of 2 GiB.
const OWN_MEMORY: i64 = 96 << 20;

/// Offsets from the thread state to the frame, one a pointer, then from the frame to its caller:
/// `PyThreadState`, `_PyCFrame` and `PyFrameObject` or `_PyInterpreterFrame` of each version, as
/// in the project's cpython-offsets.toml.
fn frame_offsets(minor: u32) -> &'static str {
    match minor {
        ..=10 => "24,24",
        11 => "56,8,48",
        12 => "56,0,8",
        13.. => "72,8",
    }
}

fn start(python: &Interpreter, scenario: &str) -> Result<Target> {
    let mut command = command(python, "hostile.py", &[scenario])?;
    command.env("MEMTRACE_TEST_FRAME", frame_offsets(python.version.1));
    Target::start_command(command)
}

/// Traces one scenario; gives memtrace's account of what the program grew: by lines of the
/// program's own file and by unreadable stacks.
fn survives(python: &Interpreter, scenario: &str) -> Result<()> {
    let mut target = start(python, scenario)?;
    let tracer = Tracer::attach(&[target.pid], &[])?;
    let truth = target.go()?;
    let kernel = target.settled()?;
    let own = memory::peak(tracer.pid())?;
    let finished = tracer.stop()?;
    let report = finished.report()?;
    check::law(&report)?;
    check::agrees_with_kernel(&report, target.pid, kernel)?;
    ensure!(own < OWN_MEMORY, "memtrace needed {own} bytes");
    let size = finished.text.as_ref().map_or(0, String::len);
    ensure!(size < 1 << 20, "a report of {size} bytes");
    let process = report.process(target.pid)?;
    let stated = truth.more["grown"].as_i64().context("what it grew")?;
    let credited = match truth.marks.first() {
        Some(mark) => process.figures(&mark.file, mark.line).net,
        // A name of 2 GiB can't be told: some line has it, under whatever is left of the name. The
        // program's own lines made that name, and are not meant.
        None => {
            let others = process.lines.iter().filter(|line| !line.file.ends_with("hostile.py"));
            others.map(|line| line.self_net_bytes).sum()
        }
    };
    let unreadable = process.unattributed_net("stack unreadable");
    let off = credited + unreadable - stated;
    ensure!(
        off.abs() <= stated / 50,
        "{credited} credited and {unreadable} unreadable of {stated}\n{}",
        process.top()
    );
    ensure!(target.exit()?.success(), "the target did not survive");
    Ok(())
}

/// One test for each scenario, named by a sentence.
macro_rules! hostile {
    ($($name:ident: $scenario:literal;)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            for_each(|python| survives(python, $scenario))
        })*
    };
}

hostile! {
    a_cyclic_frame_chain_ends: "cyclic_frames";
    a_frame_chain_into_nowhere_ends: "frames_to_nowhere";
    a_frame_chain_into_the_kernel_ends: "frames_to_the_kernel";
    a_frame_chain_into_noise_ends: "frames_of_noise";
    a_file_name_of_2_gib_does_not_fill_memory: "huge_name";
}

/// Without memtrace: the forgery works, and hurts nobody but a reader of frames.
#[test]
fn programs_that_lie_survive_their_lies() -> Result<()> {
    let scenarios = [
        "cyclic_frames",
        "frames_to_nowhere",
        "frames_to_the_kernel",
        "frames_of_noise",
        "huge_name",
    ];
    for_each(|python| {
        for scenario in scenarios {
            let mut target = start(python, scenario)?;
            let truth = target.go().context(scenario)?;
            let grown = truth.more["grown"].as_i64().context("what it grew")?;
            ensure!(grown >= 16 << 20, "{scenario}: grew by {grown}");
            ensure!(target.exit()?.success(), "{scenario}: it did not survive");
        }
        Ok(())
    })
}
