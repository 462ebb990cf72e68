//! `memtrace explain` on programs that hold known amounts and say what their interpreter and libc
//! count: each figure is theirs, on every interpreter of this machine.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use harness::explained::{Explained, near};
use harness::interpreters::{Interpreter, for_each};
use harness::snapshot::Snapshot;
use harness::target::{Target, command};
use harness::truth::Truth;
use harness::{Context, Result, ensure};
use serde_json::Value;

const PAGE: i64 = 4096;

/// Without huge pages: Debian's 3.15 asks for them, and then khugepaged changes RSS of a process at
/// rest whenever it comes by.
fn program(python: &Interpreter, scenario: &str) -> Result<Target> {
    Target::start(python, "explained.py", &[scenario, "--no-thp"])
}

fn start(python: &Interpreter, scenario: &str) -> Result<(Target, Truth)> {
    let mut target = program(python, scenario)?;
    let truth = target.go()?;
    Ok((target, truth))
}

/// A number of the truth, by its path of keys.
fn said(truth: &Truth, path: &[&str]) -> Result<i64> {
    let first = truth.more.get(path[0]).with_context(|| format!("no {}", path[0]))?;
    let at = path[1..].iter().fold(first, |at, key| &at[*key]);
    at.as_i64().with_context(|| format!("{path:?} is {at}"))
}

/// Objects by type, as the program counted them.
fn counted(truth: &Truth) -> Result<BTreeMap<String, i64>> {
    let census = truth.more.get("census").and_then(Value::as_object).context("census")?;
    let counts = census.iter().filter_map(|(name, count)| Some((name.clone(), count.as_i64()?)));
    Ok(counts.filter(|(_, count)| *count != 0).collect())
}

/// Whether glibc told the program of its heap (`mallinfo2`, glibc 2.33).
fn knows_its_heap(truth: &Truth) -> Result<bool> {
    Ok(said(truth, &["heap", "arena"])? > 0)
}

#[test]
fn the_census_is_gc_get_objects_by_type_and_the_arenas_are_getallocatedblocks() -> Result<()> {
    for_each(|python| {
        let (target, truth) = start(python, "objects")?;
        for arguments in [&[][..], &["--freeze"]] {
            let explained = Explained::of(target.pid, arguments)?;
            let (found, expected) = (explained.census()?, counted(&truth)?);
            ensure!(expected.len() > 50, "{expected:?}");
            let differs = |name: &&String| found.get(*name) != expected.get(*name);
            let names = || found.keys().chain(expected.keys());
            let pair = |name| (name, found.get(name), expected.get(name));
            let wrong: Vec<_> = names().filter(differs).map(pair).collect();
            ensure!(wrong.is_empty(), "(type, found, truth): {wrong:?}");
            let planted = truth.more["planted"].as_object().context("planted")?;
            for (name, count) in planted {
                ensure!(found.get(name).copied() == count.as_i64(), "{name} is not {count}");
            }
            for key in ["torn_links", "lists_cut"] {
                ensure!(explained.number(&["census", key])? == 0, "{key} on a quiet target");
            }
            ensure!(explained.number(&["arenas", "pools_torn"])? == 0, "torn on a quiet target");
            // The text of the answer is a few blocks, gone when the program parks.
            let blocks = explained.number(&["arenas", "allocated_blocks"])?;
            let truth = said(&truth, &["blocks"])?;
            ensure!((blocks - truth).abs() <= 8, "{blocks} blocks, the truth is {truth}");
        }
        Ok(())
    })
}

/// Its kernel's sum of all may then leave mappings out.
#[test]
fn a_process_that_changes_its_mappings_all_the_time_is_told_whole() -> Result<()> {
    for_each(|python| {
        let (target, truth) = start_busy(python, "changes_mappings")?;
        let held = said(&truth, &["held_bytes"])?;
        for _ in 0..8 {
            let explained = Explained::of(target.pid, &[])?;
            let rss = explained.number(&["rss_bytes"])?;
            ensure!(rss >= held, "RSS is {rss}, of which {held} is held");
        }
        Ok(())
    })
}

#[test]
fn every_size_class_has_the_blocks_that_debugmallocstats_prints() -> Result<()> {
    for_each(|python| {
        let (target, truth) = start(python, "every_size_class")?;
        let explained = Explained::of(target.pid, &[])?;
        let classes = truth.more["stats"]["classes"].as_array().context("classes")?;
        let planted = truth.more["planted"].as_object().context("planted")?;
        ensure!(planted.len() == 30, "{planted:?}");
        for (size, count) in planted {
            let size: i64 = size.parse()?;
            let count = count.as_i64().context("count")?;
            let class = explained.class(size)?;
            let printed = classes.iter().find(|class| class["block_bytes"] == size);
            let printed = printed.with_context(|| format!("{size} was not printed"))?;
            let number = |class: &Value, key: &str| class[key].as_i64().context(key.to_owned());
            for key in ["pools", "live_blocks"] {
                let (found, truth) = (number(class, key)?, number(printed, key)?);
                near(&format!("{key} of {size} bytes"), found, truth, 1)?;
            }
            ensure!(number(class, "live_blocks")? >= count, "fewer than were planted: {class}");
            let live = number(class, "live_bytes")?;
            ensure!(live == number(class, "live_blocks")? * size, "{class}");
        }
        let live = explained.number(&["arenas", "live_bytes"])?;
        near("RSS of live blocks", explained.rss("arena_live"), live, 0)?;
        near(
            "arenas",
            explained.number(&["arenas", "arenas"])?,
            said(&truth, &["stats", "arenas"])?,
            0,
        )
    })
}

#[test]
fn fragmented_arenas_are_told_with_how_little_keeps_them() -> Result<()> {
    for_each(|python| {
        let (target, truth) = start(python, "fragmented")?;
        let explained = Explained::of(target.pid, &[])?;
        let (arenas, held) =
            (explained.number(&["arenas", "arenas"])?, explained.number(&["arenas", "held"])?);
        ensure!(arenas == said(&truth, &["stats", "arenas"])?, "{arenas} arenas");
        // One block in two hundred of 144 bytes survives: some 35 in each pool of 4 KiB's arena.
        ensure!(held * 100 >= arenas * 95, "{held} of {arenas} hold a live block");
        let resident = explained.number(&["arenas", "resident_bytes"])?;
        let parts = ["arena_live", "arena_free_in_pools", "arena_free_pools", "arena_overhead"];
        let sum: i64 = parts.iter().map(|kind| explained.rss(kind)).sum();
        ensure!(sum == resident, "the arenas' rows are {sum}, {resident} are resident");
        // 400,000 blocks of 144 bytes were there.
        let free = explained.rss("arena_free_in_pools") + explained.rss("arena_free_pools");
        ensure!(free >= 400_000 * 144 / 10 * 9, "only {free} bytes are free");
        let words = explained.words();
        let sentence = format!("{held} of {arenas} hold at least one live block");
        ensure!(words.contains(&sentence), "{sentence:?} is not in {words}");
        ensure!(words.contains("% free but spread"), "{words}");
        Ok(())
    })
}

/// glibc's heap against `mallinfo2()`.
fn heap_is_mallinfo(explained: &Explained, truth: &Truth) -> Result<()> {
    let info = |key| said(truth, &["heap", key]);
    near("system", explained.heap("system_bytes")?, info("arena")?, 0)?;
    near("in use", explained.heap("in_use_bytes")?, info("uordblks")?, 0)?;
    let free = explained.heap("free_bytes")? + explained.heap("top_bytes")?;
    // The program's last words are in a block that is freed after it has counted.
    near("free", free, info("fordblks")?, 16 << 10)?;
    near("mapped blocks", explained.number(&["heap", "mapped_bytes"])?, info("hblkhd")?, PAGE)?;
    let blocks = explained.number(&["heap", "mapped_blocks"])?;
    ensure!(blocks == info("hblks")?, "{blocks} blocks of their own, not {}", info("hblks")?);
    Ok(())
}

#[test]
fn a_freed_heap_is_mallinfo_s_and_trimming_gives_back_what_was_told() -> Result<()> {
    for_each(|python| {
        let (mut target, truth) = start(python, "freed_then_trimmed")?;
        let explained = Explained::of(target.pid, &[])?;
        ensure!(knows_its_heap(&truth)?, "this test needs mallinfo2 (glibc 2.33)");
        heap_is_mallinfo(&explained, &truth)?;
        let freed = said(&truth, &["freed_bytes"])?;
        let free = explained.rss("heap_free") + explained.rss("heap_top");
        ensure!(free >= freed, "{free} bytes are free and resident, {freed} were freed");
        let words = explained.words();
        ensure!(words.contains("of RSS is free memory held by glibc; malloc_trim(0)"), "{words}");
        let told = explained.number(&["heap", "trim_bytes"])?;
        let truth = target.go()?;
        near("trimmable", told, said(&truth, &["given_back_bytes"])?, 0)?;
        let trimmed = Explained::of(target.pid, &[])?;
        let left = trimmed.number(&["heap", "trim_bytes"])?;
        ensure!(left <= told / 20, "{left} bytes could be trimmed after trimming");
        Ok(())
    })
}

#[test]
fn the_arenas_of_threads_and_their_stacks_are_found() -> Result<()> {
    for_each(|python| {
        let (target, truth) = start(python, "threads")?;
        let explained = Explained::of(target.pid, &[])?;
        heap_is_mallinfo(&explained, &truth)?;
        let arenas = explained.json["heap"]["arenas"].as_array().context("arenas")?;
        ensure!(arenas.len() == 5, "{} arenas: one a thread, and the main one", arenas.len());
        ensure!(arenas.iter().all(|arena| arena["torn"] == false), "{arenas:#?}");
        let stacks = stacks(target.pid, &truth)?;
        ensure!(stacks > 1 << 20, "the threads used {stacks} bytes of stack");
        near("stacks", explained.rss("thread_stacks"), stacks, 0)
    })
}

/// Resident bytes of the main thread's stack, and of those that the threads said are theirs.
fn stacks(pid: u32, truth: &Truth) -> Result<i64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let line = maps.lines().find(|line| line.ends_with("[stack]")).context("[stack]")?;
    let (start, end) = line.split_once(' ').and_then(|(it, _)| it.split_once('-')).context("-")?;
    let mut ranges = vec![(u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?)];
    let said = truth.more["stacks"].as_array().context("stacks")?;
    for stack in said {
        let number = |at: usize| stack[at].as_u64().context("a stack");
        ranges.push((number(0)?, number(0)? + number(1)?));
    }
    ensure!(ranges.len() == 5, "{ranges:x?}");
    let pagemap = std::fs::File::open(format!("/proc/{pid}/pagemap"))?;
    let mut pages = 0;
    for (start, end) in ranges {
        let mut entries = vec![0; ((end - start) / 4096 * 8) as usize];
        pagemap.read_exact_at(&mut entries, start / 4096 * 8)?;
        pages += entries.chunks_exact(8).filter(|entry| entry[7] & 0x80 != 0).count();
    }
    Ok(i64::try_from(pages)? * PAGE)
}

#[test]
fn arrays_shared_memory_files_and_what_nobody_can_name_have_their_rows() -> Result<()> {
    for_each(|python| {
        let mut target = program(python, "mapped")?;
        let before = Explained::of(target.pid, &[])?;
        let truth = target.go()?;
        let after = Explained::of(target.pid, &["--freeze"])?;
        heap_is_mallinfo(&after, &truth)?;
        let grown = |kind| after.rss(kind) - before.rss(kind);
        // An array's header takes a page; so does what a freed block leaves unused.
        near("large blocks", grown("large_blocks"), said(&truth, &["large"])?, 160 << 10)?;
        near("shared memory", grown("shared_memory"), said(&truth, &["shared"])?, 0)?;
        near("mapped files", grown("mapped_files"), said(&truth, &["file"])?, 0)?;
        near("unknown", grown("unknown_anonymous"), said(&truth, &["unknown"])?, 64 << 10)?;
        let largest = after.json["largest_blocks"][0]["mapped_bytes"].as_i64();
        near("the largest block", largest.context("largest")?, 8 << 20, 0)?;
        ensure!(after.words().contains("the largest mapped block is 8.0 MiB"), "{}", after.words());
        Ok(())
    })
}

#[test]
fn the_rows_are_smaps_rollup_to_the_page_when_the_process_is_held() -> Result<()> {
    for_each(|python| {
        let (target, _) = start(python, "mapped")?;
        let kernel = target.settled()?;
        let explained = Explained::of(target.pid, &["--freeze"])?;
        ensure!(explained.number(&["frozen_ns"])? > 0, "it was not held");
        let rss = explained.number(&["rss_bytes"])?;
        ensure!((rss - kernel.rss).abs() <= PAGE, "{rss} is not smaps_rollup's {}", kernel.rss);
        ensure!(explained.rss("changed").abs() <= PAGE, "{} changed", explained.rss("changed"));
        Ok(())
    })
}

#[test]
fn pages_of_zeros_that_were_only_read_are_in_no_row() -> Result<()> {
    for_each(|python| {
        let mut target = program(python, "zeros")?;
        let before = Explained::of(target.pid, &[])?;
        target.go()?;
        let after = Explained::of(target.pid, &["--freeze"])?;
        let grown = after.rss("unknown_anonymous") - before.rss("unknown_anonymous");
        ensure!(grown.abs() <= 64 << 10, "{grown} bytes of 32 MiB that were never written to");
        ensure!(after.rss("changed") == 0, "{} changed", after.rss("changed"));
        Ok(())
    })
}

#[test]
fn looking_changes_nothing_held_or_not() -> Result<()> {
    for_each(|python| {
        for scenario in ["objects", "mapped", "fragmented", "zeros"] {
            let (target, _) = start(python, scenario)?;
            let before = Snapshot::take(target.pid)?;
            ensure!(before.page_count() > 100, "{} pages prove nothing", before.page_count());
            Explained::of(target.pid, &[])?;
            let after = Snapshot::take(target.pid)?;
            after.expect_same(&before, "after a look")?;
            Explained::of(target.pid, &["--freeze"])?;
            let held = Snapshot::take(target.pid)?;
            held.expect_same_memory(&before, "after a look that held it")?;
        }
        Ok(())
    })
}

#[test]
fn a_process_that_never_rests_is_read_without_contradiction_when_it_is_held() -> Result<()> {
    for_each(|python| {
        let (target, _) = start_busy(python, "busy")?;
        for _ in 0..3 {
            let explained = Explained::of(target.pid, &["--freeze"])?;
            ensure!(explained.rss("changed") == 0, "{} changed", explained.rss("changed"));
            // The thread that holds the GIL may have been in the middle of one step.
            let torn = explained.number(&["arenas", "pools_torn"])?;
            let links = explained.number(&["census", "torn_links"])?;
            ensure!(torn <= 1 && links <= 2, "{torn} torn pools, {links} torn links");
            ensure!(explained.number(&["census", "lists_cut"])? == 0, "a list was given up");
            let arenas = explained.json["heap"]["arenas"].as_array().context("arenas")?;
            ensure!(arenas.iter().all(|arena| arena["torn"] == false), "{arenas:#?}");
            // It runs on: its CPU time rises.
            let before = cpu_time(target.pid)?;
            harness::wait::until("the process to run on", || {
                Ok((cpu_time(target.pid)? > before).then_some(()))
            })?;
            // Not held: whatever is found, it ends and adds up.
            Explained::of(target.pid, &[])?;
        }
        Ok(())
    })
}

/// Clock ticks that all threads have run for in user mode.
fn cpu_time(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = stat.rsplit_once(')').context("stat")?.1;
    Ok(rest.split_whitespace().nth(11).context("utime")?.parse()?)
}

/// A target that can't be waited for to be at rest.
fn start_busy(python: &Interpreter, scenario: &str) -> Result<(Target, Truth)> {
    let mut target = program(python, scenario)?;
    let truth = target.conversation().go()?;
    Ok((target, truth))
}

#[test]
fn the_allocator_that_pythonmalloc_chose_is_told() -> Result<()> {
    for_each(|python| {
        let modes = [
            ("pymalloc", "pymalloc", ""),
            ("malloc", "malloc", "PYTHONMALLOC=malloc:"),
            ("debug", "pymalloc_debug", "PYTHONMALLOC=debug"),
            ("malloc_debug", "malloc_debug", "PYTHONMALLOC=malloc_debug"),
        ];
        for (mode, name, words) in modes {
            let mut command = command(python, "explained.py", &["idle"])?;
            command.env("PYTHONMALLOC", mode);
            let mut target = Target::start_command(command)?;
            target.go()?;
            let explained = Explained::of(target.pid, &[])?;
            let found = &explained.json["arenas"]["allocator"];
            ensure!(found == name, "PYTHONMALLOC={mode}: it says {found}");
            ensure!(explained.words().contains(words), "{mode}: {}", explained.words());
            let arenas = explained.number(&["arenas", "arenas"])?;
            ensure!((arenas == 0) == mode.starts_with("malloc"), "{mode}: {arenas} arenas");
            ensure!(explained.json["census"].is_object(), "{mode}: no census");
        }
        Ok(())
    })
}

#[test]
fn allocators_of_other_names_have_a_row_and_are_not_taken_for_glibc_s() -> Result<()> {
    let folder = std::path::Path::new("/usr/lib/x86_64-linux-gnu");
    let libraries = [
        ("jemalloc", "libjemalloc.so.2"),
        ("mimalloc", "libmimalloc.so.2"),
        ("tcmalloc", "libtcmalloc_minimal.so.4"),
    ];
    for (name, file) in libraries {
        let path = folder.join(file);
        if !path.exists() {
            eprintln!("not on this machine, not tested: {file}");
            continue;
        }
        let python = harness::interpreters::all()
            .into_iter()
            .rfind(|python| python.is_supported() && !python.is_launched())
            .context("no supported interpreter")?;
        let mut command = command(&python, "explained.py", &["mapped"])?;
        command.env("LD_PRELOAD", &path);
        let mut target = Target::start_command(command)?;
        let truth = target.go()?;
        let explained = Explained::of(target.pid, &["--freeze"])?;
        ensure!(explained.json["other_allocators"] == serde_json::json!([name]), "{name}");
        ensure!(explained.json["heap"].is_null(), "{name} is taken for glibc's heap");
        // The arrays, and what the program has mapped by itself.
        let held = said(&truth, &["large"])? + said(&truth, &["unknown"])?;
        ensure!(explained.rss("other_allocator") >= held, "{name} holds less than {held}");
        ensure!(explained.rss("unknown_anonymous") + explained.rss("brk_heap") == 0, "{name}");
        ensure!(explained.words().contains("in glibc's stead"), "{}", explained.words());
        let (found, expected) = (explained.census()?, counted(&truth)?);
        ensure!(found == expected, "{name}: the census is another");
    }
    Ok(())
}
