//! The rules, one function each: a file goes in, findings come out.
//!
//! Rules look at blanked code (`code.rs`), so words in comments and strings don't count. They
//! read no files.

use super::{Finding, Source};

/// All rules.
pub(super) const ALL: &[fn(&Source) -> Vec<Finding>] = &[
    length,
    opening,
    kernel_only_names_aya,
    pure_modules,
    machine_paths,
    unfinished,
    ring_buffer,
    lint_exceptions,
];

/// No file over this many lines, generated ones excepted.
const LONGEST: usize = 500;
/// ARCHITECTURE.md has its own bound.
const LONGEST_ARCHITECTURE: usize = 300;

fn length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let generated = source.text.lines().take(5).any(|line| line.contains("@generated"));
    let most = match source.path.as_str() {
        "ARCHITECTURE.md" => LONGEST_ARCHITECTURE,
        _ if source.is_rust() && !generated => LONGEST,
        _ => return Vec::new(),
    };
    if lines > most { vec![(lines, format!("{lines} lines, at most {most}"))] } else { Vec::new() }
}

fn opening(source: &Source) -> Vec<Finding> {
    let opens = source.text.starts_with("//!");
    if !source.is_rust() || opens {
        return Vec::new();
    }
    vec![(1, "does not open with `//!`: what is it for, and what does it not do?".to_owned())]
}

/// aya is known to `kernel` alone.
fn kernel_only_names_aya(source: &Source) -> Vec<Finding> {
    let inside = source.path.starts_with("memtrace-userspace/src/")
        || source.path.starts_with("memtrace-common/");
    let kernel = source.path == "memtrace-userspace/src/kernel.rs"
        || source.path.starts_with("memtrace-userspace/src/kernel/");
    if !source.is_rust() || !inside || kernel {
        return Vec::new();
    }
    each_line(&source.code, |line| {
        (has_word(line, "aya") || has_word(line, "aya_log") || has_word(line, "aya_obj"))
            .then(|| "names aya; only kernel does".to_owned())
    })
}

/// No clock, no files, no network, no aya, clap or tokio.
const PURE: [&str; 6] = ["ledger", "history", "profile", "report", "top/model", "top/view"];

/// The ledger, the history, the profile, the reports and what the live screen shows are pure.
fn pure_modules(source: &Source) -> Vec<Finding> {
    let pure = PURE.iter().any(|module| {
        let base = format!("memtrace-userspace/src/{module}");
        source.path == format!("{base}.rs") || source.path.starts_with(&format!("{base}/"))
    });
    if !source.is_rust() || !pure || source.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    // Unit tests at the end may do as they like.
    let code = source.code.split("#[cfg(test)]").next().unwrap_or_default();
    let mut findings = each_line(code, |line| {
        ["aya", "aya_log", "clap", "tokio", "Instant"]
            .iter()
            .find(|word| has_word(line, word))
            .map(ToString::to_string)
            .or_else(|| {
                ["std::fs", "std::net", "SystemTime::now"]
                    .iter()
                    .find(|path| has_word(line, path))
                    .map(ToString::to_string)
            })
            .map(|what| format!("uses {what}; {} are pure", PURE.join(", ")))
    });
    // `use std::{fs, net::…}` names them without the path.
    for (line, group) in groups(code, "std::{") {
        let named = ["fs", "net"].iter().find(|word| has_word(group, word));
        findings.extend(
            named.map(|what| (line, format!("uses std::{what}; {} are pure", PURE.join(", ")))),
        );
    }
    findings
}

/// Nobody's folders.
fn machine_paths(source: &Source) -> Vec<Finding> {
    // Put together here, or this file would be a finding.
    const FOLDERS: [&str; 3] =
        [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
    each_line(&source.text, |line| {
        FOLDERS
            .iter()
            .find(|folder| starts_a_path(line, folder))
            .map(|folder| format!("names a machine's path: {folder}"))
    })
}

/// Whether the folder stands at the beginning of an absolute path, as in ` /a/b` but not `x/a/b`.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}~*".contains(c)))
}

/// What is committed is finished.
fn unfinished(source: &Source) -> Vec<Finding> {
    each_line(&source.code, |line| {
        ["todo!", "unimplemented!", "#[ignore"]
            .iter()
            .find(|mark| line.contains(*mark))
            .map(|mark| format!("{mark}: finish it or leave it out"))
    })
}

/// Only `emit.rs` writes to the ring buffer.
fn ring_buffer(source: &Source) -> Vec<Finding> {
    let kernel_side = source.path.starts_with("memtrace-ebpf/src/");
    if !kernel_side || source.path == "memtrace-ebpf/src/emit.rs" {
        return Vec::new();
    }
    const CALLS: [&str; 8] = [
        ".output(",
        ".output::<",
        ".reserve(",
        ".reserve::<",
        ".reserve_bytes(",
        ".submit(",
        "bpf_ringbuf_output",
        "bpf_ringbuf_reserve",
    ];
    each_line(&source.code, |line| {
        CALLS
            .iter()
            .find(|call| line.contains(*call))
            .map(|call| format!("{call} outside emit.rs: only emit.rs touches the ring buffer"))
    })
}

/// Every exception from a lint says why.
fn lint_exceptions(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, attribute) in
        groups(&source.code, "#[").into_iter().chain(groups(&source.code, "#!["))
    {
        let excepts = ["allow", "expect"].iter().any(|word| has_word(attribute, word));
        let is_lint = attribute.starts_with("allow(")
            || attribute.starts_with("expect(")
            || attribute.starts_with("cfg_attr(");
        if excepts && is_lint && !has_word(attribute, "reason") {
            findings.push((line, "a lint exception without `reason = \"…\"`".to_owned()));
        }
    }
    findings
}

/// A finding for each line for which `judge` has something to say.
fn each_line(text: &str, judge: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| judge(line).map(|what| (index + 1, what)))
        .collect()
}

/// Whether a word (or path) stands in the line by itself.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

/// What stands between `open` (which ends in a bracket) and its closing bracket, with its line.
fn groups<'a>(code: &'a str, open: &str) -> Vec<(usize, &'a str)> {
    let closing = if open.ends_with('{') { ('{', '}') } else { ('[', ']') };
    let mut found = Vec::new();
    for (at, _) in code.match_indices(open) {
        let rest = &code[at + open.len()..];
        let mut depth = 1;
        let end = rest.char_indices().find_map(|(index, c)| {
            depth += i32::from(c == closing.0) - i32::from(c == closing.1);
            (depth == 0).then_some(index)
        });
        let line = code[..at].matches('\n').count() + 1;
        found.push((line, &rest[..end.unwrap_or(rest.len())]));
    }
    found
}

#[cfg(test)]
mod tests;
