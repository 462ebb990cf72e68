//! Whole stacks, as the folded form of a report has them, against what a program says of its own. Says nothing of how
//! much a line grew: `check` does.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::recorder::Recording;
use crate::truth::Mark;

/// A Python frame.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Frame {
    /// `co_filename` of its code.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// Its qualified name from 3.11 on, its name before.
    pub function: String,
}

/// A thread's stack at a moment, as the program has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stack {
    /// The thread, as the kernel numbers it.
    pub thread: u32,
    /// Leaf first.
    #[serde(deserialize_with = "triples")]
    pub frames: Vec<Frame>,
}

fn triples<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Frame>, D::Error> {
    let triples: Vec<(String, u32, String)> = Deserialize::deserialize(from)?;
    let frame = |(file, line, function)| Frame { file, line, function };
    Ok(triples.into_iter().map(frame).collect())
}

/// What one thread grew at one stack of lines.
#[derive(Debug, Clone)]
pub struct Grown {
    /// The process.
    pub pid: u32,
    /// Who, and where.
    pub stack: Stack,
    /// How much.
    pub bytes: i64,
}

/// What a recording's threads grew, by their whole stacks of lines.
///
/// # Errors
/// When the report is not what `docs/formats.md` says.
pub fn grown(recording: &Recording) -> Result<Vec<Grown>> {
    let options = ["--format", "folded", "--measure", "grown", "--split-threads"];
    let text = recording.text(&options)?;
    let stacks = text.lines().filter(|line| !line.starts_with("# "));
    let mut grown = Vec::new();
    for line in stacks {
        grown.extend(parsed(line).with_context(|| format!("the stack {line:?}"))?);
    }
    ensure!(!grown.is_empty(), "no stack of lines in {text}");
    Ok(grown)
}

/// `process 7: python;thread 8: name;outer (file:1);leaf (file:2) 4096`; nothing for what no line answers for.
fn parsed(line: &str) -> Result<Option<Grown>> {
    let (names, bytes) = line.rsplit_once(' ').context("a size")?;
    let mut names = names.split(';');
    let process = names.next().and_then(|name| name.strip_prefix("process "));
    let thread = names.next().and_then(|name| name.strip_prefix("thread "));
    let Some((process, thread)) = process.zip(thread) else { return Ok(None) };
    let number = |text: &str| text.split(':').next().unwrap_or_default().parse();
    let mut frames = names.map(frame).collect::<Result<Vec<Frame>>>()?;
    frames.reverse();
    let stack = Stack { thread: number(thread)?, frames };
    Ok(Some(Grown { pid: number(process)?, stack, bytes: bytes.parse()? }))
}

/// `function (file:line)`
fn frame(name: &str) -> Result<Frame> {
    let (function, place) = name.split_once(" (").context("a frame is no line")?;
    let (file, line) =
        place.strip_suffix(')').and_then(|place| place.rsplit_once(':')).context("no place")?;
    Ok(Frame { file: file.to_owned(), line: line.parse()?, function: function.to_owned() })
}

/// How a stack of memtrace's may differ from the program's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// In nothing: thread, functions and lines, in order.
    Whole,
    /// In lines, each of which is still one of its function: code of a JIT says where it is only now and then.
    Functions,
}

impl Likeness {
    fn holds(self, ours: &Stack, theirs: &Stack) -> bool {
        let functions = |stack: &Stack| -> Vec<(String, String)> {
            let frames = stack.frames.iter();
            frames.map(|frame| (frame.file.clone(), frame.function.clone())).collect()
        };
        match self {
            Self::Whole => ours == theirs,
            Self::Functions => ours.thread == theirs.thread && functions(ours) == functions(theirs),
        }
    }
}

/// Of what the program's thread grew in its leaf, all but a hundredth is on the stack that the program had then.
/// Gives what the thread grew there, however it was called.
///
/// # Errors
/// When more is elsewhere.
pub fn whole(grown: &[Grown], pid: u32, theirs: &Stack, likeness: Likeness) -> Result<i64> {
    let leaf = theirs.frames.first().context("the program has no frame")?;
    let is_there = |frame: &Frame| match likeness {
        Likeness::Whole => (&frame.file, frame.line) == (&leaf.file, leaf.line),
        Likeness::Functions => (&frame.file, &frame.function) == (&leaf.file, &leaf.function),
    };
    let of_thread = grown.iter().filter(|one| one.pid == pid && one.stack.thread == theirs.thread);
    let there: Vec<_> =
        of_thread.filter(|one| one.stack.frames.first().is_some_and(is_there)).collect();
    let all: i64 = there.iter().map(|one| one.bytes).sum();
    let right = there.iter().filter(|one| likeness.holds(&one.stack, theirs));
    let right: i64 = right.map(|one| one.bytes).sum();
    ensure!(
        all > 0 && all - right <= all / 100,
        "{right} of {all} are on the stack of the program's own word, {theirs:#?}, and not {:#?}",
        there.iter().filter(|one| !likeness.holds(&one.stack, theirs)).collect::<Vec<_>>()
    );
    Ok(all)
}

/// What all threads grew at the line of a mark is on the stack that the program had there.
///
/// # Errors
/// When more than a hundredth is on another, or the program doesn't say which it was.
pub fn of_mark(grown: &[Grown], pid: u32, mark: &Mark) -> Result<()> {
    let theirs = mark.stack.as_ref().context("the program says nothing of its stack")?;
    let leaf = theirs.frames.first().context("the program has no frame")?;
    ensure!((&leaf.file, leaf.line) == (&mark.file, mark.line), "{leaf:?} is not at {mark:?}");
    let in_thread = whole(grown, pid, theirs, Likeness::Whole)?;
    let is_there = |frame: &Frame| (&frame.file, frame.line) == (&mark.file, mark.line);
    let all = grown.iter().filter(|one| one.pid == pid);
    let all = all.filter(|one| one.stack.frames.first().is_some_and(is_there));
    let all: i64 = all.map(|one| one.bytes).sum();
    ensure!(all - in_thread <= all / 100, "{in_thread} of {all} were grown in {}", theirs.thread);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(frames: &[(&str, u32, &str)]) -> Stack {
        let frame = |(file, line, function): &(&str, u32, &str)| Frame {
            file: (*file).to_owned(),
            line: *line,
            function: (*function).to_owned(),
        };
        Stack { thread: 8, frames: frames.iter().map(frame).collect() }
    }

    #[test]
    fn stacks_are_read_leaf_first_and_rows_are_none() {
        let line =
            "process 7: python a.py b;thread 8: name;main (/a b.py:3);f.<locals>.g (<x>:2) 4096";
        let grown = parsed(line).unwrap().unwrap();
        let frames = stack(&[("<x>", 2, "f.<locals>.g"), ("/a b.py", 3, "main")]);
        assert_eq!((grown.pid, grown.stack, grown.bytes), (7, frames, 4096));
        assert!(parsed("process 7: python;[remainder] 1").unwrap().is_none());
        assert!(parsed("shrank;process 7: python;thread 8: a;main (/a.py:1) 1").unwrap().is_none());
        assert!(parsed("process 7: python;thread 8: a;main 1").is_err());
    }

    /// What a comparison of sets of lines lets pass.
    #[test]
    fn another_order_a_missing_frame_and_another_thread_are_not_the_same() {
        let theirs = stack(&[("a", 1, "f"), ("a", 2, "g"), ("a", 3, "f"), ("a", 2, "g")]);
        let is_it = |stack: &Stack| {
            let grown = Grown { pid: 7, stack: stack.clone(), bytes: 1000 };
            whole(&[grown], 7, &theirs, Likeness::Whole).is_ok()
        };
        assert!(is_it(&theirs));
        let mut other = theirs.clone();
        other.frames.swap(1, 2);
        assert!(!is_it(&other));
        other = theirs.clone();
        other.frames.pop();
        assert!(!is_it(&other));
        other = theirs.clone();
        other.thread = 9;
        assert!(!is_it(&other));
        other = theirs.clone();
        other.frames[2].line = 4;
        assert!(!is_it(&other));
        let grown = Grown { pid: 7, stack: other, bytes: 1000 };
        assert!(whole(&[grown], 7, &theirs, Likeness::Functions).is_ok());
    }
}
