//! The SVG in pixels, drawn by resvg with the font that memtrace brings.
//!
//! It looks for no font and no image on the machine: the picture is the same everywhere.

use std::io::{self, Write};
use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};

use super::{PlotOptions, font, svg};
use crate::profile::Profile;

/// Writes the picture.
pub(super) fn write(
    out: &mut dyn Write,
    profile: &Profile,
    options: &PlotOptions,
) -> io::Result<()> {
    let mut drawing = Vec::new();
    svg::write(&mut drawing, profile, options)?;
    let mut fonts = fontdb::Database::new();
    for file in font::files() {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(file)));
    }
    fonts.set_sans_serif_family(font::FAMILY);
    let settings = usvg::Options {
        font_family: font::FAMILY.to_owned(),
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_data(&drawing, &settings).map_err(io::Error::other)?;
    let size = tree.size().to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height())
        .ok_or_else(|| io::Error::other("the picture is too large"))?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    out.write_all(&pixels.encode_png().map_err(io::Error::other)?)
}
