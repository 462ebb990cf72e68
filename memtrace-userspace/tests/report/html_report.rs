//! The page without a browser: what is embedded in it, and that nothing in it can act. What it shows
//! and how it behaves is tested in a browser (`tests/tests/html`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memtrace::profile::{Ending, Memory, Profile};
use memtrace::report::Measure;
use memtrace::report::html::{self, shown_files};
use memtrace::report::{HtmlOptions, SourceText, SourceTexts};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::build::*;
use super::check;
use super::table_report::sources;

fn printed(profile: &Profile, sources: &SourceTexts, options: &HtmlOptions) -> String {
    let mut out = Vec::new();
    html::write(&mut out, profile, sources, options).unwrap();
    String::from_utf8(out).unwrap()
}

/// What stands between `start` and the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

fn embedded(page: &str) -> Value {
    let json = between(page, "<script type=\"application/json\" id=\"profile\">", "</script>");
    assert!(!json.contains(['<', '>', '&']));
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_document_of_a_server_and_a_child() {
    // The child is no Python, came to nothing and is in the overview only.
    let mut child = process(4243, &["sh"], Memory::ZERO);
    child.parent = Some(4242);
    child.python = None;
    child.ending = Ending::Exited;
    let page = printed(&profile(vec![server(), child]), &sources(), &HtmlOptions::default());
    let document = embedded(&page);
    // 12 + 38.5 + 1.25 = 51.75 MiB
    let law = serde_json::json!([
        ["before attach", 12_582_912, "12.000"],
        ["lines", 40_370_176, "38.500"],
        ["unattributed", 1_310_720, "1.250"]
    ]);
    assert_eq!(document["processes"][0]["law"], law);
    assert_eq!(document["processes"][1]["full"], Value::Null);
    let mut lines = String::new();
    flatten(&mut lines, "", &document);
    check("html.txt", &lines);
}

/// A line for each value that is no object: its path, and itself.
fn flatten(lines: &mut String, path: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, each)| flatten(lines, &format!("{path}.{key}"), each));
        }
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            let numbered = elements.iter().enumerate();
            numbered.for_each(|(at, each)| flatten(lines, &format!("{path}[{at}]"), each));
        }
        other => *lines += &format!("{path} = {other}\n"),
    }
}

#[test]
fn each_text_is_embedded_once() {
    // 300 stacks of two lines in one function: its names stand there once.
    let mut process = server();
    let (file, function) = ("/srv/only_here.py", "OnlyHere.handle");
    let own = line(file, function, 1, 2, Memory::ZERO);
    for number in 0..300 {
        let caller = line(file, function, 1, 3 + number, Memory::ZERO);
        process.stacks.push(stack(0, &[&own, &caller], memory(0.25, 0.0, 0.0)));
    }
    process.lines = memtrace::profile::lines_of(&process.stacks);
    let page = printed(&profile(vec![process]), &SourceTexts::new(), &HtmlOptions::default());
    assert_eq!(page.matches("only_here.py").count(), 1);
    assert_eq!(page.matches(function).count(), 1);
    let document = embedded(&page);
    assert_eq!(document["processes"][0]["full"]["stacks"].as_array().unwrap().len(), 303);
}

#[test]
fn stacks_of_several_threads_are_one_in_the_flame_graph() {
    let mut process = server();
    let mut again = process.stacks[0].clone(); // 40 MiB grown, 8 returned, 31.5 resident, 900 events
    again.thread = 1;
    process.stacks.push(again);
    let page = printed(&profile(vec![process]), &SourceTexts::new(), &HtmlOptions::default());
    let stacks = embedded(&page)["processes"][0]["full"]["stacks"].clone();
    assert_eq!(stacks.as_array().unwrap().len(), 3);
    assert_eq!(stacks[0][0], 80 << 20);
    assert_eq!(stacks[0][1], 64 << 20);
    assert_eq!(stacks[0][2], 63 << 20);
    assert_eq!(stacks[0][3], 1800);
}

#[test]
fn the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else() {
    let page = printed(&profile(vec![server()]), &sources(), &HtmlOptions::default());
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let style = hash(between(&page, "<style>", "</style>"));
    let script = hash(between(&page, "<script>", "</script>"));
    let directives: Vec<_> = policy.split("; ").collect();
    assert_eq!(
        directives,
        [
            "default-src 'none'",
            &format!("style-src {style}"),
            &format!("script-src {script}"),
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'"
        ]
    );
    // It comes before what it is about.
    assert!(page.find("Content-Security-Policy") < page.find("<style>"));
}

#[test]
fn the_page_names_nothing_outside_of_itself() {
    let page = printed(&profile(vec![server()]), &sources(), &HtmlOptions::default());
    let namespace = "http://www.w3.org/2000/svg"; // a name, never fetched
    let rest = page.replace(namespace, "");
    for way in ["http:", "https:", "url(", "@import", " src=", "\"//", "'//"] {
        assert!(!rest.contains(way), "{way}");
    }
}

#[test]
fn markup_in_names_and_source_does_not_reach_the_page() {
    let name = "</script><script>window.owned = 1</script><!-- \" ' & \u{202e}\u{1b}[2J";
    let mut process = server();
    process.lines.push(line(name, name, 1, 1, memory(1.0, 0.0, 0.0)));
    process.after += memory(1.0, 0.0, 0.0);
    process.command = vec![name.to_owned()];
    process.notes = vec![name.to_owned()];
    let mut sources = sources();
    sources.insert(0, name, SourceText::new(name, false));
    let page = printed(&profile(vec![process]), &sources, &HtmlOptions::default());
    assert!(!page.contains("<script>window"));
    assert!(!page.contains("-- \""));
    assert!(!page.contains(['\u{202e}', '\u{1b}']));
    assert_eq!(page.matches("</script").count(), 2);
    let document = embedded(&page);
    let safe = "</script><script>window.owned = 1</script><!-- \" ' & \\u{202e}\\x1b[2J";
    assert!(document["texts"].as_array().unwrap().contains(&Value::from(safe)));
}

#[test]
fn the_files_that_are_shown_are_those_of_the_lines_that_grew_most() {
    let profile = profile(vec![server()]);
    let shown = |functions_of_top| {
        let options = HtmlOptions { functions_of_top, ..HtmlOptions::default() };
        shown_files(&profile, &options).into_iter().map(|(_, file)| file).collect::<Vec<_>>()
    };
    assert_eq!(shown(2), [APP]); // the third line is the decoder's
    assert_eq!(shown(3), [APP, DECODER]);
}

#[test]
fn the_measure_asked_for_is_the_first_one() {
    let measures = [Measure::Grown, Measure::Net, Measure::Resident, Measure::Events];
    for (measure, name) in measures.into_iter().zip(["grown", "net", "resident", "events"]) {
        let options = HtmlOptions { measure, ..HtmlOptions::default() };
        let page = printed(&profile(vec![server()]), &SourceTexts::new(), &options);
        assert_eq!(embedded(&page)["measure"], name);
    }
}
