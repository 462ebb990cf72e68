//! Is it still there? What a line grew, what of it was given back (whoever did so), and what is
//! left: the page ledger, judged by programs that know.

use harness::interpreters::for_each;
use harness::target::Target;
use harness::{Result, check, ensure, traced};

fn ledger_is_right(scenario: &str) -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "resident.py", &[scenario], &[])?;
        check::resident_by_line(traced.process()?, &traced.truth)?;
        check::law(&traced.report)?;
        check::agrees_with_kernel(&traced.report, traced.target.pid, traced.target.settled()?)
    })
}

/// One test for each scenario, named by a sentence.
macro_rules! resident {
    ($($name:ident: $scenario:literal;)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            ledger_is_right($scenario)
        })*
    };
}

resident! {
    what_a_line_keeps_is_resident: "keeps";
    what_another_line_frees_is_returned_by_the_grower: "frees_on_another_line";
    what_a_line_frees_itself_is_returned: "frees_on_the_same_line";
    a_moved_mapping_stays_with_its_line: "moves_a_mapping";
    a_buffer_grown_by_realloc_stays_with_its_line: "grows_by_realloc";
    what_mremap_cuts_off_is_returned: "shrinks_in_place";
    what_madvise_discards_is_returned_and_the_next_toucher_has_it: "discards_and_touches_again";
    a_hole_cut_by_munmap_is_returned_and_both_ends_stay: "unmaps_the_middle";
    what_brk_gives_back_is_returned: "trims_the_heap";
    what_a_mapping_over_it_replaces_is_returned: "replaces_a_mapping";
}

#[test]
fn a_huge_page_is_one_growth_of_512_pages() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "memory.py", &["uses_huge_pages"], &[])?;
        let process = traced.process()?;
        let grown: i64 = process.lines.iter().map(|line| line.self_grown_bytes).sum();
        let resident: i64 = process.lines.iter().map(|line| line.self_resident_bytes).sum();
        ensure!(grown >= 16 << 20, "grown {grown}\n{}", process.top());
        ensure!(resident >= 16 << 20, "resident {resident}\n{}", process.top());
        let pages = u64::try_from(grown)? / 4096;
        ensure!(process.events < pages / 4, "{} events for {pages} pages", process.events);
        Ok(())
    })
}

#[test]
fn the_line_that_frees_is_told_beside_the_one_that_grew() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "resident.py", &["frees_on_another_line"], &[])?;
        let (grower, releaser) = (traced.truth.mark("grows")?, traced.truth.mark("releases")?);
        let figures = traced.process()?.figures(&releaser.file, releaser.line);
        let grown = grower.grown()?;
        ensure!((figures.released - grown).abs() <= grown / 100, "{figures:?}");
        ensure!(figures.returned <= check::BESIDE, "{figures:?}");
        Ok(())
    })
}

#[test]
fn memory_from_before_attach_is_returned_by_no_line() -> Result<()> {
    for_each(|python| {
        // The first step grows untraced; the second, traced, grows as much and keeps both.
        let mut target = Target::start(python, "resident.py", &["keeps"])?;
        target.go()?;
        let before = target.settled()?.rss;
        let traced = traced::trace_target(target, &[])?;
        let process = traced.process()?;
        ensure!(process.rss_before_bytes == before, "before: {}", process.rss_before_bytes);
        check::resident_by_line(process, &traced.truth)?;
        check::law(&traced.report)
    })
}
