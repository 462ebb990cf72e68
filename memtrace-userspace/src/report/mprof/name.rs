//! What functions and commands are called in a `.dat`, so that mprof reads the line as it is meant.
//!
//! mprof splits lines at blanks, function names at dots, and hands both names and the command to
//! matplotlib, which takes what stands between two `$` for a formula.

use crate::report::printable;

/// `module.function` for each (file, function). Where that is another one's name too, folders of the
/// file come before the module, as in `package.module.function`.
pub(super) fn function_names(functions: &[(&str, &str)]) -> Vec<String> {
    let all: Vec<Vec<String>> = functions.iter().map(|(file, name)| names(file, name)).collect();
    let chosen = |(at, own): (usize, &Vec<String>)| {
        let others = || all.iter().enumerate().filter(|(other, _)| *other != at);
        let alone = |name: &&String| !others().any(|(_, names)| names.contains(name));
        // Nothing tells two functions of one name in one file apart.
        own.iter().find(alone).or(own.first()).cloned().unwrap_or_default()
    };
    all.iter().enumerate().map(chosen).collect()
}

/// All names of a function, the shortest first; never empty.
fn names(file: &str, function: &str) -> Vec<String> {
    let modules = modules(file);
    let from = |first: usize| {
        let words = modules[first..].iter().map(String::as_str).chain([function]);
        one_word(&words.collect::<Vec<_>>().join("."))
    };
    (0..modules.len().max(1)).rev().map(|first| from(first.min(modules.len()))).collect()
}

/// Folders and stem of a file, as an import names them: `/srv/shop/__init__.py` is `srv`, `shop`.
fn modules(file: &str) -> Vec<String> {
    let file = file.strip_suffix(".py").unwrap_or(file);
    let mut modules: Vec<String> = file
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| part.replace('.', "_"))
        .collect();
    if modules.len() > 1 && modules.last().is_some_and(|last| last == "__init__") {
        modules.pop();
    }
    modules
}

/// Without blanks, and without what a terminal or matplotlib would act on.
fn one_word(name: &str) -> String {
    let word = without_math(&printable(name)).replace(' ', "_");
    if word.is_empty() { "?".to_owned() } else { word }
}

/// With `$` as matplotlib writes one that begins no formula.
pub(super) fn without_math(text: &str) -> String {
    text.replace('$', "\\$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_names_that_mprof_users_know() {
        let check = |functions: &[(&str, &str)], names: &[&str]| {
            assert_eq!(function_names(functions), names);
        };
        check(&[("/srv/app.py", "handle")], &["app.handle"]);
        check(
            &[("/srv/shop/__init__.py", "<module>"), ("<string>", "f")],
            &["shop.<module>", "<string>.f"],
        );
        // The same module name twice: the folders tell them apart; a third needs none.
        check(
            &[("/a/b/x.py", "f"), ("/a/c/x.py", "f"), ("/a/c/x.py", "g")],
            &["b.x.f", "c.x.f", "x.g"],
        );
        // Nothing can tell these apart.
        check(&[("/x.py", "f"), ("/x.py", "f")], &["x.f", "x.f"]);
        check(&[("/my app v1.2/a b.py", "f\ng $x$"), ("", "")], &["a_b.f\\x0ag_\\$x\\$", "?"]);
    }
}
