//! `memtrace explain --freeze` of a process that is held in the middle of a step of its collector: for
//! an instant a list leads nowhere, or into another one, and all of its objects are counted still.

use std::path::Path;
use std::process::Command;

use harness::explained::Explained;
use harness::interpreters::{Interpreter, for_each};
use harness::target::{Target, command, program};
use harness::{Context, Result, ensure, wait};

/// As in the program.
const MANY: i64 = 10_000;
/// The system call that it stays in, as `/proc/PID/syscall` has it.
const PAUSE: &str = if cfg!(target_arch = "x86_64") { "34 " } else { "73 " };

fn build(folder: &Path) -> Result<std::path::PathBuf> {
    let module = folder.join("half_linked.abi3.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&module).arg(program("half_linked.c"));
    ensure!(cc.status()?.success(), "{cc:?}");
    Ok(module)
}

/// What is counted of a process that stands still so.
fn counted(python: &Interpreter, module: &Path, how: u32) -> Result<Explained> {
    let (module, how) = (module.to_str().context("a readable path")?, how.to_string());
    let mut target = Target::start_command(command(python, "half_linked.py", &[module, &how])?)?;
    target.begin()?;
    let syscall = format!("/proc/{}/syscall", target.pid);
    wait::until("the process to stand still", || {
        Ok(std::fs::read_to_string(&syscall)?.starts_with(PAUSE).then_some(()))
    })?;
    Explained::of(target.pid, &["--freeze"])
}

#[test]
fn a_list_that_is_held_in_the_middle_of_a_step_is_counted_whole() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let module = build(folder.path())?;
    for_each(|python| {
        let mut whole = 0;
        for how in 0..=6 {
            let explained = counted(python, &module, how)?;
            let cut = explained.number(&["census", "lists_cut"])?;
            ensure!(cut == 0, "{how}: a list was given up");
            let found = explained.census()?.get("__main__.Held").copied();
            ensure!(found == Some(MANY), "{how}: {found:?} of {MANY}");
            // The one that is in the step may be counted or not, and one is in another list.
            let objects = explained.number(&["census", "objects"])?;
            whole = if how == 0 { objects } else { whole };
            ensure!((whole - 2..=whole).contains(&objects), "{how}: {objects}, whole {whole}");
        }
        Ok(())
    })
}
