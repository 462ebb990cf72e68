//! The pictures of the report in the documentation.
//!
//! `MEMTRACE_PICTURES=1` writes them anew; without, they are taken, judged and thrown away, so that
//! tests leave the tree as it was. They are made small: of thousands of shades of grey around
//! letters the most frequent ones do.

use std::collections::HashMap;
use std::path::Path;

use harness::browser::{Browser, Look, Page};

use crate::the_shop;

/// Shades that a picture keeps.
const SHADES: usize = 200;
/// All pictures together.
const MOST_BYTES: usize = 300_000;

/// A picture: its name, how the page is looked at, and its first and last section.
const PICTURES: [(&str, Look, &str, &str); 4] = [
    ("html-light.png", Look::DESK, "header", "#time"),
    ("html-dark.png", Look::NIGHT, "header", "#time"),
    ("html-narrow.png", Look::HAND, "header", "#time"),
    ("html-below.png", Look::DESK, "#flame", "details:nth-of-type(1)"),
];

#[test]
fn the_pictures_of_the_documentation_show_the_report_and_are_small() {
    let report = the_shop();
    let mut browser = Browser::start().unwrap();
    let mut bytes = 0;
    for (name, look, first, last) in PICTURES {
        let mut page = browser.open(&report.file(), look).unwrap();
        let picture = smaller(&between(&mut page, look, first, last));
        bytes += picture.len();
        if std::env::var_os("MEMTRACE_PICTURES").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), picture).unwrap();
        }
    }
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
}

/// The page from one element to another, with a little room around.
fn between(page: &mut Page<'_>, look: Look, first: &str, last: &str) -> Vec<u8> {
    let edge = |page: &mut Page<'_>, of: &str, side: &str| {
        let ask =
            format!("document.querySelector('{of}').getBoundingClientRect().{side} + scrollY");
        page.ask(&ask).unwrap().as_f64().unwrap()
    };
    // The header stays at the top of the window, whatever is below it.
    let header = edge(page, "header", "bottom");
    let top = if first == "header" { 0.0 } else { edge(page, first, "top") - header - 12.0 };
    let height = edge(page, last, "bottom") + 12.0 - top;
    let look = Look { height: height as u32, ..look };
    page.look(look).unwrap();
    page.ask(&format!("scrollTo(0, {top})")).unwrap();
    page.picture().unwrap()
}

/// The same picture with few shades.
fn smaller(picture: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((frame.color_type, frame.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    let (pixels, _) = pixels[..frame.buffer_size()].as_chunks::<3>();

    let mut seen: HashMap<[u8; 3], usize> = HashMap::new();
    for run in pixels.chunk_by(PartialEq::eq) {
        *seen.entry(run[0]).or_default() += run.len();
    }
    assert!(seen.len() > 500, "{} shades: that is no report", seen.len());
    let mut shades: Vec<_> = seen.into_iter().collect();
    shades.sort_by_key(|(shade, times)| (std::cmp::Reverse(*times), *shade));
    let palette: Vec<[u8; 3]> = shades.iter().take(SHADES).map(|(shade, _)| *shade).collect();
    let apart = |a: &[u8; 3], b: &[u8; 3]| {
        a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum::<u32>()
    };
    let nearest = |shade: &[u8; 3]| (0..palette.len()).min_by_key(|at| apart(&palette[*at], shade));
    let numbers: HashMap<[u8; 3], u8> =
        shades.iter().map(|(shade, _)| (*shade, nearest(shade).unwrap() as u8)).collect();

    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, frame.width, frame.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter); // neighbours of an index say nothing about it
    encoder.set_palette(palette.concat());
    let mut writer = encoder.write_header().unwrap();
    let runs = pixels.chunk_by(PartialEq::eq);
    let data: Vec<u8> =
        runs.flat_map(|run| std::iter::repeat_n(numbers[&run[0]], run.len())).collect();
    writer.write_image_data(&data).unwrap();
    writer.finish().unwrap();
    out
}
