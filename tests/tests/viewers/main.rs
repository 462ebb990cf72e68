//! Reports in programs that others wrote for their formats: a reader of pprof, speedscope in a
//! browser, a browser alone for the flame graph.
//!
//! The profiles are those of the reports' own tests, made by hand, whose sums are stated there.

#[expect(dead_code, reason = "shared with the reports' own tests, which need all of it")]
#[path = "../../../memtrace-userspace/tests/report/build.rs"]
mod build;
mod flamegraph;
mod pprof;
mod speedscope;
