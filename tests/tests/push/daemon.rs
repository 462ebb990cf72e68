//! A daemon sends each window to the stores of its configuration.

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::store::Store;
use harness::target::Target;
use harness::{Result, check, ensure, wait};

use crate::decode;

#[test]
fn a_daemons_windows_bring_what_the_line_grew_under_the_programs_name() -> Result<()> {
    let (store, tag) = (Store::open(&[])?, tag());
    let mut target = Target::start(&newest()?, "resident.py", &["keeps", &tag])?;
    let push = format!("[[push]]\nas = \"pyroscope\"\nto = \"{}\"\n", store.url());
    let daemon = Daemon::start(&format!("{}{push}", config(&tag)))?;
    daemon.process(target.pid)?;
    let truth = target.go()?;
    let mark = truth.mark("keeps")?;
    let (place, stated) = ((mark.file.as_str(), mark.line), mark.grown()?);
    let (grown, service) = wait::until("the growth at the store", || {
        let (mut grown, mut service) = (0, String::new());
        for came in store.taken() {
            let pushed = decode::pyroscope(&came)?;
            grown += pushed.sum("rss_grown/bytes", Some(place));
            service = pushed.labels.get("service_name").cloned().unwrap_or_default();
        }
        Ok(Some((grown, service)).filter(|(grown, _)| *grown >= stated - check::BESIDE))
    })?;
    ensure!(grown <= stated + check::BESIDE, "{grown} where {stated} were grown");
    ensure!(service == "resident.py", "{service}");
    daemon.stop()?;
    Ok(())
}
