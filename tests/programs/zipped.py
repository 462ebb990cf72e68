"""unusual.py as the main program of a zip file. A mark's file is where zipimport says that it is."""

import sys


def main():
    import protocol
    import unusual

    def marked(name, constructed=None, measured=None):
        code = sys._getframe(1).f_code
        source = unusual.__loader__.get_source("unusual")
        protocol.mark(name, code.co_filename, protocol.line_of(name, source), constructed, measured)

    unusual.marked = marked
    protocol.main(vars(unusual))
