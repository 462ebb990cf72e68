//! The processes that were named, and those that they have started before: a server's workers, a pool's.
//!
//! What a traced process forks from then on is followed by the kernel side. All are looked at before anything is
//! attached, since events wait while one is looked at.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::python::{Discovery, Images, Interpreter, discover, processes};
use crate::session::{Session, SessionError, look_at};

/// Told of each process that is attached to: its pid, and the version of its interpreter.
pub(super) type Tell<'a> = &'a dyn Fn(u32, &str);

/// Looks for children. Each is of those that came during the one before; with `--no-follow`, who starts processes all
/// the time would keep it here.
const PASSES: usize = 4;

/// Pids that a hint names.
const SHOWN: usize = 5;

/// What is to be traced, and what it has started.
pub(super) struct Family {
    roots: BTreeSet<u32>,
    named: Vec<(u32, Interpreter)>,
    /// Python processes that those have started.
    children: Vec<(u32, Interpreter)>,
    wants_children: bool,
    /// All that were looked at.
    seen: BTreeSet<u32>,
    images: Images,
}

impl Family {
    /// Looks at processes, each once. One that can't be traced is an error if it was named, and passed over if it
    /// is a child.
    pub(super) fn look_at(pids: &[u32], wants_children: bool) -> Result<Self> {
        let roots: BTreeSet<u32> = pids.iter().copied().collect();
        let mut images = Images::new();
        let named = roots.iter().map(|pid| Ok((*pid, look_at(*pid, &mut images)?)));
        let named = named.collect::<Result<_>>()?;
        let seen = roots.clone();
        let mut family = Self { roots, named, children: Vec::new(), wants_children, seen, images };
        family.children = family.fresh()?;
        Ok(family)
    }

    /// Python processes that the named ones have started and that were not seen yet.
    fn fresh(&mut self) -> Result<Vec<(u32, Interpreter)>> {
        let all = processes::started_by(&self.roots).context("the processes can't be listed")?;
        let unseen: Vec<u32> = all.into_iter().filter(|pid| self.seen.insert(*pid)).collect();
        let look = |pid| match discover(pid, &mut self.images) {
            Ok(Discovery::Python(interpreter)) => Some((pid, *interpreter)),
            _ => None,
        };
        Ok(unseen.into_iter().filter_map(look).collect())
    }

    /// Attaches to the named processes and, if that is wanted, to those they have started. Each is told. What is left
    /// out is in the sentence that comes back.
    ///
    /// # Errors
    ///
    /// One of the named can't be traced, or the kernel side fails.
    pub(super) fn attach(
        mut self,
        session: &mut Session,
        tell: Option<Tell<'_>>,
    ) -> Result<Option<String>> {
        let told = |pid, version: &str| tell.into_iter().for_each(|tell| tell(pid, version));
        for (pid, interpreter) in std::mem::take(&mut self.named) {
            told(pid, &session.attach(pid, interpreter)?);
        }
        let mut children = std::mem::take(&mut self.children);
        if !self.wants_children {
            return Ok(hint(self.roots.len(), &children));
        }
        // Again for what one of them has started between the look at it and its attach; what it starts after that is
        // followed.
        for pass in 0..PASSES {
            let mut attached = false;
            for (pid, interpreter) in children {
                match session.attach(pid, interpreter) {
                    Ok(version) => {
                        told(pid, &version);
                        attached = true;
                    }
                    // It has ended, or the kernel side has it, since a traced process forked it.
                    Err(SessionError::Gone(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            children = self.fresh()?;
            if children.is_empty() || (pass > 0 && !attached) {
                break;
            }
        }
        Ok(None)
    }
}

/// That there are processes which a user who named a server may take for part of it.
fn hint(roots: usize, left: &[(u32, Interpreter)]) -> Option<String> {
    let shown: Vec<_> = left.iter().take(SHOWN).map(|(pid, _)| pid.to_string()).collect();
    let what = match left.len() {
        0 => return None,
        1 => "a Python process".to_owned(),
        many => format!("{many} Python processes"),
    };
    Some(format!(
        "not traced without --children: {what} that {} started before ({}{})",
        if roots == 1 { "this one has" } else { "these have" },
        shown.join(", "),
        if left.len() > SHOWN { ", …" } else { "" },
    ))
}
