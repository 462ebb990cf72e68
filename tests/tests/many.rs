//! Several interpreters of different versions in one attach, each with its own ledger.

use harness::attach::Tracer;
use harness::interpreters::supported;
use harness::target::Target;
use harness::{Result, check, ensure};

#[test]
fn all_interpreters_at_once_have_their_lines() -> Result<()> {
    let mut targets = Vec::new();
    for python in supported()? {
        targets.push((Target::start(&python, "resident.py", &["keeps"])?, python));
    }
    let pids: Vec<u32> = targets.iter().map(|(target, _)| target.pid).collect();
    let tracer = Tracer::attach(&pids, &[])?;
    // All of them grow at the same time.
    for (target, _) in &mut targets {
        target.begin()?;
    }
    let mut known = Vec::new();
    for (target, _) in &mut targets {
        let truth = target.conversation().expect("done")?;
        known.push(serde_json::from_str(&truth)?);
    }
    let mut kernel = Vec::new();
    for (target, _) in &targets {
        kernel.push(target.settled()?);
    }
    let report = tracer.stop()?.report()?;
    check::law(&report)?;
    let reported: Vec<u32> = report.processes.iter().map(|process| process.pid).collect();
    ensure!(reported.len() == pids.len(), "{pids:?} were attached, {reported:?} reported");
    for (((target, python), truth), kernel) in targets.iter().zip(&known).zip(kernel) {
        let process = report.process(target.pid)?;
        ensure!(process.python.as_deref() == Some(&*python.version_text()), "{python}");
        check::resident_by_line(process, truth)?;
        check::agrees_with_kernel(&report, target.pid, kernel)?;
    }
    Ok(())
}
