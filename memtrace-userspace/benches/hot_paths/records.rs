//! Records as the kernel side sends them: a program of [`CODES`] functions, [`STACKS`] stacks, and a
//! steady mix of pages that are touched and given back.

use memtrace_common::event::{Code, Growth, Header, Returned, Stack, Text, call, piece, tag};
use memtrace_common::settings::ANON;
use memtrace_common::walk::Frame;

/// Windows of time.
pub(crate) const WINDOWS: u64 = 8;
/// Pages that are touched, in all windows.
pub(crate) const GROWN: u64 = WINDOWS * ROUNDS * TOUCHED;
/// Pages that are given back of those.
pub(crate) const RETURNED: u64 = WINDOWS * ROUNDS * FREED;

const CODES: u64 = 64;
const STACKS: u64 = 256;
const DEPTH: u64 = 12;
const THREADS: u64 = 4;
/// In each round of a window so many pages are touched one by one, and so many of them given back by one call.
const ROUNDS: u64 = 40;
const TOUCHED: u64 = 64;
const FREED: u64 = 32;

const PAGE: u64 = 4096;
const SPACE: u32 = 1;
/// `co_linetable` of 3.11 and newer (Objects/locations.md): entries without columns (kind 13), each for
/// eight code units and one line further.
const LINES: [u8; 2] = [0x80 | 13 << 3 | 7, 2];

/// Plain records of memtrace-common.
trait Plain: Copy {}
impl Plain for Code {}
impl Plain for Frame {}
impl Plain for Growth {}
impl Plain for Returned {}
impl Plain for Stack {}
impl Plain for Text {}

fn bytes_of<T: Plain>(record: &T) -> &[u8] {
    // SAFETY: plain records are integers without padding, their sizes asserted in memtrace-common.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }
}

fn header(tag: u32) -> Header {
    Header { tag, space: SPACE }
}

fn code_at(number: u64) -> u64 {
    0x7f00_0000_0000 + (number % CODES) * 0x200
}

/// The code objects, with their texts, and the stacks.
pub(crate) fn names() -> Vec<Vec<u8>> {
    let codes = (0..CODES).flat_map(code);
    codes.chain((0..STACKS).map(stack)).collect()
}

fn code(number: u64) -> Vec<Vec<u8>> {
    let first_line = 10 * number as i32 + 1;
    let head =
        Code { header: header(tag::CODE), code: code_at(number), first_line, first_traceable: 0 };
    let file = format!("/srv/application/package/module_{}.py", number / 8);
    let name = format!("Handler.method_{number}.<locals>.inner");
    let table = LINES.repeat(20);
    let texts =
        [(piece::FILE, file.as_bytes()), (piece::NAME, name.as_bytes()), (piece::TABLE, &table)];
    let mut records = vec![bytes_of(&head).to_vec()];
    for (piece, bytes) in texts {
        let (length, width) = (bytes.len() as u32, u8::from(piece != piece::TABLE));
        let text = Text {
            header: header(tag::TEXT),
            code: code_at(number),
            address: 0x1000,
            offset: 0,
            length,
            total: length,
            piece,
            width,
            reserved: 0,
        };
        records.push([bytes_of(&text), bytes].concat());
    }
    records
}

fn stack(number: u64) -> Vec<u8> {
    let comm = *b"python\0\0\0\0\0\0\0\0\0\0";
    let (id, depth) = (stack_id(number), DEPTH as u32);
    let head = Stack { header: header(tag::STACK), id, depth, outcome: 0, comm };
    let mut record = bytes_of(&head).to_vec();
    for level in 0..DEPTH {
        let instr = 16 * ((number / 8 + level) % 20) as i32;
        record.extend_from_slice(bytes_of(&Frame {
            code: code_at(number + level * 5),
            instr,
            owner: 0,
        }));
    }
    record
}

/// As a hash would be.
fn stack_id(number: u64) -> u64 {
    (number % STACKS + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a window of time brings.
pub(crate) fn window(number: u64) -> Vec<Vec<u8>> {
    let rounds = number * ROUNDS..(number + 1) * ROUNDS;
    rounds
        .flat_map(|round| {
            let start = 0x7e00_0000_0000 + round * 2 * TOUCHED * PAGE;
            let resident = (TOUCHED - FREED) * round;
            let touched = (0..TOUCHED)
                .map(move |page| growth(round, start + page * PAGE, resident + page + 1));
            let freed = returned(round, start, resident + TOUCHED - FREED);
            touched.chain(std::iter::once(freed))
        })
        .collect()
}

fn growth(round: u64, address: u64, resident: u64) -> Vec<u8> {
    // Eight pages in a row by each stack, as with a buffer that is filled.
    let number = round * 7 + address / PAGE / 8;
    let growth = Growth {
        header: header(tag::GROWTH),
        tid: 1 + (number % THREADS) as u32,
        pages: 1,
        address,
        stack: stack_id(number),
        rss_pages: resident as u32,
        member: ANON as u8,
        context: 0,
        reserved: 0,
    };
    bytes_of(&growth).to_vec()
}

fn returned(round: u64, start: u64, resident: u64) -> Vec<u8> {
    let returned = Returned {
        header: header(tag::RETURNED),
        tid: 1 + (round % THREADS) as u32,
        pages: -(FREED as i32),
        start,
        length: FREED * PAGE,
        stack: stack_id(round),
        rss_pages: resident as u32,
        member: ANON as u8,
        reserved: 0,
        call: call::MUNMAP,
    };
    bytes_of(&returned).to_vec()
}
