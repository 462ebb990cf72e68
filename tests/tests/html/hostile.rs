//! Names and source that would like to be more than text.

use harness::browser::{Browser, Look};
use memtrace::profile::{Reason, lines_of};
use memtrace::report::{SourceText, SourceTexts};

use super::build::{line, memory, process, profile, span, stack, unattributed};
use super::{Report, server, with_page};

const SCRIPT: &str = "</script><script>window.owned = 1</script>";
const PICTURE: &str = "\"'><img src=x onerror=\"window.owned = 1\"><svg/onload=owned=1>";

/// A process whose every text is hostile, 3 MiB before and 8 more by lines.
fn hostile() -> Report {
    let turned = "evil\u{202e}yp.exe\u{1b}[2J\n forged: 99.999 MiB";
    let long = "x".repeat(10_000);
    let names = [SCRIPT, PICTURE, turned, &long, "__proto__", "constructor", "{{profile}}", ""];
    let mut stacks = Vec::new();
    let root = line("/srv/root.py", "main", 1, 2, memory(0.0, 0.0, 0.0));
    for name in names {
        let own = line(&format!("/srv/{name}"), name, 1, 2, memory(1.0, 0.0, 0.0));
        stacks.push(stack(0, &[&own, &root], memory(1.0, 0.0, 0.0)));
    }
    let mut process =
        process(7, &["python", SCRIPT, PICTURE, turned, &long], memory(3.0, 0.0, 0.0));
    process.python = Some(PICTURE.to_owned());
    process.lines = lines_of(&stacks);
    process.stacks = stacks;
    process.functions = names.map(|name| span(&format!("/srv/{name}"), name, 1, 4)).to_vec();
    process.after = memory(12.0, 0.0, 0.0);
    process.unattributed =
        vec![unattributed(Reason::NativeThread, PICTURE, memory(1.0, 0.0, 0.0), 1)];
    process.notes = vec![SCRIPT.to_owned(), long.clone()];
    let mut sources = SourceTexts::new();
    for name in names {
        let text = format!("def f():\n    {SCRIPT} {PICTURE}\n\u{202e}{long}\n<!-- \u{2028}");
        sources.insert(0, &format!("/srv/{name}"), SourceText::new(&text, true));
    }
    Report::of(&profile(vec![process]), &sources)
}

#[test]
fn hostile_names_stay_text_and_break_nothing() {
    let report = hostile();
    for look in [Look::DESK, Look::HAND] {
        with_page(&report, look, |page| {
            page.ask(
                "document.querySelectorAll('details').forEach((each) => { each.open = true; })",
            )
            .unwrap();
            page.click("input[value=events]").unwrap();
            assert_eq!(page.text("typeof window.owned").unwrap(), "undefined");
            let made = "[...document.querySelectorAll('main img, main script, main iframe, [onerror], [onload]')].map((e) => e.outerHTML.slice(0, 300))";
            assert_eq!(page.ask(made).unwrap(), serde_json::json!([]));

            let text = page.text("document.querySelector('main').textContent").unwrap();
            assert!(text.contains(SCRIPT) && text.contains(PICTURE));
            assert!(text.contains("evil\\u{202e}yp.exe\\x1b[2J\\x0a forged"));
            assert!(!text.contains(['\u{202e}', '\u{1b}', '\u{2028}']));

            // Eight lines and their caller, each a row of its own, and the sum as it is.
            assert_eq!(page.texts("#lines-status").unwrap(), ["9 lines, 8.000 MiB net"]);
            assert_eq!(
                page.ask("document.querySelectorAll('#lines-table tbody tr').length").unwrap(),
                9
            );
            let law = page.texts("#law .figure").unwrap();
            assert_eq!(law, ["3.000", "8.000", "1.000", "12.000"]);
            assert_eq!(page.ask(super::looks::SIDEWAYS).unwrap(), serde_json::json!([]));
            // No row is as high as the window, however long a name.
            let tall = "[...document.querySelectorAll('#lines-table tbody tr, h1, .headline, .next li')] \
                        .filter((each) => each.offsetHeight > 300).map((each) => each.outerHTML.slice(0, 300) + each.offsetHeight)";
            assert_eq!(page.ask(tall).unwrap(), serde_json::json!([]));
        });
    }
}

#[test]
fn the_policy_holds_against_a_script_that_got_in() {
    let report = server();
    let mut browser = Browser::start().unwrap();
    let mut page = browser.open(&report.file(), Look::DESK).unwrap();
    let ask = "(async () => { \
        const script = document.createElement('script'); \
        script.textContent = 'window.owned = 1'; \
        document.body.append(script); \
        document.body.setAttribute('onclick', 'window.owned = 2'); \
        document.body.click(); \
        const sent = await fetch('data:,x').then(() => 'sent', () => 'refused'); \
        return [typeof window.owned, sent]; })()";
    assert_eq!(page.ask(ask).unwrap(), serde_json::json!(["undefined", "refused"]));
    // And the browser said so: this is how every other test would notice.
    assert!(page.problems().unwrap().iter().any(|each| each.contains("Content Security Policy")));
}
