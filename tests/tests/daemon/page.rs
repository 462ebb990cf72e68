//! The page in a real browser.

use harness::browser::{Browser, Look, Page};
use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::target::Target;
use harness::{Result, ensure, wait};

fn until(page: &mut Page<'_>, what: &str, expression: &str) -> Result<()> {
    wait::until(what, || Ok((page.ask(expression)? == true).then_some(())))
}

#[test]
fn the_page_shows_programs_lines_timeline_and_reports() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut target = Target::start(&python, "resident.py", &["keeps", &tag, "<b>\u{202e}"])?;
    let daemon = Daemon::start(&config(&tag))?;
    daemon.process(target.pid)?;
    let truth = target.go()?;
    daemon.next_window()?;
    let mark = truth.mark("keeps")?;
    let mut browser = Browser::start()?;
    for look in [Look::DESK, Look::HAND] {
        let url = format!("http://{}/", daemon.address);
        let mut page = browser.visit(&url, look)?;
        until(
            &mut page,
            "a program",
            "document.querySelectorAll('#groups tbody tr').length === 1",
        )?;
        let groups = page.texts("#groups tbody td")?;
        ensure!(groups[0] == "resident.py" && groups[3] == "1", "{groups:?}");
        let lines = page.texts("#lines tbody tr:first-child td")?;
        ensure!(lines[0] == format!("resident.py:{}", mark.line), "{lines:?}");
        let held: f64 = lines[3].parse()?;
        let stated = mark.grown()? as f64 / f64::from(1 << 20);
        ensure!((held - stated).abs() < 0.5, "{held} MiB held, {stated} stated");

        page.click("#groups tbody button")?;
        until(&mut page, "a timeline", "document.querySelector('#timeline .area') !== null")?;
        let title = page.text("document.querySelector('#chosen-title').textContent")?;
        ensure!(title.contains("<b>\\u{202e}"), "{title:?}");
        // The report is behind a wall of its own; what it is, the browser tells by its address.
        let source = page.text("document.querySelector('#report').src")?;
        ensure!(source.contains("format=html"), "{source}");
        page.click("[data-format='flamegraph']")?;
        let source = page.text("document.querySelector('#report').src")?;
        ensure!(source.contains("format=flamegraph"), "{source}");
        for id in ["pprof", "recording"] {
            let link =
                page.text(&format!("document.querySelector('#{id}').getAttribute('href')"))?;
            let answer = daemon.get(&format!("/{link}"))?;
            ensure!(answer.status == 200 && answer.body.len() > 100, "{link}: {}", answer.status);
            ensure!(answer.headers["content-disposition"].starts_with("attachment"), "{link}");
        }
        let wide = page.ask("document.documentElement.scrollWidth > innerWidth")?;
        ensure!(wide == false, "wider than the window at {look:?}");
        let problems = page.problems()?;
        ensure!(problems.is_empty(), "{problems:?}");
        let foreign: Vec<_> =
            page.requests()?.into_iter().filter(|asked| !asked.starts_with(&url)).collect();
        ensure!(foreign.is_empty(), "{foreign:?}");
    }
    daemon.stop().map(drop)
}
