//! Each kind of mistake in a configuration, and ten thousand of no kind.

use std::fmt::Write;

use super::*;
use crate::daemon::container::Named;
use crate::daemon::group::Labels;

const WHOLE: &str = r#"# A host with web workers.
[trace]
window = "1s"
scan = "5s"
keep = "30m"
uprobes = false
ring = "16MiB"

[[include]]
command = "*gunicorn*"
user = "www*"

[[include]]
namespace = "shop"
python = "3.1[123].*"

[[exclude]]
container = "sidecar*"

[limits]
processes = 200
stacks = 10000
memory = "64MiB"

[metrics]
lines = 5
groups = 20
stale = "1m"

[http]
listen = "127.0.0.1:9000"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("memtrace.toml"))
}

fn check(text: &str, line: usize, words: &[&str]) {
    let error = parse(text).expect_err(text);
    assert_eq!(error.line, line, "{error} for {text}");
    let said = error.to_string();
    assert!(said.starts_with(&format!("memtrace.toml:{line}: ")), "{said}");
    for word in words {
        assert!(said.contains(word), "nothing about {word:?} in {said:?}");
    }
}

#[test]
fn nothing_is_a_configuration_and_a_whole_one_means_what_it_says() {
    let config = parse("").unwrap();
    assert_eq!(config.http.listen, LISTEN);
    assert_eq!(config.trace.window.0, Duration::from_secs(2));
    let config = parse(WHOLE).unwrap();
    assert_eq!((config.include.len(), config.exclude.len()), (2, 1));
    assert_eq!((config.limits.processes, config.limits.memory.0), (200, 64 << 20));
    assert_eq!((config.trace.uprobes, config.trace.ring.0), (false, 16 << 20));
}

#[test]
fn each_mistake_is_told_with_its_line_and_the_mend() {
    check("[trace]\nwindow = \"soon\"\n", 2, &["\"soon\" is no time", "\"2s\""]);
    check("[trace]\n\nwindow = 2\n", 3, &["a time in quotes"]);
    check("[trace]\nwindow = \"1ms\"\n", 2, &["1ms is out of range", "200ms to 1m"]);
    check("[trace]\nring = \"3MiB\"\n", 2, &["power of two"]);
    check("[trace]\nwidnow = \"2s\"\n", 2, &["widnow", "window"]);
    check("[tarce]\n", 1, &["tarce", "trace"]);
    check("\n[[include]]\ncomand = \"*\"\n", 3, &["comand", "command"]);
    check("[[include]]\nuser = \"a[\"\n", 2, &["no pattern", "[*]"]);
    check("[limits]\nprocesses = 0\n", 2, &["processes: 0 is out of range", "1 to 4096"]);
    check("[limits]\nmemory = \"lots\"\n", 2, &["no size", "48MiB"]);
    check("[limits]\nmemory = 48\n", 2, &["a size in quotes"]);
    check("[http]\nlisten = \"everywhere\"\n", 2, &["socket address"]);
    check("[http\n", 1, &[]);
    check("a = 1\na = 2\n", 2, &["duplicate key"]);
}

#[test]
fn beyond_loopback_there_is_no_server_without_token_and_certificate() {
    let words = ["can be reached from other machines", "token_file", "127.0.0.1:9464"];
    check("[http]\nlisten = \"0.0.0.0:9464\"\n", 2, &words);
    check("[http]\ntoken_file = \"t\"\nlisten = \"[::]:9464\"\n", 3, &words[..2]);
    check("[http]\ntls_key = \"k\"\n", 2, &["tls_certificate"]);
    let whole =
        "[http]\nlisten = \"[::]:1\"\ntoken_file = \"t\"\ntls_certificate = \"c\"\ntls_key = \"k\"";
    assert!(parse(whole).is_ok());
    assert!(parse("[http]\nlisten = \"0.0.0.0:1\"\nenabled = false\n").is_ok());
    assert!(parse("[http]\nlisten = \"[::1]:1\"\n").is_ok());
}

#[test]
fn rules_choose_by_all_that_they_name() {
    let config = parse(WHOLE).unwrap();
    let labels = |user: &str, namespace: &str, container: &str| Labels {
        user: user.to_owned(),
        python: "3.12.1".to_owned(),
        named: Named {
            namespace: namespace.to_owned(),
            container: container.to_owned(),
            ..Named::default()
        },
        ..Labels::default()
    };
    let wants = |command: &str, labels: &Labels| {
        let command: Vec<String> = command.split(' ').map(ToOwned::to_owned).collect();
        config.wants(&Subject { command: &command, labels })
    };
    assert!(wants("python3 /usr/bin/gunicorn app:app", &labels("www-data", "", "")));
    assert!(!wants("python3 /usr/bin/gunicorn app:app", &labels("nobody", "", "")));
    assert!(!wants("python3 job.py", &labels("www-data", "", "")));
    assert!(wants("python3 job.py", &labels("nobody", "shop", "app")));
    assert!(!wants("python3 job.py", &labels("nobody", "shop", "sidecar-1")));
    assert!(parse("").unwrap().wants(&Subject { command: &[], labels: &Labels::default() }));
}

#[test]
fn ten_thousand_mutations_are_refused_in_words_or_accepted() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces: Vec<char> = "[]{}=\"'#.,\n\\\u{0}\u{202e}é0aZ*-_ \t".chars().collect();
    let lines = WHOLE.lines().count() + 40;
    let mut refused = 0;
    for _ in 0..10_000 {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for _ in 0..=random(4) {
            let at = random(text.len());
            match random(4) {
                0 => drop(text.remove(at)),
                1 => text[at] = pieces[random(pieces.len())],
                2 => text.insert(at, pieces[random(pieces.len())]),
                _ => {
                    let end = (at + 1 + random(20)).min(text.len());
                    let piece: Vec<char> = text[at..end].to_vec();
                    let to = random(text.len());
                    text.splice(to..to, piece);
                }
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = parse(&text) {
            refused += 1;
            let mut said = String::new();
            write!(said, "{error}").unwrap();
            assert!((1..=lines).contains(&error.line), "{said}");
            assert!(!error.message.is_empty() && !said.contains('\n'), "{said}");
        }
    }
    assert!((1000..10_000).contains(&refused), "{refused} of 10000 refused");
}
