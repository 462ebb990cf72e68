//! One process under the lens: where its probes go, which of them are in, and what time they cover.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use memtrace_common::lens::Lens;
use tracing::debug;

use super::LensPlan;
use super::yards::{Candidate, Yards};
use crate::allocator::{self, Function, Library, SeenFiles, Yardstick};
use crate::kernel::{ALLOCATES, CpuClock, FREES, LensMaps, Probes, ProcessProbe, RETURNS};
use crate::python::{Images, Interpreter, TargetMemory};
use crate::session::pace::{Costs, Hits, Looking, Pace, Trials};

/// A target under the lens.
pub(super) struct Watch {
    /// The space that is recorded now.
    pub(super) space: u32,
    links: Vec<ProcessProbe>,
    /// Functions of one file each.
    groups: Vec<Vec<Function>>,
    /// Those of CPython itself, once it was looked for them.
    python: Option<PythonFunctions>,
    pub(super) seen: SeenFiles,
    /// Files whose functions are probed.
    files: HashSet<(u64, u64)>,
    /// Whether its space has begun.
    pub(super) begun: bool,
    /// A window is over that was not told yet.
    pub(super) to_tell: bool,
    /// What the kernel side had counted when it was last told.
    pub(super) told: Lens,
    /// When to look; always, in exact mode.
    pub(super) pace: Option<Pace>,
    /// The time that was not told yet.
    pub(super) covered: Covered,
    /// All the time until the last window's end, as told.
    pub(super) ever: Covered,
    pid: u32,
    pub(super) clock: Option<CpuClock>,
    /// Functions of the interpreter that may show its progress,
    yardsticks: Vec<Yardstick>,
    /// and what came of that, once it is not looked at all the time.
    pub(super) yards: Option<Yards>,
    /// Whether the window under way ends by itself.
    pub(super) gated: bool,
    /// What the last window cost.
    pub(super) window_cost: Duration,
    /// Windows that calls should have begun or ended, and did not.
    pub(super) given_up: u32,
    /// That was too often.
    pub(super) by_time: bool,
    /// Since when the next window counts for.
    since: Mark,
    /// The window's beginning.
    window: Mark,
    /// The beginning of what is done now.
    state: Mark,
    trials: Trials,
}

/// What is probed of an interpreter.
struct PythonFunctions {
    /// The file that holds it.
    image: PathBuf,
    /// Functions of one kind each.
    groups: Vec<Vec<Function>>,
}

/// A moment of a target.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    /// How long it has run on CPUs.
    ran: Duration,
    hits: Hits,
}

/// What a window came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// By how much it is to be multiplied, so that it stands for all time since the one before.
    pub(super) scale: f64,
    /// How long the target ran in it.
    pub(super) ran: Duration,
    /// What of that probes took.
    pub(super) cost: Duration,
    /// Calls of functions that allocate, in it.
    pub(super) allocations: u64,
}

/// Time that a target ran on CPUs, less what probes took of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Covered {
    /// All of it.
    pub(super) time: Duration,
    /// Of it: recorded.
    pub(super) recorded: Duration,
    /// By how much longer it would have been, had it all been as slow as where its progress was measured.
    pub(super) slowed: Duration,
    /// Of it: with frees seen.
    pub(super) frees_seen: Duration,
    /// What all probes took.
    pub(super) cost: Duration,
    /// Calls that were counted.
    pub(super) calls: u64,
    /// Parts of the time, by the function whose calls measured them.
    pub(super) measured: BTreeMap<String, Duration>,
}

impl Watch {
    pub(super) fn new(pid: u32, pace: Option<Pace>) -> Self {
        let now = Mark { at: Instant::now(), ran: Duration::ZERO, hits: Hits::default() };
        Self {
            pid,
            clock: None,
            yardsticks: Vec::new(),
            yards: None,
            gated: false,
            window_cost: Duration::ZERO,
            given_up: 0,
            by_time: false,
            space: 0,
            links: Vec::new(),
            groups: Vec::new(),
            seen: SeenFiles::new(),
            files: HashSet::new(),
            python: None,
            begun: false,
            to_tell: false,
            told: Lens::default(),
            pace,
            covered: Covered::default(),
            ever: Covered::default(),
            since: now,
            window: now,
            state: now,
            trials: Trials::default(),
        }
    }

    /// Its clock begins to run, where one is needed.
    pub(super) fn start_clock(&mut self) {
        if self.pace.is_some() && self.clock.is_none() {
            self.clock = CpuClock::of(self.pid).ok();
        }
    }

    /// Recording begins.
    pub(super) fn begin(&mut self, space: u32, lens: Lens) {
        self.space = space;
        self.begun = true;
        self.gated = false;
        self.told = Lens::default();
        (self.covered, self.ever) = (Covered::default(), Covered::default());
        self.since = self.mark(lens);
        (self.window, self.state) = (self.since, self.since);
    }

    fn mark(&self, lens: Lens) -> Mark {
        let at = Instant::now();
        let ran = match &self.clock {
            Some(clock) => clock.read(),
            // As if it had run all the time.
            None => at - self.since.at + self.since.ran,
        };
        Mark { at, ran, hits: hits(lens) }
    }

    /// When its pace wants something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pace.as_ref().map(|pace| pace.due)
    }

    /// Whether something is recorded now.
    pub(super) fn is_recording(&self) -> bool {
        let looking = self.pace.as_ref().map(|pace| pace.looking);
        matches!(looking, Some(Looking::Window | Looking::Always) | None)
    }

    /// What hits cost in this target.
    fn costs(&self, costs: Costs) -> Costs {
        Costs { factor: self.trials.factor(), ..costs }
    }

    /// What these hits cost in this target.
    pub(super) fn cost(&self, hits: Hits, costs: Costs) -> Duration {
        hits.cost(self.costs(costs))
    }

    /// A window begins.
    pub(super) fn begin_window(&mut self, lens: Lens) {
        self.window = self.mark(lens);
        self.state = self.window;
    }

    /// A window with probes on frees begins.
    pub(super) fn begin_trial(&mut self, lens: Lens) {
        self.state = self.mark(lens);
    }

    /// It ends: how long the target ran in it, and what of that probes took.
    pub(super) fn end_trial(&mut self, lens: Lens, costs: Costs) -> (Duration, Duration) {
        let now = self.mark(lens);
        let ran = now.ran.saturating_sub(self.state.ran);
        let hits = now.hits.since(self.state.hits);
        self.trials.with_frees(ran, hits);
        debug!("process {}: {ran:?} with {hits:?}; {:?}", self.pid, self.trials);
        self.state = now;
        (ran, self.cost(hits, costs))
    }

    /// Whether what is done now is over; asks again later if not.
    pub(super) fn is_over(&mut self, lens: Lens) -> bool {
        let now = self.mark(lens);
        let ran = now.ran.saturating_sub(self.state.ran);
        self.pace.as_mut().is_some_and(|pace| pace.is_over(now.at, ran))
    }

    /// What was recorded ends here, for now.
    pub(super) fn end_window(&mut self, lens: Lens, costs: Costs) -> Window {
        let now = self.mark(lens);
        let part = now.hits.since(self.window.hits);
        self.trials.with_all(now.ran.saturating_sub(self.window.ran), part, costs);
        let costs = self.costs(costs);
        let of = |before: Mark| {
            let (ran, cost) =
                (now.ran.saturating_sub(before.ran), now.hits.since(before.hits).cost(costs));
            // Costs are not known better than by a few percent.
            (ran.saturating_sub(cost).max(ran / 50), ran, cost)
        };
        let whole = self.window.at <= self.since.at;
        let ((time, ..), (recorded, ran, cost)) = (of(self.since), of(self.window));
        let recorded = if whole { time } else { recorded };
        self.cover(Covered {
            time,
            recorded,
            slowed: if whole || recorded.is_zero() {
                Duration::ZERO
            } else {
                time.mul_f64(cost.as_secs_f64() / recorded.as_secs_f64())
            },
            frees_seen: if whole { time } else { Duration::ZERO },
            cost,
            ..Covered::default()
        });
        (self.since, self.window, self.state) = (now, now, now);
        let scale = if whole || recorded.is_zero() {
            1.0
        } else {
            time.as_secs_f64() / recorded.as_secs_f64()
        };
        Window { scale, ran, cost, allocations: part.allocations }
    }

    /// The same for a window that began and ended with calls that were counted.
    pub(super) fn end_gated(&mut self, costs: Costs, maps: &mut LensMaps) -> Window {
        let lens = maps.get(self.space).unwrap_or_default();
        let allowed = self.pace.as_ref().map_or(1.0, Pace::allowed);
        let allocations = hits(lens).since(self.window.hits).allocations;
        let (Some(yards), Some(clock)) = (&mut self.yards, &self.clock) else {
            return self.end_window(lens, costs);
        };
        let name = yards.name().to_owned();
        let Some(measured) = yards.end_window(clock, costs, allocations, allowed, self.space, maps)
        else {
            return self.end_window(lens, costs);
        };
        debug!("process {}: by {name}: {measured:?}", self.pid);
        self.cover(Covered {
            time: measured.time,
            recorded: measured.recorded,
            slowed: measured.slowed,
            frees_seen: Duration::ZERO,
            cost: measured.cost + measured.counting,
            calls: measured.calls,
            measured: BTreeMap::from([(name, measured.time)]),
        });
        let now = self.mark(lens);
        (self.since, self.window, self.state) = (now, now, now);
        let (scale, ran, cost) = (measured.scale, measured.ran, measured.cost);
        Window { scale, ran, cost, allocations }
    }

    /// Its progress is measured no more; the slots that are free now.
    pub(super) fn forget_yards(&mut self) -> Option<u32> {
        let mut yards = self.yards.take()?;
        yards.detach();
        self.gated = false;
        Some(yards.slot())
    }

    /// It is measured by CPU time from now on; the slots that are free now.
    pub(super) fn measure_by_time(&mut self) -> Option<u32> {
        self.by_time = true;
        if let Some(pace) = &mut self.pace {
            pace.trials = true;
        }
        self.forget_yards()
    }

    /// The same by the calls that were counted, if they were all the time.
    pub(super) fn rest_of_all(&self, maps: &LensMaps) -> Option<f64> {
        self.yards.as_ref()?.rest_of_all(self.clock.as_ref()?, maps)
    }

    /// Whether less than half of a window is over that calls are to begin and to end.
    pub(super) fn has_hardly_begun(&self, maps: &LensMaps) -> bool {
        self.yards.as_ref().is_none_or(|yards| yards.has_hardly_begun(maps))
    }

    /// How long it ran since the window's probes came, and what they cost.
    pub(super) fn spent(&self, lens: Lens, costs: Costs) -> (Duration, Duration) {
        let now = self.mark(lens);
        let cost = self.cost(now.hits.since(self.window.hits), costs);
        (now.ran.saturating_sub(self.window.ran), cost)
    }

    /// Functions that may show its progress: first those that allocate.
    pub(super) fn candidates(&mut self) -> Vec<Candidate> {
        let suits = |function: &&Function| function.allocates() && function.emulated;
        let allocating = self.groups.iter().flatten().filter(suits);
        let of_allocator = allocating.map(|function| Candidate {
            yardstick: Yardstick { name: function.name.to_owned(), point: function.point.clone() },
            allocates: true,
        });
        let others = std::mem::take(&mut self.yardsticks);
        let of_python =
            others.into_iter().map(|yardstick| Candidate { yardstick, allocates: false });
        of_allocator.chain(of_python).collect()
    }

    /// The time since the last window counts, too: by how much more all that was recorded is to be
    /// multiplied for that.
    pub(super) fn end_pause(&mut self, lens: Lens) -> f64 {
        let now = self.mark(lens);
        let (pause, before) =
            (now.ran.saturating_sub(self.since.ran), self.ever.time + self.covered.time);
        self.cover(Covered { time: pause, ..Covered::default() });
        (self.since, self.window) = (now, now);
        if before.is_zero() { 0.0 } else { pause.as_secs_f64() / before.as_secs_f64() }
    }

    fn cover(&mut self, part: Covered) {
        self.covered.time += part.time;
        self.covered.recorded += part.recorded;
        self.covered.slowed += part.slowed;
        self.covered.frees_seen += part.frees_seen;
        self.covered.cost += part.cost;
        self.covered.calls += part.calls;
        for (name, time) in part.measured {
            *self.covered.measured.entry(name).or_default() += time;
        }
    }

    /// Takes out the time that was not told yet.
    pub(super) fn take_covered(&mut self) -> Covered {
        let part = std::mem::take(&mut self.covered);
        self.ever.time += part.time;
        part
    }

    pub(super) fn attach_library(&mut self, pid: u32, library: Library, probes: &mut Probes) {
        if self.files.insert(library.file) {
            debug!("process {pid}: the allocator of {}", library.name);
            self.add(pid, library.functions, probes);
        }
    }

    /// CPython's own functions, once it has started. Returns what the reader should know.
    pub(super) fn attach_python(
        &mut self,
        memory: &TargetMemory,
        interpreter: &Interpreter,
        plan: LensPlan,
        probes: &mut Probes,
        images: &mut Images,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        // After an exec there may be another interpreter; the one before has no probes to come back to.
        let known = self.python.as_ref().is_some_and(|known| known.image == interpreter.image);
        if known || !interpreter.started {
            return notes;
        }
        let pid = memory.pid();
        let mut groups = Vec::new();
        if self.pace.is_some() {
            self.yardsticks = allocator::yardsticks(memory, interpreter, images);
        }
        match allocator::arenas(memory, interpreter, images) {
            Some(functions) => groups.push(functions),
            None => notes.push(
                "allocator lens: where CPython maps its arenas was not found; they are not counted"
                    .to_owned(),
            ),
        }
        if plan.objects {
            match allocator::objects(memory, interpreter, images) {
                Some(objects) => {
                    groups.push(objects.functions);
                    if objects.inlined {
                        notes.push(
                            "allocator lens: this build of CPython has its allocator of small objects \
                             inside of other functions: most of them can't be seen"
                                .to_owned(),
                        );
                    }
                }
                None => notes.push(
                    "allocator lens: CPython's functions for objects were not found".to_owned(),
                ),
            }
        }
        if self.is_recording() {
            for functions in &groups {
                self.attach(pid, functions, probes);
            }
        }
        self.python = Some(PythonFunctions { image: interpreter.image.clone(), groups });
        notes
    }

    fn add(&mut self, pid: u32, functions: Vec<Function>, probes: &mut Probes) {
        if self.is_recording() {
            self.attach(pid, &functions, probes);
        }
        self.groups.push(functions);
    }

    /// Puts all probes in again.
    pub(super) fn attach_all(&mut self, pid: u32, probes: &mut Probes) {
        for functions in self.all_groups() {
            self.attach(pid, &functions, probes);
        }
    }

    fn all_groups(&self) -> Vec<Vec<Function>> {
        let of_python = self.python.iter().flat_map(|python| &python.groups);
        self.groups.iter().chain(of_python).cloned().collect()
    }

    /// Puts those in that tell of frees.
    pub(super) fn attach_frees(&mut self, pid: u32, probes: &mut Probes) {
        for mut functions in self.all_groups() {
            functions.retain(|function| !function.allocates());
            self.attach(pid, &functions, probes);
        }
    }

    /// Takes all probes off.
    pub(super) fn detach(&mut self) {
        for link in self.links.drain(..) {
            link.close_in_background();
        }
    }

    pub(super) fn into_links(self) -> Vec<ProcessProbe> {
        let counting = self.yards.into_iter().flat_map(Yards::into_links);
        self.links.into_iter().chain(counting).collect()
    }

    /// Returns first, so that no call is seen to begin and not to end.
    fn attach(&mut self, pid: u32, functions: &[Function], probes: &mut Probes) {
        let Some(path) = functions.first().map(|function| function.point.path.as_path()) else {
            return;
        };
        let places = |allocating: bool| -> Vec<(u64, u64)> {
            functions
                .iter()
                .filter(|function| function.allocates() == allocating)
                .map(|function| (function.point.file_offset, function.reads.0))
                .collect()
        };
        let order = [(RETURNS, places(true)), (ALLOCATES, places(true)), (FREES, places(false))];
        for (program, places) in order {
            if places.is_empty() {
                continue;
            }
            match probes.attach_lens(program, pid, path, &places) {
                Ok(links) => self.links.extend(links),
                Err(error) => debug!("process {pid}, {}: {error}", path.display()),
            }
        }
    }
}

pub(super) fn hits(lens: Lens) -> Hits {
    Hits { allocations: lens.entered, frees: lens.freed, walk_ns: lens.walk_ns }
}
