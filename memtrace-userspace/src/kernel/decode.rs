//! From bytes of the ring buffer to a closed enum. One checked function; an unknown tag or a
//! length that doesn't fit is an error, never a guess.

use memtrace_common::event::{
    Code, CodeFreed, Copied, Evaluated, Execed, Exited, Forked, Growth, Header, Moved, Returned,
    Stack, Text, tag,
};
use memtrace_common::native::Native;
use memtrace_common::recognise::Recognised;
use memtrace_common::walk::Frame;

/// A record of the kernel side. Tails borrow from the ring buffer.
#[derive(Debug)]
pub enum Event<'a> {
    /// RSS changed.
    Growth(Growth),
    /// RSS shrank in a range.
    Returned(Returned),
    /// `mremap` moved a range.
    Moved(Moved),
    /// A page was copied on write.
    Copied(Copied),
    /// A new stack, with its frames, leaf first.
    Stack(Stack, Vec<Frame>),
    /// A new code object.
    Code(Code),
    /// Part of a code object's text.
    Text(Text, &'a [u8]),
    /// A code object is gone.
    CodeFreed(CodeFreed),
    /// Where a thread is in native code, with the end of its stack.
    Native(Native, &'a [u8]),
    /// A code object is going, with its evaluations.
    Evaluated(Evaluated),
    /// A fork.
    Forked(Forked),
    /// An exec, with the arguments. It is large and rare.
    Execed(Box<Execed>, &'a [u8]),
    /// An interpreter that was met before.
    Recognised(Recognised),
    /// An exit.
    Exited(Exited),
}

/// A record that can't be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than its kind.
    #[error("a record of kind {tag} has {length} bytes, too few")]
    Short {
        /// Its kind.
        tag: u32,
        /// Its length.
        length: usize,
    },
    /// Of no kind that is known.
    #[error("a record of unknown kind {0}")]
    UnknownTag(u32),
}

/// Plain records: `#[repr(C)]`, `Copy`, without padding, valid for any bytes.
///
/// # Safety
///
/// Implementors are exactly that.
unsafe trait Record: Copy {}
// SAFETY: all are integers and arrays of integers, sizes asserted in memtrace-common.
unsafe impl Record for Growth {}
// SAFETY: as above.
unsafe impl Record for Returned {}
// SAFETY: as above.
unsafe impl Record for Moved {}
// SAFETY: as above.
unsafe impl Record for Copied {}
// SAFETY: as above.
unsafe impl Record for Stack {}
// SAFETY: as above.
unsafe impl Record for Code {}
// SAFETY: as above.
unsafe impl Record for Text {}
// SAFETY: as above.
unsafe impl Record for CodeFreed {}
// SAFETY: as above.
unsafe impl Record for Evaluated {}
// SAFETY: as above.
unsafe impl Record for Forked {}
// SAFETY: as above.
unsafe impl Record for Execed {}
// SAFETY: as above.
unsafe impl Record for Exited {}
// SAFETY: as above.
unsafe impl Record for Native {}
// SAFETY: as above.
unsafe impl Record for Recognised {}
// SAFETY: as above.
unsafe impl Record for Header {}
// SAFETY: as above.
unsafe impl Record for Frame {}

fn take<T: Record>(bytes: &[u8], tag: u32) -> Result<(T, &[u8]), DecodeError> {
    let (head, tail) = bytes
        .split_at_checked(size_of::<T>())
        .ok_or(DecodeError::Short { tag, length: bytes.len() })?;
    // SAFETY: `head` is as long as `T`, and `T` is valid for any bytes.
    Ok((unsafe { head.as_ptr().cast::<T>().read_unaligned() }, tail))
}

/// Decodes one record.
///
/// # Errors
///
/// [`DecodeError`] when it is too short for what it says it is, or of an unknown kind.
pub fn decode(bytes: &[u8]) -> Result<Event<'_>, DecodeError> {
    let (Header { tag, .. }, _) = take::<Header>(bytes, 0)?;
    Ok(match tag {
        tag::GROWTH => Event::Growth(take(bytes, tag)?.0),
        tag::RETURNED => Event::Returned(take(bytes, tag)?.0),
        tag::MOVED => Event::Moved(take(bytes, tag)?.0),
        tag::COPIED => Event::Copied(take(bytes, tag)?.0),
        tag::STACK => {
            let (stack, mut tail) = take::<Stack>(bytes, tag)?;
            let mut frames = Vec::with_capacity(tail.len() / size_of::<Frame>());
            for _ in 0..stack.depth {
                let (frame, rest) = take::<Frame>(tail, tag)?;
                frames.push(frame);
                tail = rest;
            }
            Event::Stack(stack, frames)
        }
        tag::CODE => Event::Code(take(bytes, tag)?.0),
        tag::TEXT => {
            let (text, tail) = take::<Text>(bytes, tag)?;
            let tail = tail
                .get(..text.length as usize)
                .ok_or(DecodeError::Short { tag, length: bytes.len() })?;
            Event::Text(text, tail)
        }
        tag::CODE_FREED => Event::CodeFreed(take(bytes, tag)?.0),
        tag::EVALUATED => Event::Evaluated(take(bytes, tag)?.0),
        tag::FORKED => Event::Forked(take(bytes, tag)?.0),
        tag::EXECED => {
            let (execed, tail) = take::<Execed>(bytes, tag)?;
            let tail = tail
                .get(..execed.program.length as usize)
                .ok_or(DecodeError::Short { tag, length: bytes.len() })?;
            Event::Execed(Box::new(execed), tail)
        }
        tag::RECOGNISED => Event::Recognised(take(bytes, tag)?.0),
        tag::EXITED => Event::Exited(take(bytes, tag)?.0),
        tag::NATIVE => {
            let (native, tail) = take::<Native>(bytes, tag)?;
            let tail = tail
                .get(..native.length as usize)
                .ok_or(DecodeError::Short { tag, length: bytes.len() })?;
            Event::Native(native, tail)
        }
        other => return Err(DecodeError::UnknownTag(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<T: Record>(record: &T) -> Vec<u8> {
        // SAFETY: plain records have no padding.
        unsafe { std::slice::from_raw_parts((&raw const *record).cast(), size_of::<T>()) }.to_vec()
    }

    fn stack(depth: u32) -> Stack {
        let header = Header { tag: tag::STACK, space: 3 };
        Stack { header, id: 5, depth, outcome: 0, comm: [0; 16] }
    }

    #[test]
    fn a_stack_comes_with_its_frames() {
        let frame = Frame { code: 0x1000, instr: 8, owner: 1 };
        let mut bytes = bytes_of(&stack(2));
        bytes.extend(bytes_of(&frame));
        bytes.extend(bytes_of(&frame));
        let Event::Stack(head, frames) = decode(&bytes).unwrap() else { panic!("another kind") };
        assert_eq!((head.id, frames), (5, vec![frame, frame]));
    }

    #[test]
    fn a_record_that_promises_more_than_it_has_is_an_error() {
        let bytes = bytes_of(&stack(1));
        assert!(matches!(decode(&bytes), Err(DecodeError::Short { tag: tag::STACK, .. })));
        assert!(decode(&bytes[..10]).is_err());
        let unknown = bytes_of(&Header { tag: 99, space: 0 });
        assert_eq!(decode(&unknown).unwrap_err(), DecodeError::UnknownTag(99));
    }
}
