//! Which tests run on which kernel. They are those of the crate `tests` that depend most on the kernel;
//! `guest` runs the suite that it is given by name.

/// Some tests of one binary.
pub(super) struct Binary {
    pub(super) name: &'static str,
    pub(super) tests: &'static [&'static str],
}

/// What runs on a kernel.
pub(super) struct Suite {
    pub(super) name: &'static str,
    pub(super) binaries: &'static [Binary],
}

/// Holds on every kernel: before 6.2 it is that memtrace refuses, and how.
const ANYWHERE: Binary = Binary {
    name: "kernel",
    tests: &["memtrace_traces_on_this_kernel_or_says_why_not", "a_look_needs_no_bpf"],
};

/// All suites.
pub(super) const ALL: [Suite; 2] = [
    Suite {
        name: "traced",
        binaries: &[
            ANYWHERE,
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
                name: "leftovers",
                tests: &[
                    "nothing_is_left_after_ctrl_c",
                    "nothing_is_left_after_kill_9",
                    "nothing_is_left_with_frame_evaluation_probes",
                ],
            },
        ],
    },
    Suite { name: "refused", binaries: &[ANYWHERE] },
];

/// The suite for a kernel of this version: those before 6.2 have no exact counters.
pub(super) fn of((major, minor): (u32, u32)) -> &'static Suite {
    if (major, minor) >= (6, 2) { &ALL[0] } else { &ALL[1] }
}

impl Suite {
    /// Its tests, as `binary::test`.
    pub(super) fn tests(&self) -> impl Iterator<Item = String> {
        self.binaries
            .iter()
            .flat_map(|binary| binary.tests.iter().map(|test| format!("{}::{test}", binary.name)))
    }
}
