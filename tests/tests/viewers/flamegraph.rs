//! The flame graph in a browser: it zooms, searches, fits the window, and asks for nothing.

use std::path::PathBuf;

use harness::browser::{Browser, Look, Page};
use harness::{Context, Result, ensure, wait};
use memtrace::profile::{Memory, ProcessProfile, Profile, lines_of};
use memtrace::report::{StackOptions, flamegraph};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::build::*;

fn written(profile: &Profile) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("flame.svg");
    flamegraph::write(&mut std::fs::File::create(&file)?, profile, &StackOptions::default())?;
    Ok((folder, file))
}

/// The number of the frame whose tip begins so.
fn frame(page: &mut Page<'_>, name: &str) -> Result<u64> {
    let tips = "[...document.querySelectorAll('#frames title')]";
    let found = page.ask(&format!(
        "{tips}.findIndex((tip) => tip.textContent.startsWith({})) + 1",
        json!(name)
    ))?;
    found.as_u64().filter(|number| *number > 0).with_context(|| format!("no frame {name}"))
}

/// How much of the window's width a frame takes, in a hundred.
fn width(page: &mut Page<'_>, number: u64) -> Result<f64> {
    let wide = page.ask(&format!(
        "100 * document.querySelector('#frames > g:nth-child({number}) > rect')\
         .getBoundingClientRect().width / (innerWidth - 20)"
    ))?;
    wide.as_f64().context("a width")
}

#[test]
fn a_click_zooms_into_a_frame_and_another_out() -> Result<()> {
    let (_folder, file) = written(&profile(vec![server()]))?;
    let mut browser = Browser::start()?;
    for look in [Look::DESK, Look::HAND] {
        let mut page = browser.open(&file, look)?;
        let shared = frame(&mut page, "handle (/srv/app.py:10)")?;
        // 4194304 of 42205184 bytes; it fits the window, whatever its width.
        let narrow = 9.94;
        let near = |is: f64, due: f64| (is - due).abs() < 1.0;
        wait::until("the picture to fit", || {
            Ok(near(width(&mut page, shared)?, narrow).then_some(()))
        })?;
        page.click(&format!("#frames > g:nth-child({shared})"))?;
        let wide = width(&mut page, shared)?;
        ensure!(near(wide, 100.0), "{wide}");
        let other = frame(&mut page, "handle (/srv/app.py:8)")?;
        let hidden = format!("document.querySelector('#frames > g:nth-child({other})').classList");
        ensure!(page.text(&format!("{hidden}.value"))?.contains("hide"));
        page.click("#unzoom")?;
        let narrow_again = width(&mut page, shared)?;
        ensure!(near(narrow_again, narrow), "{narrow_again}");
        let problems = page.problems()?;
        ensure!(problems.is_empty(), "{problems:?}");
        let requests = page.requests()?;
        ensure!(requests.len() == 1 && requests[0].ends_with("/flame.svg"), "{requests:?}");
    }
    Ok(())
}

#[test]
fn a_search_finds_lines_by_their_file_and_says_how_much_they_are() -> Result<()> {
    let (_folder, file) = written(&profile(vec![server()]))?;
    let mut browser = Browser::start()?;
    let mut page = browser.open(&file, Look::DESK)?;
    page.ask("search('decoder\\\\.py')")?;
    // 2621440 of 42205184 bytes
    let said = page.text("document.getElementById('matched').textContent")?;
    ensure!(said == "Matched: 6.2%", "{said}");
    let decode = frame(&mut page, "JSONDecoder.raw_decode")?;
    let fill = format!("document.querySelector('#frames > g:nth-child({decode}) > rect')");
    let marked = page.text(&format!("{fill}.getAttribute('fill')"))?;
    ensure!(marked == "rgb(230,0,230)", "{marked}");
    Ok(())
}

#[test]
fn names_of_a_target_are_texts_in_a_browser() -> Result<()> {
    let name =
        "</title><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>]]>&lt";
    let own = line(name, name, 1, 2, Memory::ZERO);
    let stacks = vec![stack(0, &[&own], memory(1.0, 0.0, 0.0))];
    let process = ProcessProfile {
        after: memory(1.0, 0.0, 0.0),
        lines: lines_of(&stacks),
        stacks,
        ..process(3, &[name], Memory::ZERO)
    };
    let (_folder, file) = written(&profile(vec![process]))?;
    let mut browser = Browser::start()?;
    let mut page = browser.open(&file, Look::DESK)?;
    frame(&mut page, name)?;
    ensure!(page.ask("window.hacked ?? null")? == Value::Null);
    ensure!(page.ask("document.querySelectorAll('img, #frames script').length")? == 0);
    let problems = page.problems()?;
    ensure!(problems.is_empty(), "{problems:?}");
    Ok(())
}

#[test]
fn a_flame_graph_of_nothing_is_a_picture_with_a_sentence() -> Result<()> {
    let (_folder, file) = written(&profile(vec![process(1, &["python"], Memory::ZERO)]))?;
    let mut browser = Browser::start()?;
    let mut page = browser.open(&file, Look::DESK)?;
    let said = page.text("document.documentElement.textContent")?;
    ensure!(said.contains("There is nothing to draw"), "{said}");
    let problems = page.problems()?;
    ensure!(problems.is_empty(), "{problems:?}");
    Ok(())
}
