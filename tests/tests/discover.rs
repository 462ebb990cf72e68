//! Discovery on live processes: what is traceable, what is refused and how it is said, and the
//! moments at which a process is not quite there.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop here")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use harness::interpreters::{self, Interpreter as Python};
use memtrace::python::refusal::{DiscoverError, Refusal};
use memtrace::python::{Discovery, Images, Interpreter, ProbePoint, TargetMemory, discover};
use memtrace_common::layout::Slot;
use memtrace_common::outcome::Outcome;
use memtrace_common::walk::{Walk, walk};

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn new(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Python code that says something when it is ready and then waits for its input to end.
    fn python(python: &Python, code: &str) -> (Self, String) {
        Self::code(Command::new(&python.path).arg("-c"), code)
    }

    fn code(command: &mut Command, code: &str) -> (Self, String) {
        let mut running =
            Self::new(command.arg(format!("import sys, os\n{code}\nsys.stdin.read()")));
        let mut line = String::new();
        let output: ChildStdout = running.0.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        (running, line.trim().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn traceable(pid: u32) -> Box<Interpreter> {
    match discover(pid, &mut Images::new()).unwrap() {
        Discovery::Python(interpreter) => interpreter,
        other => panic!("{other:?}"),
    }
}

const SAY: &str = "sys.stdout.write('ready\\n'); sys.stdout.flush()";

#[test]
fn each_supported_interpreter_is_traceable_with_its_probe_points() {
    for python in interpreters::supported().unwrap() {
        let (running, _) = Running::python(&python, SAY);
        let found = traceable(running.0.id());
        let (major, minor, micro) = python.version;
        assert_eq!(found.text, format!("{major}.{minor}.{micro}"));
        assert_eq!((found.started, found.slot_confirmed), (true, true), "{found:?}");
        assert_eq!((found.notes.len(), found.jit), (0, false), "{found:?}");
        assert_eq!(found.layout.current_tstate_address, 0);
        // Both functions begin as functions do: in executable code of the file.
        for point in [found.code_dealloc.as_ref().unwrap(), found.eval_frame.as_ref().unwrap()] {
            let file = std::fs::File::open(&point.path).unwrap();
            let mut byte = [0];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut byte, point.file_offset).unwrap();
            // push %rbp/%rbx/%r12-15, endbr64, sub $n,%rsp, mov, test, cmp: no padding, no data.
            let first = [0x41, 0x48, 0x53, 0x55, 0xf3, 0x4c, 0x83, 0x8b, 0x0f];
            assert!(first.contains(&byte[0]), "{byte:x?} at {point:?}");
        }
        let (dealloc, eval) = (found.code_dealloc.as_ref(), found.eval_frame.as_ref());
        let offset = |point: Option<&ProbePoint>| point.map_or(0, |point| point.file_offset);
        println!(
            "{} {}: code_dealloc {:#x}, eval_frame {:#x}",
            found.text,
            found.build,
            offset(dealloc),
            offset(eval)
        );
        let bound = found.layout_bound();
        assert_eq!(bound.slot, Slot::Bound as u32);
        assert_eq!(bound.code_at, found.layout.code_at);
    }
}

#[test]
fn other_pythons_are_refused_by_name_with_what_to_do() {
    let mut refused = 0;
    for python in interpreters::all().iter().filter(|python| !python.is_supported()) {
        let (running, _) = Running::python(python, SAY);
        let Discovery::Refused(refusal) = discover(running.0.id(), &mut Images::new()).unwrap()
        else {
            panic!("{python:?} was not refused");
        };
        let sentence = refusal.to_string();
        assert!(sentence.contains("3.8 to 3.15"), "{sentence}");
        if python.implementation == "CPython" {
            let (major, minor, micro) = python.version;
            let named = format!("CPython {major}.{minor}.{micro} is too old");
            assert!(sentence.starts_with(&named), "{sentence}");
        } else {
            assert!(matches!(refusal, Refusal::PyPy { .. }), "{sentence}");
        }
        refused += 1;
    }
    println!("{refused} unsupported interpreters were found");
}

#[test]
fn what_is_no_python_is_said_to_be_none() {
    let running = Running::new(&mut Command::new("cat"));
    assert!(matches!(discover(running.0.id(), &mut Images::new()), Ok(Discovery::NotPython)));
    // A kernel thread.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd") {
        assert!(matches!(discover(2, &mut Images::new()), Ok(Discovery::NotPython)));
    }
}

#[test]
fn a_process_that_is_gone_is_an_error_that_says_so() {
    let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    // Ended but not waited for.
    let zombie = discover(child.id(), &mut Images::new()).unwrap_err();
    assert!(matches!(zombie, DiscoverError::Exited { .. }), "{zombie}");
    child.wait().unwrap();
    let gone = discover(child.id(), &mut Images::new()).unwrap_err();
    assert!(matches!(gone, DiscoverError::NoSuchProcess { .. }), "{gone}");
}

/// From the first instruction of a start to its end: never an error, never a refusal, never a
/// wrong slot; and what is found before the runtime is there is enough to walk by later.
#[test]
fn a_start_is_followed_from_its_first_instruction() {
    let mut early = 0;
    let pythons = interpreters::supported().unwrap();
    // Ten rounds, and more until the moment was met at all.
    for round in 0..100 {
        if round >= 10 && early > 0 {
            break;
        }
        for python in &pythons {
            let (mut unstarted, mut images) = (None, Images::new());
            let mut running = Running::new(Command::new(&python.path).args([
                "-c",
                "import sys, threading\nprint(threading.get_ident(), flush=True)\nsys.stdin.read()",
            ]));
            let pid = running.0.id();
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                assert!(Instant::now() < deadline, "{python:?} does not start");
                match discover(pid, &mut images).unwrap() {
                    Discovery::NotPython => {}
                    Discovery::Refused(refusal) => panic!("{python:?}: {refusal}"),
                    Discovery::Python(found) if found.slot_confirmed => break,
                    Discovery::Python(found) => unstarted = Some(found),
                }
            }
            let Some(unstarted) = unstarted else { continue };
            if unstarted.layout.slot == Slot::Unknown as u32 {
                // Where a library's thread-local variable is, its first thread tells.
                assert!(python.minor() >= (3, 15) && unstarted.build.shared, "{unstarted:?}");
                continue;
            }
            early += 1;
            let mut line = Vec::new();
            let mut output = running.0.stdout.take().unwrap();
            let mut byte = [0];
            while output.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
                line.push(byte[0]);
            }
            let thread: u64 = String::from_utf8(line).unwrap().parse().unwrap();
            let memory = TargetMemory::open(pid).unwrap();
            let mut work = Walk::new();
            walk(&memory, &unstarted.layout, thread, 0, &mut work);
            assert!(
                Outcome::from_number(work.outcome as u8).is_some_and(Outcome::has_frames),
                "{python:?}: {:?} by {unstarted:?}",
                Outcome::from_number(work.outcome as u8),
            );
        }
    }
    assert!(early > 0, "no start was ever caught before its runtime: nothing was tested");
    println!("{early} starts were caught before their runtime");
}

#[test]
fn a_forked_child_has_its_parents_layout() {
    let code = "import threading, time\n\
        def forks():\n    \
            child = os.fork()\n    \
            if child:\n        print(child, flush=True)\n    \
            time.sleep(60)\n\
        [threading.Thread(target=time.sleep, args=(60,), daemon=True).start() for _ in range(3)]\n\
        threading.Thread(target=forks, daemon=True).start()\n";
    for python in interpreters::supported().unwrap() {
        let (running, child) = Running::python(&python, code);
        let child: u32 = child.parse().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let of_child = traceable(child);
        let of_parent = traceable(running.0.id());
        assert!(of_child.slot_confirmed && of_parent.slot_confirmed, "{python:?}");
        assert_eq!(of_child.layout, of_parent.layout, "{python:?}");
        // SAFETY: a plain system call on a child of the process that this test started.
        unsafe { libc::kill(child.cast_signed(), libc::SIGKILL) };
    }
}

/// Threads that begin and end all the time have states without a thread for moments.
#[test]
fn threads_that_come_and_go_do_not_spoil_the_slot() {
    let code = "import threading\n\
        def churn():\n    \
            while True:\n        \
                threads = [threading.Thread(target=len, args=('',)) for _ in range(4)]\n        \
                [thread.start() for thread in threads]\n        \
                [thread.join() for thread in threads]\n\
        threading.Thread(target=churn, daemon=True).start()\n\
        print('ready', flush=True)";
    for python in interpreters::supported().unwrap() {
        let (running, _) = Running::python(&python, code);
        let mut images = Images::new();
        for _ in 0..50 {
            let Discovery::Python(found) = discover(running.0.id(), &mut images).unwrap() else {
                panic!("{python:?} is no longer traceable");
            };
            assert!(found.started && found.slot_confirmed, "{found:?}");
        }
    }
}

/// Up to 3.11 a thread's slot stays on its first interpreter.
#[test]
fn subinterpreters_are_noticed_where_the_slot_does_not_follow_them() {
    let code = "\
        try:\n    import _xxsubinterpreters as it\n\
        except ImportError:\n    import _interpreters as it\n\
        kept = it.create()\n\
        print('ready', flush=True)";
    for python in interpreters::supported().unwrap() {
        let (running, _) = Running::python(&python, code);
        let found = traceable(running.0.id());
        let memory = TargetMemory::open(running.0.id()).unwrap();
        assert_eq!(found.threads(&memory).interpreters.len(), 2, "{python:?}");
        assert!(found.slot_confirmed, "{python:?}");
        assert_eq!(found.layout.current_tstate_address != 0, python.minor() <= (3, 11));
    }
}

/// A copy of the program that is deleted while it runs is still read, through `/proc/PID`.
#[test]
fn a_deleted_program_is_still_traceable() {
    let folder = tempfile::tempdir().unwrap();
    for python in interpreters::supported().unwrap() {
        if python.is_launched() {
            continue; // A copy of its launcher would be no copy of the program.
        }
        let copy = folder.path().join("anyname");
        std::fs::copy(&python.path, &copy).unwrap();
        let home = python.path.parent().and_then(Path::parent).unwrap();
        let (running, _) = Running::code(
            Command::new(&copy)
                .env("PYTHONHOME", home)
                .env("LD_LIBRARY_PATH", home.join("lib"))
                .arg("-c"),
            SAY,
        );
        std::fs::remove_file(&copy).unwrap();
        let found = traceable(running.0.id());
        assert!(found.slot_confirmed, "{python:?}");
        if found.image == copy {
            let path = found.eval_frame.unwrap().path;
            assert!(path.starts_with("/proc"), "{path:?}");
            assert!(std::fs::File::open(path).is_ok());
        }
    }
}

#[test]
fn a_process_in_another_pid_namespace_is_found_by_its_host_pid() {
    for python in interpreters::supported().unwrap() {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]).arg(&python.path).arg("-c");
        let (running, inside) = Running::code(&mut command, "print(os.getpid(), flush=True)");
        assert_eq!(inside, "1", "unshare needs root");
        let children = format!("/proc/{0}/task/{0}/children", running.0.id());
        let host: u32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        let found = traceable(host);
        let memory = TargetMemory::open(host).unwrap();
        assert!(found.slot_confirmed);
        let native = found.threads(&memory).threads[0].native_id;
        assert!(native.is_none_or(|native| native == 1), "{native:?}");
    }
}

#[test]
fn ps_lists_each_of_them_once() {
    let running: Vec<(Python, Running)> = interpreters::all()
        .into_iter()
        .map(|python| (python.clone(), Running::python(&python, SAY).0))
        .collect();
    let mut out = Vec::new();
    memtrace::command::ps::run(memtrace::command::ps::PsFormat::Json, &mut out).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(document["schema"], "memtrace.ps/1");
    for (python, process) in &running {
        let rows: Vec<_> = document["processes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["pid"] == process.0.id())
            .collect();
        assert_eq!(rows.len(), 1, "{python:?}");
        assert_eq!(rows[0]["traceable"], python.is_supported(), "{:?}", rows[0]);
        assert!(rows[0]["rss_bytes"].as_i64().unwrap() > 1 << 20);
    }
    let mut table = Vec::new();
    memtrace::command::ps::run(memtrace::command::ps::PsFormat::Table, &mut table).unwrap();
    print!("{}", String::from_utf8(table).unwrap());
}
