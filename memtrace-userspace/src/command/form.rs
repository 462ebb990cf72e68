//! The choice of a report's form: what was typed → which report, with which options, to where.
//!
//! The one place that knows which option belongs to which form. What can't be is refused when it is
//! typed, before anything is traced or read: an option that the form has no use for, a binary form
//! that would end on a terminal. The reports themselves are in [`report`](crate::report).

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use super::color;
use super::output::Output;
use crate::cli::{FormArgs, Format};
use crate::profile::Profile;
use crate::report::{
    HtmlOptions, Measure, SourceTexts, StackOptions, TableOptions, View, csv, flamegraph, folded,
    html, json, mprof, pprof, table,
};
use crate::units::Nanos;

/// What can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// An option of other forms.
    #[error("{option} is for --format {forms}; --format {format} has no use for it")]
    NotOfThisForm {
        /// As typed.
        option: &'static str,
        /// Those that have it.
        forms: String,
        /// The one that was asked for.
        format: String,
    },
    /// A view of what nobody looks at.
    #[error("{option} is about what the allocator lens sees: give --lens allocator, too")]
    NeedsLens {
        /// As typed.
        option: &'static str,
    },
    /// Bytes that are no text, to a terminal or among a command's own messages.
    #[error("--format {format} is binary and {place}: write it to a file with -o FILE")]
    Binary {
        /// The one that was asked for.
        format: String,
        /// Why that won't do.
        place: &'static str,
    },
}

/// A report about to be written.
#[derive(Debug)]
pub struct Form {
    kind: Kind,
    output: Output,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Table(TableOptions),
    Json,
    Csv { sort: Measure },
    Folded(StackOptions),
    Pprof { shown: Measure },
    Flamegraph(StackOptions),
    Html(HtmlOptions),
    Mprof,
}

impl Form {
    /// What is meant by `args`. `open` opens the place for it.
    ///
    /// # Errors
    ///
    /// [`FormError`], and those of `open`.
    pub fn prepare(
        args: &FormArgs,
        open: impl FnOnce(Option<&Path>) -> Result<Output>,
    ) -> Result<Self> {
        let kind = Kind::of(args)?;
        let output = open(args.output.as_deref())?;
        if let (Kind::Pprof { .. }, Some(place)) = (&kind, output.unfit_for_bytes()) {
            return Err(FormError::Binary { format: name(args.format), place }.into());
        }
        Ok(Self { kind, output })
    }

    /// Writes the report of `profile`. `sources` is asked for source text only by forms that show
    /// some.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn write(
        self,
        profile: &Profile,
        sources: impl FnOnce(&TableOptions) -> SourceTexts,
    ) -> Result<()> {
        let (width, color) =
            (self.output.terminal_width(), color::wanted(self.output.is_terminal()));
        self.output.write(|out| {
            match self.kind {
                Kind::Table(options) => {
                    let options =
                        TableOptions { width: width.unwrap_or(options.width), color, ..options };
                    table::write(out, profile, &sources(&options), &options)?;
                }
                Kind::Json => json::write(out, profile)?,
                Kind::Csv { sort } => csv::write(out, profile, sort)?,
                Kind::Folded(options) => folded::write(out, profile, &options)?,
                Kind::Pprof { shown } => pprof::write(out, profile, shown)?,
                Kind::Flamegraph(options) => flamegraph::write(out, profile, &options)?,
                Kind::Html(options) => {
                    html::write(out, profile, &sources(&options.choice()), &options)?;
                }
                Kind::Mprof => mprof::write(out, profile)?,
            }
            Ok(())
        })
    }
}

impl Kind {
    fn of(args: &FormArgs) -> Result<Self, FormError> {
        only_own_options(args)?;
        let sort = args.sort.unwrap_or_default();
        let measure = args.measure.unwrap_or_default();
        let stacks = StackOptions { measure, split_threads: args.split_threads };
        let table = TableOptions::default();
        Ok(match args.format {
            Format::Table => Self::Table(TableOptions {
                top_lines: args.limit.unwrap_or(table.top_lines),
                columns: args.columns.clone(),
                sort,
                view: view(args),
                ..table
            }),
            Format::Json => Self::Json,
            Format::Csv => Self::Csv { sort },
            Format::Folded => Self::Folded(stacks),
            Format::Pprof => Self::Pprof { shown: measure },
            Format::Flamegraph => Self::Flamegraph(stacks),
            Format::Html => Self::Html(HtmlOptions { measure, ..HtmlOptions::default() }),
            Format::Mprof => Self::Mprof,
        })
    }
}

fn view(args: &FormArgs) -> View {
    match (args.leaks, args.temporary) {
        (true, _) => {
            let age = args.older_than.unwrap_or(OLD);
            View::Leaks(Nanos(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)))
        }
        (_, true) => View::Temporary,
        _ => View::Live,
    }
}

/// What has lived so long may be a leak, unless another time is asked for.
const OLD: Duration = Duration::from_secs(10);

/// An option that nothing would come of is a mistake, not a wish.
fn only_own_options(args: &FormArgs) -> Result<(), FormError> {
    const STACKS: &[Format] = &[Format::Folded, Format::Flamegraph];
    let options = [
        (
            args.measure.is_some(),
            "--measure",
            &[STACKS, &[Format::Pprof, Format::Html]].concat()[..],
        ),
        (args.split_threads, "--split-threads", STACKS),
        (args.sort.is_some(), "--sort", &[Format::Table, Format::Csv]),
        (args.limit.is_some(), "--limit", &[Format::Table]),
        (!args.columns.is_empty(), "--columns", &[Format::Table]),
        (args.leaks, "--leaks", &[Format::Table]),
        (args.temporary, "--temporary", &[Format::Table]),
    ];
    for (given, option, forms) in options {
        if given && !forms.contains(&args.format) {
            let forms = forms.iter().copied().map(name).collect::<Vec<_>>().join(" or ");
            return Err(FormError::NotOfThisForm { option, forms, format: name(args.format) });
        }
    }
    Ok(())
}

/// As it is typed.
fn name(format: Format) -> String {
    format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn kind(typed: &str) -> Result<Kind, FormError> {
        let words = ["memtrace", "attach", "1"].into_iter().chain(typed.split_whitespace());
        let Command::Attach(args) = Cli::parse_from(words).command else {
            panic!("attach was typed");
        };
        Kind::of(&args.trace.form)
    }

    #[test]
    fn what_is_typed_is_what_is_meant() {
        let table = TableOptions { top_lines: 20, ..TableOptions::default() };
        assert_eq!(kind(""), Ok(Kind::Table(table.clone())));
        let sorted = TableOptions { top_lines: 3, sort: Measure::Events, ..table };
        assert_eq!(kind("--limit 3 --sort events"), Ok(Kind::Table(sorted)));
        assert_eq!(kind("-f csv"), Ok(Kind::Csv { sort: Measure::Net }));
        assert_eq!(kind("-f pprof --measure grown"), Ok(Kind::Pprof { shown: Measure::Grown }));
        let stacks = StackOptions { measure: Measure::Resident, split_threads: true };
        let typed = "-f folded --measure resident --split-threads";
        assert_eq!(kind(typed), Ok(Kind::Folded(stacks)));
    }

    #[test]
    fn an_option_of_another_form_is_refused_with_the_forms_that_have_it() {
        let refused = |typed| kind(typed).unwrap_err().to_string();
        assert_eq!(
            refused("-f json --limit 5"),
            "--limit is for --format table; --format json has no use for it"
        );
        assert_eq!(
            refused("--measure net"),
            "--measure is for --format folded or flamegraph or pprof or html; --format table has no use \
             for it"
        );
        for typed in ["-f csv --columns Self", "-f pprof --split-threads", "-f folded --sort net"] {
            assert!(kind(typed).is_err(), "{typed}");
        }
    }
}
