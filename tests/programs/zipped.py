"""unusual.py as part of an archive. A mark's file is where its code object says that it is, which is no file."""

import sys

import protocol
import unusual


def run(source):
    """Runs unusual.py's scenario; `source` is its text."""
    def marked(name, constructed=None, measured=None, stack=None):
        code = sys._getframe(1).f_code
        line = protocol.line_of(name, source)
        protocol.mark(name, code.co_filename, line, constructed, measured, stack)

    unusual.marked = marked
    protocol.main(vars(unusual))


def main():
    """The main program of a zip file."""
    run(unusual.__loader__.get_source("unusual"))
