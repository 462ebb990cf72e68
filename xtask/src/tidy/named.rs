//! The one rule that needs all files: each test that a table of `SECURITY.md` names exists.
//!
//! Whether the test proves what its line says is for reviewers.

use super::Source;

const PAGE: &str = "SECURITY.md";
/// The heading of the last column of such a table.
const HEADING: &str = "tests";

/// Findings, as `path:line: what`.
pub(super) fn tests_that_are_not_there(sources: &[Source]) -> Vec<String> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, cell) in cells(&page.text) {
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            found.push(format!("{PAGE}:{line}: no test for what is said here"));
        }
        for name in names.into_iter().filter(|name| !sources.iter().any(|it| has_test(it, name))) {
            found.push(format!("{PAGE}:{line}: there is no test `{name}`"));
        }
    }
    found
}

/// The last cells of the rows of such tables, with their lines.
fn cells(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let last = line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|'));
        let last = last.and_then(|row| row.rsplit('|').next()).map(str::trim);
        match last {
            None => inside = false,
            Some(HEADING) => inside = true,
            Some(cell) if inside && !cell.starts_with("---") => found.push((index + 1, cell)),
            Some(_) => {}
        }
    }
    found
}

/// Whether a test of that name is in the file: a function under `#[test]`, or a line of a macro that
/// makes one of each line.
fn has_test(source: &Source, name: &str) -> bool {
    let function = format!("fn {name}(");
    let marked = source.code.find(&function).is_some_and(|at| {
        source.code[..at].trim_end().trim_end_matches("async").trim_end().ends_with("#[test]")
    });
    let in_macro = || {
        source.path.starts_with("tests/tests/")
            && source.code.contains("#[test]\n        fn $name(")
            && source.code.lines().any(|line| line.trim_start().starts_with(&format!("{name}: ")))
    };
    source.is_rust() && (marked || in_macro())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_test_that_is_not_there_is_found() {
        let page = "| he can | tests |\n| --- | --- |\n| a | `is_there` `of_a_macro` |\n\
                    | b | `is_not` |\n| c | |\n\n| other | checks |\n| --- | --- |\n| d | `x` |\n";
        let code = "#[test]\nfn is_there() {}\nfn is_not() {}\n";
        let made =
            "        $(#[test]\n        fn $name() {})*\n\nlaw! {\n    of_a_macro: \"x\";\n}\n";
        let sources = [
            Source::new(PAGE, page.to_owned()),
            Source::new("src/a.rs", code.to_owned()),
            Source::new("tests/tests/b.rs", made.to_owned()),
        ];
        let expected = [
            "SECURITY.md:4: there is no test `is_not`",
            "SECURITY.md:5: no test for what is said here",
        ];
        assert_eq!(tests_that_are_not_there(&sources), expected);
    }
}
