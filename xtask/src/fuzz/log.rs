//! What libFuzzer says, read: how far it came, and what it found. Pure.

/// Executions, coverage and memory, in a line.
pub(super) fn summary(log: &str) -> Option<String> {
    let executions = statistic(log, "number_of_executed_units")?;
    let [from, to] = ["INITED", "DONE"].map(|stage| coverage(log, stage));
    let (from, to) = (from?, to?);
    let (new, peak) = (statistic(log, "new_units_added")?, statistic(log, "peak_rss_mb")?);
    let slowest = statistic(log, "slowest_unit_time_sec")?;
    Some(format!(
        "{executions} inputs, coverage {from} to {to}, {new} inputs kept, the slowest {slowest} s, at \
         most {peak} MiB"
    ))
}

/// `stat::new_units_added:          26`
fn statistic(log: &str, name: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
    line.strip_prefix(':')?.trim().parse().ok()
}

/// `#17 INITED cov: 251 ft: 902 corp: 15/4kb exec/s: 0 rss: 41Mb`
fn coverage(log: &str, stage: &str) -> Option<u64> {
    let mut words = log.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()?.starts_with('#') && words.next()? == stage).then_some(words)
    });
    words.next()?.skip_while(|word| *word != "cov:").nth(1)?.parse().ok()
}

/// Why it ended, in its own words.
pub(super) fn reason(log: &str) -> String {
    let mut lines = log.lines();
    let said =
        lines.by_ref().find(|line| line.contains("ERROR: ") || line.contains(" panicked at "));
    match said {
        // The message stands below.
        Some(line) if line.contains(" panicked at ") => {
            let (_, place) = line.split_once(" panicked at ").unwrap_or_default();
            format!("panicked at {place} {}", lines.next().unwrap_or_default())
                .trim_end()
                .to_owned()
        }
        Some(line) => {
            let (_, what) = line.split_once("ERROR: ").unwrap_or_default();
            format!("ended with: {what}")
        }
        None => "failed".to_owned(),
    }
}

/// Where the input is that it stumbled over.
pub(super) fn finding(log: &str) -> Option<&str> {
    log.lines().find_map(|line| Some(line.split_once("Test unit written to ")?.1.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "INFO: seed corpus: files: 14 min: 2b max: 4098b total: 57378b rss: 47Mb\n\
        #15\tINITED cov: 251 ft: 902 corp: 13/52Kb exec/s: 0 rss: 59Mb\n\
        #1024\tNEW    cov: 266 ft: 911 corp: 14/56Kb lim: 4098 exec/s: 0 rss: 60Mb L: 4098/4098 MS: 1 ChangeBit-\n\
        #4321\tDONE   cov: 270 ft: 990 corp: 20/60Kb lim: 4098 exec/s: 72 rss: 61Mb\n\
        Done 4321 runs in 60 second(s)\n\
        stat::number_of_executed_units: 4321\n\
        stat::average_exec_per_sec:     72\n\
        stat::new_units_added:          7\n\
        stat::slowest_unit_time_sec:    0\n\
        stat::peak_rss_mb:              61\n";

    #[test]
    fn a_run_that_found_nothing_is_told_in_a_line() {
        assert_eq!(
            summary(GOOD).as_deref(),
            Some(
                "4321 inputs, coverage 251 to 270, 7 inputs kept, the slowest 0 s, at most 61 MiB"
            )
        );
        assert_eq!(summary("thread panicked"), None);
        assert_eq!(finding(GOOD), None);
    }

    #[test]
    fn a_panic_is_told_with_its_place_and_its_input() {
        let log = "\nthread '<unnamed>' (81) panicked at src/python/text.rs:7:5:\n\
            attempt to add with overflow\nnote: run with `RUST_BACKTRACE=1`\n\
            ==81== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='/t/'; Test unit written to /t/crash-da39a3ee\n";
        assert_eq!(reason(log), "panicked at src/python/text.rs:7:5: attempt to add with overflow");
        assert_eq!(finding(log), Some("/t/crash-da39a3ee"));
    }

    #[test]
    fn an_input_that_takes_too_long_or_too_much_is_told() {
        let log = "ALARM: working on the last Unit for 21 seconds\n\
            ==9== ERROR: libFuzzer: timeout after 21 seconds\n\
            artifact_prefix='/t/'; Test unit written to /t/timeout-1\n";
        assert_eq!(reason(log), "ended with: libFuzzer: timeout after 21 seconds");
        assert_eq!(finding(log), Some("/t/timeout-1"));
    }
}
