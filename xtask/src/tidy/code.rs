//! Rust text with everything blanked that isn't code, so that rules don't trip over words.
//!
//! A scanner, not a parser: it knows comments, strings, raw strings, characters and lifetimes, and
//! keeps every line break and column.

/// The text with comments, strings and characters replaced by spaces.
pub(super) fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let length = skipped(&chars, at);
        if length == 0 {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let end = (at + length).min(chars.len());
        out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// How many characters from `at` on are not code.
fn skipped(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        ['r', '#' | '"', ..] if !follows_word(chars, at) => raw_string(rest),
        ['\'', ..] => character(rest),
        _ => 0,
    }
}

fn follows_word(chars: &[char], at: usize) -> bool {
    // `br"…"` is a raw string too; `for"` is not one.
    at > 0 && chars[at - 1] != 'b' && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

/// Block comments nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[char], end: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == end => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#` and so on; 0 for a raw identifier.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let closes = rest[at] == '"' && rest[at + 1..].iter().take(hashes).all(|&c| c == '#');
        if closes && rest.len() > at + hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

/// `'x'` or `'\n'`; 0 for a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => quoted(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::blanked;

    #[test]
    fn only_code_is_left() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("a \" b") + c"#, "f(        ) + c"),
            ("x = r#\"a \" b\"#;", "x =           ;"),
            ("let r#type = 1;", "let r#type = 1;"),
            ("fn f<'a>(c: &'a str) -> char { 'x' }", "fn f<'a>(c: &'a str) -> char {     }"),
            ("'\\'' + '\"' + b", "     +     + b"),
            ("\"two\nlines\" x", "    \n       x"),
            ("\"not closed", "           "),
        ] {
            assert_eq!(blanked(text), expected, "{text}");
        }
    }
}
