//! Folded stacks and pprof in speedscope, as its users see them: npm's package in a browser.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::browser::{Browser, Look};
use harness::{Context, Result, ensure, resources, wait};
use memtrace::report::{Measure, StackOptions, folded, pprof};
use serde_json::json;

use crate::build::*;

/// Opens a report and gives the rows of the table of functions: total, self, name.
fn rows(name: &str, report: &[u8]) -> Result<Vec<[String; 3]>> {
    let folder = tempfile::tempdir()?;
    // As its own command does it: a page that loads a script that hands the file over.
    let script = folder.path().join("load.js");
    let file = json!(STANDARD.encode(report));
    let load = format!("speedscope.loadFileFromBase64({}, {file});", json!(name));
    std::fs::write(&script, load)?;
    let page = resources::viewers()?.join("speedscope/dist/release/index.html");
    let page = format!("{}#localProfilePath={}&view=sandwich", page.display(), script.display());

    let mut browser = Browser::start()?;
    let mut page = browser.open(Path::new(&page), Look::DESK)?;
    let cells = wait::until("speedscope's table", || {
        let cells = page.texts("td")?;
        Ok((!cells.is_empty()).then_some(cells))
    })?;
    ensure!(page.text("document.title")? == format!("{name} - speedscope"));
    let rows = cells.chunks(3).map(|row| row.to_vec().try_into());
    rows.map(|row| row.ok().context("a row of three cells")).collect()
}

#[test]
fn speedscope_opens_folded_stacks() -> Result<()> {
    let mut report = Vec::new();
    folded::write(&mut report, &profile(vec![server()]), &StackOptions::default())?;
    // Of 42205184 bytes, what shrank (262144) included: 33554432 are 79.5 %, and so on.
    let expected = [
        ["33,554,432 (80%)", "33,554,432 (80%)", "handle (/srv/app.py:8)"],
        ["4,194,304 (9.9%)", "4,194,304 (9.9%)", "handle (/srv/app.py:10)"],
        [
            "2,621,440 (6.2%)",
            "2,621,440 (6.2%)",
            "JSONDecoder.raw_decode (/usr/lib/python3.12/json/decoder.py:353)",
        ],
        ["1,572,864 (3.7%)", "1,572,864 (3.7%)", "[native thread: gc]"],
        ["262,144 (0.62%)", "262,144 (0.62%)", "[remainder]"],
        ["262,144 (0.62%)", "0 (<0.01%)", "shrank"],
        ["2,621,440 (6.2%)", "0 (<0.01%)", "main (/srv/app.py:17)"],
        ["37,748,736 (89%)", "0 (<0.01%)", "main (/srv/app.py:16)"],
        ["42,205,184 (100%)", "0 (<0.01%)", "process 4242: python app.py --port 80"],
    ];
    let rows = rows("server.folded", &report)?;
    ensure!(rows == expected, "{rows:#?}");
    Ok(())
}

#[test]
fn speedscope_opens_pprof() -> Result<()> {
    // By function: `handle` has 32 + 4 MiB of 40.25.
    let mut report = Vec::new();
    pprof::write(&mut report, &profile(vec![server()]), Measure::Net)?;
    let by_net = rows("server.pb.gz", &report)?;
    let expected = [
        ["36.00 MB (89%)", "36.00 MB (89%)", "handle"],
        ["2.50 MB (6.2%)", "2.50 MB (6.2%)", "JSONDecoder.raw_decode"],
        ["1.50 MB (3.7%)", "1.50 MB (3.7%)", "[native thread: gc]"],
        ["256.00 KB (0.62%)", "256.00 KB (0.62%)", "[remainder]"],
        ["256.00 KB (0.62%)", "0 B (<0.01%)", "shrank"],
        ["38.50 MB (96%)", "0 B (<0.01%)", "main"],
    ];
    ensure!(by_net == expected, "{by_net:#?}");

    // Asked for another measure, it is that one which is shown: 900 + 64 of 1016 events.
    let mut report = Vec::new();
    pprof::write(&mut report, &profile(vec![server()]), Measure::Events)?;
    let by_events = rows("server.pb.gz", &report)?;
    ensure!(by_events[0] == ["964 (95%)", "964 (95%)", "handle"], "{by_events:#?}");
    Ok(())
}

#[test]
fn speedscope_shows_hostile_names_as_texts() -> Result<()> {
    let name = "<img src=x onerror=document.title=1>;\u{1b}[2J\n12";
    let own = line(name, name, 1, 2, memtrace::profile::Memory::ZERO);
    let stacks = vec![stack(0, &[&own], memory(1.0, 0.0, 0.0))];
    let process = memtrace::profile::ProcessProfile {
        after: memory(1.0, 0.0, 0.0),
        lines: memtrace::profile::lines_of(&stacks),
        stacks,
        ..process(3, &["python"], memtrace::profile::Memory::ZERO)
    };
    let mut report = Vec::new();
    folded::write(&mut report, &profile(vec![process]), &StackOptions::default())?;
    let rows = rows("hostile.folded", &report)?;
    ensure!(rows.len() == 2, "{rows:#?}"); // the line and the process
    ensure!(rows[0][2].starts_with("<img src=x onerror=document.title=1>\\x3b"), "{rows:#?}");
    Ok(())
}
