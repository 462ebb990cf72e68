//! Which tests run on which kernel. They are those of the crate `tests` that depend most on the kernel;
//! `guest` runs the suite that it is given by name.

use super::architecture::Architecture;

/// Some tests of one binary.
pub(super) struct Binary {
    pub(super) name: &'static str,
    pub(super) tests: &'static [&'static str],
}

/// What runs on a kernel.
pub(super) struct Suite {
    pub(super) name: &'static str,
    parts: &'static [&'static [Binary]],
}

/// Holds on every kernel: before 5.15 it is that memtrace refuses, and how.
const ANYWHERE: Binary = Binary {
    name: "kernel",
    tests: &["memtrace_traces_on_this_kernel_or_says_why_not", "a_look_needs_no_bpf"],
};

/// What every kernel must do on which memtrace traces.
const TRACED: &[Binary] = &[
    ANYWHERE,
    Binary { name: "kernel", tests: &["every_mode_traces_on_this_kernel"] },
    Binary { name: "machine", tests: &["doctor_finds_this_machine_fit"] },
    Binary { name: "run", tests: &["an_interpreter_is_traced_from_its_first_instruction"] },
    Binary {
        name: "law",
        tests: &[
            "law_holds_for_all_of_these_together",
            "law_holds_for_shared_memory",
            "law_holds_for_huge_pages",
            "law_holds_when_threads_grow_at_once",
            "law_holds_when_a_child_copies_pages",
            "law_holds_for_a_pool_of_workers",
            "law_holds_on_both_sides_of_exec",
        ],
    },
    Binary {
        name: "lifecycle",
        tests: &[
            "threads_that_grow_at_once_have_their_line",
            "a_native_thread_is_named_and_no_line_is_blamed",
            "a_forked_child_is_followed_and_has_its_line",
            "deep_recursion_is_cut_and_marked_but_its_growth_is_not_dropped",
        ],
    },
    Binary { name: "resident", tests: &["a_huge_page_is_one_growth_of_512_pages"] },
    Binary {
        name: "thinned",
        tests: &["lines_have_what_was_walked_and_estimates_that_hold_the_truth"],
    },
    Binary {
        name: "explain",
        tests: &["a_process_that_changes_its_mappings_all_the_time_is_told_whole"],
    },
    Binary {
        name: "daemon",
        tests: &["finds::processes_from_before_and_from_later_have_their_lines_and_are_forgotten"],
    },
    Binary {
        name: "leftovers",
        tests: &[
            "nothing_is_left_after_ctrl_c",
            "nothing_is_left_after_kill_9",
            "nothing_is_left_with_frame_evaluation_probes",
        ],
    },
];

/// What is done in another way on aarch64, and on x86-64 is tested on this machine's own kernel.
const OF_AARCH64: &[Binary] = &[
    Binary {
        name: "line",
        tests: &[
            "line_is_right_after_the_pages_of_frames_were_copied",
            "line_is_right_for_forty_files_at_recycled_addresses",
        ],
    },
    Binary {
        name: "lifecycle",
        tests: &[
            "a_child_that_ends_at_once_is_named_with_its_line",
            "copying_a_page_on_write_is_no_growth",
        ],
    },
    Binary { name: "kernel", tests: &["native_frames_are_had_or_refused_in_words"] },
    Binary {
        name: "resident",
        tests: &[
            "a_moved_mapping_stays_with_its_line",
            "the_line_that_frees_is_told_beside_the_one_that_grew",
            "what_a_mapping_over_it_replaces_is_returned",
            "what_brk_gives_back_is_returned",
            "what_madvise_discards_is_returned_and_the_next_toucher_has_it",
            "what_mremap_cuts_off_is_returned",
        ],
    },
    Binary {
        name: "lens",
        tests: &["blocks_that_are_kept_dropped_and_reallocated_are_counted_to_the_last"],
    },
    Binary { name: "calls", tests: &["evaluations_are_counted_exactly_on_every_version"] },
    Binary {
        name: "explain",
        tests: &["the_census_is_gc_get_objects_by_type_and_the_arenas_are_getallocatedblocks"],
    },
];

const X86_64: [Suite; 2] =
    [Suite { name: "traced", parts: &[TRACED] }, Suite { name: "refused", parts: &[&[ANYWHERE]] }];
const AARCH64: [Suite; 1] = [Suite { name: "aarch64", parts: &[TRACED, OF_AARCH64] }];

/// All suites.
pub(super) fn all(architecture: Architecture) -> &'static [Suite] {
    match architecture {
        Architecture::X86_64 => &X86_64,
        Architecture::Aarch64 => &AARCH64,
    }
}

/// The suite for a kernel of this version: those before 5.15 are refused.
pub(super) fn of(architecture: Architecture, version: (u32, u32)) -> &'static Suite {
    match architecture {
        Architecture::X86_64 if version < (5, 15) => &X86_64[1],
        Architecture::X86_64 => &X86_64[0],
        Architecture::Aarch64 => &AARCH64[0],
    }
}

impl Suite {
    /// Its binaries; one may come twice.
    pub(super) fn binaries(&self) -> impl Iterator<Item = &'static Binary> {
        self.parts.iter().copied().flatten()
    }

    /// Its tests, as `binary::test`.
    pub(super) fn tests(&self) -> impl Iterator<Item = String> {
        self.binaries()
            .flat_map(|binary| binary.tests.iter().map(|test| format!("{}::{test}", binary.name)))
    }
}
