//! The `memtrace` command: parse, run, say what went wrong, choose the exit code.

fn main() {}
